"""Whose rows a member of staff may see: each works for one or more of the operators that are hosted here (S1).

Superusers see everything. Everybody else sees the rows of the operators in their scope, and without a scope nothing.
"""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from ocpi import v221
from roaming.models import Party, StaffScope

# A person is asked about often within one request; users are loaded anew for each.
_REMEMBERED = "_acts_for_all_operators"


def operators_of(user: Any) -> QuerySet[Party]:
    """The parties of ours that this person works for, usable as a subquery."""
    ours = Party.objects.filter(platform=None, role=v221.Role.CPO.value)
    if user.is_superuser:
        return ours
    return ours.filter(pk__in=StaffScope.objects.filter(user_id=user.pk).values("party"))


def has_scope(user: Any) -> bool:
    """Whether this person works for anybody here at all."""
    return bool(user.is_superuser or StaffScope.objects.filter(user_id=user.pk).exists())


def acts_for_all(user: Any) -> bool:
    """Whether this person works for every operator here, so that what they share is theirs to change too."""
    known: bool | None = getattr(user, _REMEMBERED, None)
    if known is None:
        ours = Party.objects.filter(platform=None, role=v221.Role.CPO.value, is_active=True)
        others = ours.exclude(pk__in=operators_of(user).values("pk"))
        known = bool(user.is_superuser or (has_scope(user) and not others.exists()))
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
    with transaction.atomic():
        StaffScope.objects.filter(user_id=user.pk).exclude(party__in=wanted).delete()
        StaffScope.objects.bulk_create(
            [StaffScope(user_id=user.pk, party=party) for party in wanted], ignore_conflicts=True
        )
