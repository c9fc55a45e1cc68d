"""Who may reach whom through the hub: fails closed, no agreement is no route.

Parties hosted here are reached by everybody who is connected: what they show and allow is decided by their own grants.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from roaming import rawsql
from roaming.hub.models import Agreement
from roaming.hub.telling import take_turns, tell
from roaming.models import Party
from roaming.routing import FUNCTIONAL

__all__ = [
    "agreement_between",
    "is_agreed",
    "parties_for",
    "reachable_parties",
    "set_agreement",
    "standing",
    "standing_in",
]

_FIELDS = tuple(field.attname for field in Party._meta.concrete_fields)
# The rule of ``parties_for`` by hand: before every page of a merged list, the ORM would take longer to write it than
# the database to answer.
_REACHABLE = f"""
SELECT {", ".join(f'p."{field.column}"' for field in Party._meta.concrete_fields)}
FROM {Party._meta.db_table} p
WHERE p.is_active AND p.role = ANY(%(roles)s::varchar[]) AND p.id <> %(party)s
  AND (p.platform_id IS NULL OR EXISTS (
    SELECT 1 FROM {Agreement._meta.db_table} a
    WHERE a.one_id = least(p.id, %(party)s) AND a.other_id = greatest(p.id, %(party)s) AND a.status = 'ACTIVE'
      AND (a.modules = '{{}}' OR %(module)s = ANY(a.modules))))
ORDER BY p.id
"""


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


def reachable_parties(party: Party, *, module: str, roles: Collection[str]) -> list[Party]:
    """Return what ``parties_for`` selects."""
    rows = rawsql.fetch(_REACHABLE, {"party": party.pk, "module": module, "roles": list(roles)})
    return [Party.from_db("default", _FIELDS, row) for row in rows]


def set_agreement(
    *, one: Party, other: Party, status: Agreement.Status, modules: Sequence[str] | None = ()
) -> Agreement:
    """Make or change the agreement of two parties; ``modules`` empty means all, None those agreed so far (a new
    agreement: all).

    The platforms of both are owed what they now see of the other party (HCI-02); the moment of the change is the
    database's. What is so already changes nothing. Raises ValueError for a party with itself and for a module that no
    party has. Two calls at once follow each other.
    """
    if one.pk == other.pk:
        raise ValueError("an agreement needs two parties")
    if unknown := sorted(set(modules or ()) - FUNCTIONAL):
        raise ValueError(f"modules: {', '.join(unknown)} (known: {', '.join(sorted(FUNCTIONAL))})")
    first, second = sorted((one, other), key=lambda party: party.pk)
    wanted: dict[str, Any] = {"status": status}
    if modules is not None:
        wanted["modules"] = sorted(set(modules))
    with transaction.atomic():
        take_turns()
        agreement, is_new = Agreement.objects.get_or_create(one=first, other=second, defaults=wanted)
        is_news = is_new or _change(agreement, wanted)
        # With the stamp that the database gave it.
        agreement.refresh_from_db()
        if is_news:
            tell(first, to=second, now=agreement.changed_at)
            tell(second, to=first, now=agreement.changed_at)
    return agreement


def _change(agreement: Agreement, wanted: Mapping[str, Any]) -> bool:
    """Write what is other than wanted; True when that is the status, which is what others are told."""
    rows = Agreement.objects.filter(pk=agreement.pk)
    # Compared by the statement, on the row as it is when nobody else writes it.
    is_news = bool(rows.exclude(status=wanted["status"]).update(status=wanted["status"], changed_at=Now()))
    if "modules" in wanted:
        rows.exclude(modules=wanted["modules"]).update(modules=wanted["modules"])
    return is_news
