"""What stands between eMSPs and the Locations of other operators that a hub connects: asked, never decided here."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from roaming.models import Party


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a party may not charge there now, in words for its driver, and the reference of that decision."""

    text: str
    ref: str


class Fence(Protocol):
    """The rules of one installation for Locations that are not its own."""

    def refusal(
        self,
        *,
        party: Party,
        owner: Party,
        location_id: str,
        evse_uid: str | None,
        token_group: str | None,
        command: str,
        now: datetime,
    ) -> Refused | None:
        """Return why ``party`` may not start or reserve (``command``) at a Location of ``owner``; None: it may."""
        ...

    def hidden_locations(self, *, party: Party, now: datetime) -> Collection[tuple[int, str]]:
        """Return (primary key of the owner, LOCATION ID in upper case) of all that ``party`` does not see."""
        ...

    def may_see(self, *, party: Party, owner: Party, location_id: str, now: datetime) -> bool:
        """Tell whether ``party`` sees a Location of ``owner``."""
        ...


class Unfenced:
    """Agreements alone decide: whom a party reaches, it sees whole."""

    def refusal(
        self,
        *,
        party: Party,
        owner: Party,
        location_id: str,
        evse_uid: str | None,
        token_group: str | None,
        command: str,
        now: datetime,
    ) -> Refused | None:
        """Refuse nothing."""
        return None

    def hidden_locations(self, *, party: Party, now: datetime) -> Collection[tuple[int, str]]:
        """Hide nothing."""
        return ()

    def may_see(self, *, party: Party, owner: Party, location_id: str, now: datetime) -> bool:
        """Show everything."""
        return True


def fence() -> Fence:
    """Return the fence that the setting HUB_FENCE names."""
    return _made(settings.HUB_FENCE)


@cache
def _made(path: str) -> Fence:
    fence: Fence = import_string(path)()
    return fence
