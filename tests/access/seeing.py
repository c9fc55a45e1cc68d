"""How a partner sees the smallest depot, and shorthands for what is expected."""

from collections.abc import Sequence
from datetime import datetime

from access.decisions import EvseFacts
from access.grants import GrantFacts
from access.views_at import publication
from locations.publication import Mask, Phase, Publication, masked_status
from ocpi import v221
from tests.access.cases import PARTNER, evse, local, utc

HALF_PAST_SEVEN = local("2026-11-23 19:30")


def view(
    *grants: GrantFacts,
    now: datetime = HALF_PAST_SEVEN,
    evses: Sequence[EvseFacts] = (evse(),),
    kill_switch: bool = False,
    party: str = PARTNER,
) -> Publication:
    shown = publication(party=party, grants=grants, evses=evses, now=now, kill_switch=kill_switch)
    assert shown is not None
    return shown


def phases(*changes: tuple[str, Mask]) -> tuple[Phase, ...]:
    return tuple(Phase(starts_at=local(at), mask=mask) for at, mask in changes)


def schedule(*periods: tuple[str, str | None, v221.Status]) -> tuple[v221.StatusSchedule, ...]:
    return tuple(
        v221.StatusSchedule(period_begin=utc(begin), period_end=utc(end) if end else None, status=status)
        for begin, end, status in periods
    )


def seen(shown: Publication, at: str, device: v221.Status, **changes: bool) -> v221.Status:
    flags = {"own_session": False, "held": False, **changes}
    return masked_status(shown, local(at), device_status=device, **flags)
