"""Whose rows a member of staff may see: each works for one or more of the operators that are hosted here (S1).

Superusers see everything. Everybody else sees the rows of the operators in their scope, and without a scope nothing.
"""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from ocpi import v221
from roaming.models import Party, StaffScope

# A person is asked about often within one request; users are loaded anew for each.
_REMEMBERED = "_operators_here"


def operators_of(user: Any) -> QuerySet[Party]:
    """The parties of ours that this person works for, usable as a subquery."""
    ours = Party.objects.filter(platform=None, role=v221.Role.CPO.value)
    if user.is_superuser:
        return ours
    return ours.filter(pk__in=StaffScope.objects.filter(user_id=user.pk).values("party"))


def has_scope(user: Any) -> bool:
    """Whether this person works for anybody here at all."""
    return user.is_superuser or any(is_mine for is_mine, _ in _ours_of(user))


def acts_for_all(user: Any) -> bool:
    """Whether this person works for every operator here, so that what they share is theirs to change too."""
    if user.is_superuser:
        return True
    return has_scope(user) and all(is_mine for is_mine, is_active in _ours_of(user) if is_active)


def _ours_of(user: Any) -> list[tuple[bool, bool]]:
    """For each operator here whether this person works for it, and whether it is active; one query per request."""
    known: list[tuple[bool, bool]] | None = getattr(user, _REMEMBERED, None)
    if known is None:
        mine = StaffScope.objects.filter(user_id=user.pk, party=OuterRef("pk"))
        ours = Party.objects.filter(platform=None, role=v221.Role.CPO.value).order_by()
        known = list(ours.values_list(Exists(mine), "is_active"))
        setattr(user, _REMEMBERED, known)
    return known


def set_operators(*, user: Any, operators: Iterable[Party]) -> None:
    """Make the scope of a member of staff exactly these operators.

    Raises ValueError for a party that is not a CPO of ours; then nothing was changed.
    """
    wanted = list(operators)
    for party in wanted:
        if not party.is_own or party.role != v221.Role.CPO.value:
            raise ValueError(f"{party} is no operator (CPO) that is hosted here")
    if hasattr(user, _REMEMBERED):
        delattr(user, _REMEMBERED)
    with transaction.atomic():
        StaffScope.objects.filter(user_id=user.pk).exclude(party__in=wanted).delete()
        StaffScope.objects.bulk_create(
            [StaffScope(user_id=user.pk, party=party) for party in wanted], ignore_conflicts=True
        )
