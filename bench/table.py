"""The figures as a table, on the terminal and in the documentation."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HEAD = ("job", "ours", "bare", "ours / bare", "DRF", "ours / DRF", "goal", "met", "seen, requests/s")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line: what was done, how often per second by whom, what was wanted, and whether it was reached."""

    job: str
    ours: str
    goal: str
    met: bool | None
    bare: str = "–"
    by_bare: str = "–"
    drf: str = "–"
    by_drf: str = "–"
    seen: str = "–"


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def against(
    job: str,
    *,
    ours: float,
    bare: float | None,
    drf: float | None,
    of_bare: float,
    times_drf: float,
    seen: tuple[float, ...] = (),
) -> Row:
    """A line with the two ratios that goals speak of: a share of the bare app, and a multiple of DRF.

    Rates are per second of processor time; `seen`: requests per second as they were answered, of all three.
    """
    by_bare = ours / bare if bare else None
    by_drf = ours / drf if drf else None
    met = (by_bare is None or by_bare >= of_bare) and (by_drf is None or by_drf >= times_drf)
    goals = [f"≥ {of_bare:.0%} of bare"] * (bare is not None) + [f"≥ {times_drf:g} × DRF"] * (
        drf is not None and times_drf > 0
    )
    return Row(
        job=job,
        ours=f"{number(ours)}/s",
        bare=f"{number(bare)}/s" if bare else "–",
        by_bare=f"{by_bare:.0%}" if by_bare is not None else "–",
        drf=f"{number(drf)}/s" if drf else "–",
        by_drf=f"{number(by_drf)} ×" if by_drf is not None else "–",
        seen=" · ".join(number(each) for each in seen) or "–",
        goal=", ".join(goals),
        met=met,
    )  # fmt: skip


def share(job: str, *, ours: float, bare: float, of_bare: float) -> Row:
    """A line that is held against the bare app only."""
    return against(job, ours=ours, bare=bare, drf=None, of_bare=of_bare, times_drf=0)


def rate(job: str, *, per_second: float, goal: float, bare: float | None = None) -> Row:
    """A line with a rate of its own as its goal."""
    return Row(
        job=job,
        ours=f"{number(per_second)}/s",
        bare=f"{number(bare)}/s" if bare else "–",
        by_bare=f"{per_second / bare:.0%}" if bare else "–",
        goal=f"≥ {goal:,.0f}/s",
        met=per_second >= goal,
    )


def markdown(rows: Iterable[Row]) -> str:
    """The table in Markdown, its columns aligned for readers of the text."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def line(row: Row) -> str:
    """One line of it, for whoever watches."""
    return "  ".join(_cells(row))


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: "–"}[row.met]
    return (row.job, row.ours, row.bare, row.by_bare, row.drf, row.by_drf, row.goal, met, row.seen)


def write(file: Path, text: str) -> None:
    """Put a text between the markers of a document. Raises ValueError when it has none."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no lines '{BEGIN}' and '{END}'")
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
