"""Which tariff of a session bills when: by the driver's preference, and from the moment that it was chosen. [pure]

Chapters "Tariffs module" (TariffType) and "Sessions module" (ProfileType).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.offers import governing

PROFILE_TARIFFS: Mapping[v221.ProfileType, v221.TariffType] = MappingProxyType(
    {
        v221.ProfileType.CHEAP: v221.TariffType.PROFILE_CHEAP,
        v221.ProfileType.FAST: v221.TariffType.PROFILE_FAST,
        v221.ProfileType.GREEN: v221.TariffType.PROFILE_GREEN,
    }
)
"""REGULAR has none: it is what every session has anyway."""

_REGULAR = frozenset({None, v221.TariffType.REGULAR})


class TariffChange(v221.Object, frozen=True, kw_only=True):
    """From ``at`` on (None: from the start of the session) the tariff with this id bills."""

    at: v221.OcpiDateTime | None = None
    tariff_id: v221.CiString36


def tariff_for(
    tariffs: Sequence[v221.Tariff], *, profile: v221.ProfileType, at: datetime
) -> v221.Tariff | None:
    """The tariff of a preference, or None when there is none of its type (TAR-25, SES-22).

    REGULAR, which is also no preference at all, has the first one that is valid at ``at``, as `governing` says.
    """
    wanted = PROFILE_TARIFFS.get(profile)
    if wanted is None:
        regular = [tariff for tariff in tariffs if tariff.type in _REGULAR]
        return governing(regular or tariffs, start=at) if tariffs else None
    found = (tariff for tariff in tariffs if tariff.type is wanted and is_valid(tariff, at))
    return next(found, None)


def is_valid(tariff: v221.Tariff, at: datetime) -> bool:
    """Whether a tariff may be used by a session that starts at this moment (TAR-26)."""
    begins, ends = tariff.start_date_time, tariff.end_date_time
    return (begins is None or begins <= at) and (ends is None or at < ends)


def governed(
    tariffs: Sequence[v221.Tariff], changes: Iterable[TariffChange], *, start: datetime, stop: datetime
) -> list[tuple[datetime, v221.Tariff]]:
    """From when on each tariff bills between ``start`` and ``stop``, in order; the first one from ``start``.

    Raises CannotPrice for a change to a tariff that is not there, and without any tariff.
    """
    known = {tariff.id.lower(): tariff for tariff in tariffs}
    spans = [(start, governing(tariffs, start=start))]
    for change in sorted(changes, key=lambda each: each.at or start):
        at = max(change.at or start, start)
        tariff = known.get(change.tariff_id.lower())
        if tariff is None:
            raise CannotPrice(
                f"the session was switched to tariff {change.tariff_id}, which it does not have"
            )
        if at == spans[-1][0]:
            spans[-1] = (at, tariff)
        elif at < stop and tariff is not spans[-1][1]:
            spans.append((at, tariff))
    return spans


def check_offer(regular: v221.Tariff, profiles: Iterable[v221.Tariff]) -> None:
    """Refuse tariffs that cannot be offered side by side at a connector. Raises ValueError, with a text for people."""
    seen: dict[v221.TariffType, str] = {}
    types = frozenset(PROFILE_TARIFFS.values())
    for tariff in profiles:
        if tariff.type not in types:
            words = ", ".join(sorted(types))
            raise ValueError(f"tariff {tariff.id}: its type must be one of {words} (given {tariff.type})")
        if (tariff.country_code, tariff.party_id) != (regular.country_code, regular.party_id):
            raise ValueError(f"tariff {tariff.id} is of another party than {regular.id}")
        if tariff.currency != regular.currency:
            raise ValueError(
                f"tariff {tariff.id} is in {tariff.currency}, {regular.id} in {regular.currency}"
            )
        if tariff.type in seen:
            raise ValueError(f"tariffs {seen[tariff.type]} and {tariff.id} are both for {tariff.type}")
        seen[tariff.type] = tariff.id
    if seen and regular.type not in _REGULAR:
        raise ValueError(
            f"tariff {regular.id} is for {regular.type} only: beside tariffs of profiles it must be REGULAR or of no type"
        )
