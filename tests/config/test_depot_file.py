"""The depot file: what is wrong is named by line and field."""

from decimal import Decimal
from pathlib import Path

import pytest

from config import depot_file
from config.datadir import ROOT

EXAMPLE = ROOT / "examples" / "gent-noord.yaml"


def problems(tmp_path: Path, old: str, new: str) -> list[str]:
    text = EXAMPLE.read_text()
    assert old in text
    changed = tmp_path / "depot.yaml"
    changed.write_text(text.replace(old, new, 1))
    with pytest.raises(depot_file.DepotFileError) as refusal:
        depot_file.read(changed)
    return refusal.value.problems


def test_the_example_is_read_exactly() -> None:
    file = depot_file.read(EXAMPLE)
    assert file.depot.latitude == Decimal("51.08231")
    assert [bay.evse_id for bay in file.locations[0].bays] == ["BE*YRD*E0001", "BE*YRD*E0002"]
    assert (file.schedules[0].windows[0].opens, file.schedules[0].windows[0].closes) == ("20:00", "05:00")
    assert len(file.schedules[0].windows[0].weekdays) == 7


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "time_zone: Europe/Brussels",
            "time_zone: Mars/Base",
            "depot.time_zone: 'Mars/Base' is no IANA time zone",
        ),
        ("latitude: 51.08231", "latitude: 151.08231", "depot.latitude: 151.08231 is not between -90 and 90"),
        ("country: BEL", "country: BE", "depot.country: Expected `str` matching regex"),
        (
            "station: GENT-02",
            "station: GENT-09",
            "locations[0].bays[1].station: 'GENT-09' is not among the stations",
        ),
        (
            "evse_id: BE*YRD*E0002",
            "evse_id: BE*YRD*E0001",
            "locations[0].bays[1].evse_id: 'BE*YRD*E0001' is given twice",
        ),
        ("max_amperage: 32}", "max_amperage: 0}", "locations[0].bays[1].connectors[0].max_amperage"),
        ("schedule: night", "schedule: nights", "grants[0].schedule: 'nights' is not in this file"),
        ("tariff: GENT-TAXI", "tariff: NONE", "grants[0].tariff: 'NONE' is not in this file"),
        ('opens: "20:00"', 'opens: "24:00"', "schedules[0].windows[0].opens: Expected `str` matching regex"),
        ("fleet: De Lijn", "fleat: De Lijn", "depot: Object contains unknown field `fleat`"),
        (
            "directions: Enter by gate 2",
            "directions: <b>Enter</b> by gate 2",
            "locations[0].directions: '<b>' is HTML",
        ),
        (
            "directions: Enter",
            f"directions: {'x' * 500} Enter",
            "locations[0].directions: Expected `str` of length",
        ),
        ("end_policy: GRACE", "end_policy: KICK", "grants[0].end_policy: Invalid enum value 'KICK'"),
    ],
)
def test_a_mistake_is_named_with_line_and_field(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """TYP-09 among others: directions with 513 characters or HTML."""
    [problem] = problems(tmp_path, old, new)
    line = int(problem.split(":")[0].removeprefix("line "))
    field = problem.split(": ", 1)[1]
    assert field.startswith(expected)
    text = EXAMPLE.read_text().replace(old, new, 1).splitlines()
    key = expected.split(":", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1].split("[", maxsplit=1)[0]
    assert key in text[line - 1]


def test_what_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, "name: night", "name: [")
    assert problem.startswith("line 6")
    assert "not YAML" in problem


def test_all_contradictions_are_named_at_once(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("time_zone: Europe/Brussels", "time_zone: Mars")
    changed = tmp_path / "depot.yaml"
    changed.write_text(text.replace("schedule: night", "schedule: day"))
    with pytest.raises(depot_file.DepotFileError) as refusal:
        depot_file.read(changed)
    assert [problem.split(": ")[1] for problem in refusal.value.problems] == [
        "depot.time_zone",
        "grants[0].schedule",
    ]
