"""What a CPO behind this hub lets which party see and use: the seam to the rules, which live in another package.

The setting ``HUB_FENCE`` names the implementation.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from ocpi import v221
from roaming.models import Party


@dataclass(frozen=True)
class Refused:
    """Why a command is not passed on, in words for the driver, and the reference of the decision."""

    text: str
    ref: str


class Fence(Protocol):
    """The rules of the CPOs behind this hub."""

    def refusal(
        self,
        *,
        party: Party,
        owner: Party,
        location_id: str,
        evse_uid: str,
        token_group: str,
        command: v221.CommandType,
        now: datetime,
    ) -> Refused | None:
        """Return why a party may not use a Location of this owner now, or None when it may."""

    def hidden_locations(self, *, party: Party, now: datetime) -> Collection[tuple[int, str]]:
        """Return key of the owner's row and id in upper case of each Location that this party may not see."""

    def may_see(self, *, party: Party, owner: Party, location_id: str) -> bool:
        """Tell whether a party may see a Location of this owner."""


class Unfenced:
    """No rules: whoever may reach a CPO sees and uses all of it."""

    def refusal(
        self,
        *,
        party: Party,
        owner: Party,
        location_id: str,
        evse_uid: str,
        token_group: str,
        command: v221.CommandType,
        now: datetime,
    ) -> Refused | None:
        """Nothing is refused."""
        return None

    def hidden_locations(self, *, party: Party, now: datetime) -> Collection[tuple[int, str]]:
        """Nothing is hidden."""
        return ()

    def may_see(self, *, party: Party, owner: Party, location_id: str) -> bool:
        """Everything is seen."""
        return True


def fence() -> Fence:
    """Return the rules that are in force here."""
    return cast(Fence, import_string(settings.HUB_FENCE)())
