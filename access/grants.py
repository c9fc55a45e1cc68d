"""A Grant as the rules see it, and the spans of time that it opens. [pure]

`decide` and the published view both ask this module when a grant is open and when a start is still worth
it, so what a partner is shown and what is enforced have one source.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from access.intervals import Interval, clip
from access.windows import Calendar, ConfigError, check, closes_at, intervals, widening
from ocpi import v221


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a start under a grant comes with; minutes, W; class 0 is the most urgent (access rules, 5.2).

    `profile_tariff_ids` are those of drivers who prefer cheap, fast or green charging.
    """

    end_policy: Literal["STOP", "GRACE", "FINISH"]
    grace_minutes: int = 15
    max_overrun_minutes: int = 120
    min_useful_minutes: int = 20
    last_start_offset_minutes: int = 0
    max_session_minutes: int | None = None
    max_w: int | None = None
    tariff_id: str | None = None
    profile_tariff_ids: tuple[str, ...] = ()
    priority_class: int = 3
    status_mask: Literal["INOPERATIVE", "TRUTHFUL"] = "INOPERATIVE"
    max_concurrent: int | None = None

    @property
    def tariff_ids(self) -> tuple[str, ...]:
        """Return all tariffs that may apply (LOC-27: one per type)."""
        return ((self.tariff_id,) if self.tariff_id else ()) + self.profile_tariff_ids

    @property
    def cutoff(self) -> timedelta:
        """Return how long before the end of an opening the last start must have happened."""
        return timedelta(minutes=max(self.min_useful_minutes, self.last_start_offset_minutes))

    @property
    def overrun(self) -> timedelta:
        """Return how long a session may go on after its window has ended."""
        minutes = {"STOP": 0, "GRACE": self.grace_minutes, "FINISH": self.max_overrun_minutes}
        return timedelta(minutes=minutes[self.end_policy])


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """What one partner is shown instead of the EVSE's and Location's own members; None = the same."""

    capabilities: tuple[v221.Capability, ...] | None = None
    parking_restrictions: tuple[v221.ParkingRestriction, ...] | None = None
    directions: tuple[v221.DisplayText, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    """A partner party × Location × calendar × terms; no `token_groups` = all customers of that party."""

    id: str
    version: int
    party: str
    location_id: str
    calendar: Calendar
    terms: Terms
    token_groups: frozenset[str] = frozenset()
    status: Literal["ACTIVE", "SUSPENDED", "ENDED"] = "ACTIVE"
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    presentation: Presentation = Presentation()


def fault(grant: GrantFacts) -> str | None:
    """Return what makes the grant impossible to follow, or None. A faulty grant opens nothing."""
    try:
        check(grant.calendar)
    except ConfigError as error:
        return str(error)
    terms = grant.terms
    minutes = {
        "grace_minutes": terms.grace_minutes,
        "max_overrun_minutes": terms.max_overrun_minutes,
        "min_useful_minutes": terms.min_useful_minutes,
        "last_start_offset_minutes": terms.last_start_offset_minutes,
        "max_session_minutes": terms.max_session_minutes or 0,
        "max_concurrent": terms.max_concurrent or 0,
    }
    for name, value in minutes.items():
        if value < 0:
            return f"{name}: must not be negative (given {value})"
    words = (
        ("end_policy", terms.end_policy, ("STOP", "GRACE", "FINISH")),
        ("status_mask", terms.status_mask, ("INOPERATIVE", "TRUTHFUL")),
        ("status", grant.status, ("ACTIVE", "SUSPENDED", "ENDED")),
    )
    for name, word, known in words:
        if word not in known:
            return f"{name}: one of {', '.join(known)} (given {word!r})"
    for name, bound in (("valid_from", grant.valid_from), ("valid_to", grant.valid_to)):
        if bound is not None and bound.tzinfo is None:
            return f"{name}: an instant with its offset (given {bound})"
    return None


def open_spans(grant: GrantFacts, start: datetime, end: datetime) -> tuple[Interval, ...]:
    """Return when the grant is open within [start, end): by its calendar, while active, valid and sound."""
    if grant.status != "ACTIVE" or fault(grant) is not None:
        return ()
    start, end = max(start, grant.valid_from or start), min(end, grant.valid_to or end)
    return intervals(grant.calendar, start, end) if start < end else ()


def start_spans(grant: GrantFacts, start: datetime, end: datetime) -> tuple[Interval, ...]:
    """Return when a session may start within [start, end): every opening up to its last start."""
    # The openings are taken longer than asked, so that only a real closing pulls the last start forward.
    cutoff = grant.terms.cutoff
    spans = open_spans(grant, start, end + cutoff)
    worth_it = (Interval(span.starts_at, span.ends_at - cutoff) for span in spans)
    return clip(worth_it, start, end)


def ends_at(grant: GrantFacts, at: datetime) -> datetime | None:
    """Return when the opening that holds at `at` ends (the grant is open then); None: no end in sight."""
    bounds = [end for end in (closes_at(grant.calendar, at), grant.valid_to) if end is not None]
    return min(bounds, default=None)


def next_start(grant: GrantFacts, at: datetime) -> datetime | None:
    """Return the first instant after `at` at which a session may start again, or None.

    Openings that are shorter than the last-start cut-off are skipped: nobody could start in them.
    """
    for until in widening(at):
        for span in start_spans(grant, at, until):
            if span.starts_at > at:
                return span.starts_at
    return None
