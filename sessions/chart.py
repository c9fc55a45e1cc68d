"""The meter of a session as a small picture: energy as a line, power as an area. Plain SVG, no script."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sessions.periods import Reading

WIDTH, HEIGHT = 900, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 56, 14, 28
_TICKS = 4
_MAX_POINTS = 600


def meter_chart(readings: Sequence[Reading], zone: ZoneInfo) -> SafeString:
    """Draw register readings, sorted by their instants; times on the depot's clock."""
    if len(readings) < 2 or readings[-1].at <= readings[0].at:
        return format_html('<p class="yg-quiet">{}</p>', "Too few readings for a picture.")
    shown = _thinned(readings)
    return format_html(
        '<svg class="yg-chart" viewBox="0 0 {} {}" role="img" aria-label="Energy and power over the session">'
        '{}<polygon class="yg-power" points="{}"/><polyline class="yg-energy" points="{}"/>{}</svg>'
        '<p class="yg-help">Blue line: energy in kWh (left). Orange area: power in kW (right), as the station says it or '
        "between two readings.</p>",
        WIDTH,
        HEIGHT,
        _axes(shown, zone),
        _area(shown),
        _line(shown),
        _dots(shown),
    )


def power_w(before: Reading, after: Reading) -> float:
    """The station's own figure, or the average between two readings."""
    if after.power_w is not None:
        return float(after.power_w)
    seconds = (after.at - before.at).total_seconds()
    return (after.energy_wh - before.energy_wh) * 3600 / seconds if seconds > 0 else 0.0


def _thinned(readings: Sequence[Reading]) -> list[Reading]:
    step = max(1, len(readings) // _MAX_POINTS)
    kept = list(readings[::step])
    return kept if kept[-1] == readings[-1] else [*kept, readings[-1]]


def _x(at: datetime, readings: Sequence[Reading]) -> float:
    span = (readings[-1].at - readings[0].at).total_seconds()
    return LEFT + (WIDTH - LEFT - RIGHT) * (at - readings[0].at).total_seconds() / span


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0.0), 1.0))


def _most_wh(readings: Sequence[Reading]) -> int:
    return max(1, max(each.energy_wh for each in readings) - readings[0].energy_wh)


def _most_w(readings: Sequence[Reading]) -> float:
    return max(1.0, *(power_w(before, after) for before, after in pairwise(readings)))


def _point(reading: Reading, readings: Sequence[Reading]) -> str:
    share = (reading.energy_wh - readings[0].energy_wh) / _most_wh(readings)
    return f"{_x(reading.at, readings):.1f},{_y(share):.1f}"


def _line(readings: Sequence[Reading]) -> str:
    return " ".join(_point(each, readings) for each in readings)


def _area(readings: Sequence[Reading]) -> str:
    most, floor = _most_w(readings), f"{_y(0):.1f}"
    steps = [f"{_x(readings[0].at, readings):.1f},{floor}"]
    for before, after in pairwise(readings):
        height = f"{_y(power_w(before, after) / most):.1f}"
        steps += [f"{_x(before.at, readings):.1f},{height}", f"{_x(after.at, readings):.1f},{height}"]
    return " ".join([*steps, f"{_x(readings[-1].at, readings):.1f},{floor}"])


def _dots(readings: Sequence[Reading]) -> SafeString:
    if len(readings) > 60:
        return SafeString("")
    dots = (_point(each, readings).split(",") for each in readings)
    return format_html_join("", '<circle cx="{}" cy="{}" r="2.5" fill="#2563eb"/>', dots)


def _axes(readings: Sequence[Reading], zone: ZoneInfo) -> SafeString:
    kwh, kw = _most_wh(readings) / 1000, _most_w(readings) / 1000
    shares = [tick / _TICKS for tick in range(_TICKS + 1)]
    across = (
        (LEFT, f"{_y(share):.1f}", WIDTH - RIGHT, f"{_y(share):.1f}", LEFT - 8, f"{_y(share) + 4:.1f}", f"{kwh * share:.1f}",
         WIDTH - RIGHT + 8, f"{_y(share) + 4:.1f}", f"{kw * share:.0f}")
        for share in shares
    )  # fmt: skip
    span = readings[-1].at - readings[0].at
    along = (
        (f"{_x(readings[0].at + span * share, readings):.1f}", HEIGHT - 8,
         f"{(readings[0].at + span * share).astimezone(zone):%H:%M}")
        for share in shares
    )  # fmt: skip
    return format_html(
        "{}{}",
        format_html_join(
            "",
            '<line class="yg-axis" x1="{}" y1="{}" x2="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>'
            '<text x="{}" y="{}">{}</text>',
            across,
        ),
        format_html_join("", '<text x="{}" y="{}" text-anchor="middle">{}</text>', along),
    )
