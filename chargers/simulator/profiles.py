"""Charging profiles as a station keeps them: the upper limit at a moment (OCPP 1.6, 3.13). [pure]"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

VOLTS = Decimal(230)
MAX_PURPOSE = "ChargePointMaxProfile"
DEFAULT_PURPOSE = "TxDefaultProfile"
TX_PURPOSE = "TxProfile"

Profile = dict[str, Any]


def read_time(text: str) -> datetime:
    """An OCPP dateTime with its offset; UTC when it has none."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else datetime.fromisoformat(f"{text}+00:00")


@dataclass(slots=True)
class ProfileStore:
    """Profiles of one station by (connector, purpose, stack level); a newer one with that key replaces."""

    by_key: dict[tuple[int, str, int], Profile] = field(default_factory=dict)

    def put(self, connector_id: int, profile: Profile) -> None:
        """Install one profile."""
        profile_id = profile["chargingProfileId"]
        self.by_key = {
            key: known for key, known in self.by_key.items() if known["chargingProfileId"] != profile_id
        }
        self.by_key[connector_id, profile["chargingProfilePurpose"], profile["stackLevel"]] = profile

    def clear(
        self,
        *,
        profile_id: int | None = None,
        connector_id: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
    ) -> int:
        """Remove the profiles that meet every given criterion; returns how many."""
        kept = {
            key: profile
            for key, profile in self.by_key.items()
            if (profile_id is not None and profile["chargingProfileId"] != profile_id)
            or (connector_id is not None and key[0] != connector_id)
            or (purpose is not None and key[1] != purpose)
            or (stack_level is not None and key[2] != stack_level)
        }
        removed = len(self.by_key) - len(kept)
        self.by_key = kept
        return removed

    def limit_w(self, connector_id: int, *, now: datetime, started_at: datetime | None) -> Decimal | None:
        """Upper limit in W at a connector, None when no profile limits it.

        A TxProfile goes before a TxDefaultProfile; the station's own maximum bounds both.
        """
        wanted: list[tuple[str, set[int]]] = [(MAX_PURPOSE, {0})]
        if started_at is not None:
            wanted.append((TX_PURPOSE, {connector_id}))
        limits = [self._purpose_limit_w(purpose, ids, now, started_at) for purpose, ids in wanted]
        if limits[-1] is None or len(limits) == 1:
            limits.append(self._purpose_limit_w(DEFAULT_PURPOSE, {connector_id}, now, started_at))
        if limits[-1] is None:
            limits.append(self._purpose_limit_w(DEFAULT_PURPOSE, {0}, now, started_at))
        return min((limit for limit in limits if limit is not None), default=None)

    def changes_within(self, *, now: datetime, seconds: int, started_at: datetime | None) -> list[int]:
        """Seconds from now at which a limit may change, 0 first."""
        offsets = {0}
        for profile in self.by_key.values():
            origin = _origin(profile, now, started_at)
            if origin is None:
                continue
            schedule = profile["chargingSchedule"]
            ends = [schedule["duration"]] if "duration" in schedule else []
            for start in [*(period["startPeriod"] for period in schedule["chargingSchedulePeriod"]), *ends]:
                offset = int((origin + timedelta(seconds=start) - now).total_seconds())
                if 0 < offset < seconds:
                    offsets.add(offset)
        return sorted(offsets)

    def _purpose_limit_w(
        self, purpose: str, connector_ids: Iterable[int], now: datetime, started_at: datetime | None
    ) -> Decimal | None:
        candidates = sorted(
            (key for key in self.by_key if key[1] == purpose and key[0] in connector_ids),
            key=lambda key: key[2],
            reverse=True,
        )
        for key in candidates:
            limit = profile_limit_w(self.by_key[key], now=now, started_at=started_at)
            if limit is not None:
                return limit
        return None


def profile_limit_w(profile: Profile, *, now: datetime, started_at: datetime | None) -> Decimal | None:
    """Limit of one profile in W, None when it says nothing at `now`. Amperes count per phase at 230 V."""
    if "validFrom" in profile and now < read_time(profile["validFrom"]):
        return None
    if "validTo" in profile and now >= read_time(profile["validTo"]):
        return None
    schedule = profile["chargingSchedule"]
    origin = _origin(profile, now, started_at)
    if origin is None:
        return None
    elapsed = (now - origin).total_seconds()
    if elapsed < 0 or elapsed >= schedule.get("duration", float("inf")):
        return None
    active = [p for p in schedule["chargingSchedulePeriod"] if p["startPeriod"] <= elapsed]
    if not active:
        return None
    period = max(active, key=lambda p: int(p["startPeriod"]))
    limit = Decimal(period["limit"])
    if schedule["chargingRateUnit"] == "A":
        return limit * VOLTS * int(period.get("numberPhases", 3))
    return limit


def _origin(profile: Profile, now: datetime, started_at: datetime | None) -> datetime | None:
    """When the schedule's second 0 is; a profile that has no start of its own starts with the transaction."""
    schedule = profile["chargingSchedule"]
    kind = profile["chargingProfileKind"]
    if kind == "Relative" or "startSchedule" not in schedule:
        return started_at or now
    origin = read_time(schedule["startSchedule"])
    if kind == "Recurring" and now >= origin:
        every = timedelta(days=7 if profile.get("recurrencyKind") == "Weekly" else 1)
        origin += every * ((now - origin) // every)
    return origin
