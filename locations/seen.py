"""What a partner sees of a Location at this moment, for people to read. Nothing is stored or told here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from locations import stored
from locations.models import EVSE, PartnerView
from locations.publication import Publication, next_edge, phase_at
from locations.publishing import read_publication
from locations.wire import location_document, location_facts
from ocpi import v221
from roaming.operators import clock
from roaming.quirks import dialects_of

_DAYS = ("", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EVENTS = {"OPEN": "opens", "LAST_START_PASSED": "last start", "CLOSED": "closes"}
_MASKS = {
    "OPEN": ("open", "green"),
    "LAST_START_PASSED": ("last start has passed", "amber"),
    "CLOSED": ("closed", "grey"),
}


@dataclass(frozen=True, kw_only=True)
class Access:
    """Whether a partner's customers may start now, in a word and a colour, and when that changes."""

    word: str
    tone: str
    is_open: bool
    next_at: datetime | None
    next_word: str


def access_of(publication: Publication, now: datetime) -> Access:
    """Read a Publication at one moment."""
    phase = phase_at(publication, now)
    word, tone = _MASKS[phase.mask]
    if publication.ended:
        return Access(word="ended", tone="grey", is_open=False, next_at=None, next_word="")
    if publication.suspended:
        return Access(word="suspended", tone="red", is_open=False, next_at=None, next_word="")
    upcoming = next_edge(publication, now)
    return Access(
        word=word,
        tone=tone,
        is_open=phase.mask == "OPEN",
        next_at=upcoming,
        next_word=_EVENTS[phase_at(publication, upcoming).mask] if upcoming else "",
    )


def access_of_view(view: PartnerView, now: datetime) -> Access:
    """As `access_of`, from the stored Publication."""
    return access_of(read_publication(bytes(view.publication)), now)


def document_now(view: PartnerView, now: datetime) -> v221.Location:
    """The Location exactly as this partner would get it now; the stored object itself when nothing changed."""
    return location_document(
        facts=location_facts(view.location),
        publication=read_publication(bytes(view.publication)),
        viewer=view.party_id,
        dialect=dialects_of([view.party_id])[view.party_id],
        previous=stored.read_location(bytes(view.document)),
        now=now,
    )


def hours(location: v221.Location, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """Opening times in lines of (when, hours), on the depot's clock."""
    times = location.opening_times
    if times is None:
        yield "Always", "no hours are published"
        return
    if times.twentyfourseven:
        yield "Every day", "around the clock"
    for day in range(1, 8):
        spans = [
            f"{each.period_begin}–{each.period_end}" for each in times.regular_hours if each.weekday == day
        ]
        if spans:
            yield _DAYS[day], ", ".join(sorted(spans))
    for word, periods in (("also open", times.exceptional_openings), ("closed", times.exceptional_closings)):
        for period in periods:
            yield word, f"{clock(period.period_begin, zone)} to {clock(period.period_end, zone)}"


def bays(location: v221.Location, evses: dict[str, EVSE]) -> Iterator[tuple[str, ...]]:
    """One line per EVSE: bay, id, what the station says, what the partner is shown, tariffs."""
    for evse in location.evses:
        known = evses.get(evse.uid)
        tariffs = sorted({tariff for connector in evse.connectors for tariff in connector.tariff_ids})
        yield (
            evse.physical_reference or "–",
            evse.evse_id or evse.uid,
            known.device_status if known else "–",
            evse.status.value,
            ", ".join(tariffs) or "–",
        )
