"""Who may reach whom through the hub: fails closed, no agreement is no route.

Parties hosted here are reached by everybody who is connected: what they show and allow is decided by their own grants.
"""

from collections.abc import Collection, Sequence

from django.db import transaction
from django.db.models import Q, QuerySet

from roaming.hub.models import Agreement
from roaming.models import Party

__all__ = ["agreement_between", "is_agreed", "parties_for", "set_agreement", "standing", "standing_in"]


def agreement_between(one: Party, other: Party) -> Agreement | None:
    """Return the agreement of two parties, whatever its status."""
    first, second = sorted((one.pk, other.pk))
    return Agreement.objects.filter(one_id=first, other_id=second).first()


def standing(one: Party, other: Party, *, module: str) -> Agreement.Status:
    """Return how two parties stand in a module: ENDED also where nothing was ever agreed."""
    if one.is_own or other.is_own:
        return Agreement.Status.ACTIVE
    agreement = agreement_between(one, other)
    if agreement is None:
        return Agreement.Status.ENDED
    return standing_in(module, status=agreement.status, modules=agreement.modules)


def standing_in(module: str, *, status: str | None, modules: Sequence[str] | None) -> Agreement.Status:
    """Return what an agreement means in one module; ``status`` None: there is none."""
    if status is None or (modules and module not in modules):
        return Agreement.Status.ENDED
    return Agreement.Status(status)


def is_agreed(one: Party, other: Party, *, module: str) -> bool:
    """Tell whether two parties may reach each other in a module at this moment."""
    return standing(one, other, module=module) == Agreement.Status.ACTIVE


def parties_for(party: Party, *, module: str, roles: Collection[str]) -> QuerySet[Party]:
    """Return the active parties in these roles that a party may reach in a module, those hosted here included."""
    named = Agreement.objects.filter(
        Q(modules=[]) | Q(modules__contains=[module]), status=Agreement.Status.ACTIVE
    )
    ones = named.filter(other=party).values("one")
    others = named.filter(one=party).values("other")
    reachable = Q(platform=None) | Q(pk__in=ones) | Q(pk__in=others)
    return Party.objects.filter(reachable, role__in=roles, is_active=True).exclude(pk=party.pk).order_by("pk")


def set_agreement(
    *, one: Party, other: Party, status: Agreement.Status, modules: Sequence[str] = ()
) -> Agreement:
    """Make or change the agreement of two parties; ``modules`` empty means all.

    Raises ValueError for a party with itself.
    """
    if one.pk == other.pk:
        raise ValueError("an agreement needs two parties")
    first, second = sorted((one, other), key=lambda party: party.pk)
    with transaction.atomic():
        agreement, _ = Agreement.objects.update_or_create(
            one=first, other=second, defaults={"status": status, "modules": sorted(set(modules))}
        )
    return agreement
