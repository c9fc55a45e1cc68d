"""Set algebra on half-open intervals [starts_at, ends_at). [pure]

Works on wall times (naive) and on instants (aware) alike, as long as one call does not mix them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From `starts_at` (within) to `ends_at` (no longer within)."""

    starts_at: datetime
    ends_at: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


def merge(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the union: sorted, touching parts joined, empty ones dropped."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if interval.ends_at <= interval.starts_at:
            continue
        if merged and interval.starts_at <= merged[-1].ends_at:
            if interval.ends_at > merged[-1].ends_at:
                merged[-1] = Interval(merged[-1].starts_at, interval.ends_at)
        else:
            merged.append(interval)
    return tuple(merged)


def subtract(intervals: Iterable[Interval], cuts: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return what of `intervals` lies in none of `cuts`, sorted and merged."""
    remaining: list[Interval] = []
    ordered_cuts = merge(cuts)
    first = 0
    for interval in merge(intervals):
        begin = interval.starts_at
        while first < len(ordered_cuts) and ordered_cuts[first].ends_at <= begin:
            first += 1
        for cut in ordered_cuts[first:]:
            if cut.starts_at >= interval.ends_at:
                break
            if cut.starts_at > begin:
                remaining.append(Interval(begin, cut.starts_at))
            begin = max(begin, cut.ends_at)
        if begin < interval.ends_at:
            remaining.append(Interval(begin, interval.ends_at))
    return tuple(remaining)


def clip(intervals: Iterable[Interval], start: datetime, end: datetime) -> tuple[Interval, ...]:
    """Return what of `intervals` lies in [start, end), in the given order."""
    clipped = (Interval(max(i.starts_at, start), min(i.ends_at, end)) for i in intervals)
    return tuple(interval for interval in clipped if interval.starts_at < interval.ends_at)


def overlapping(merged: Sequence[Interval], start: datetime, end: datetime) -> Sequence[Interval]:
    """Return those of merged intervals that overlap [start, end), as they are."""
    first = bisect_right(merged, start, key=lambda interval: interval.ends_at)
    return merged[first : bisect_left(merged, end, lo=first, key=lambda interval: interval.starts_at)]


def covers(merged: Sequence[Interval], at: datetime) -> bool:
    """Tell whether one of merged intervals holds `at`."""
    index = bisect_right(merged, at, key=lambda interval: interval.starts_at)
    return index > 0 and at < merged[index - 1].ends_at
