"""Loading a depot file: all of it or nothing, and twice is once."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from access.models import Edge, Grant, Window
from chargers.models import Station
from chargers.passwords import is_password
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE, Depot, PartnerView
from ocpi import codec, v221
from roaming.models import Obligation, Party
from tariffs.models import Tariff
from tests.charging.conftest import connected_partner

pytestmark = pytest.mark.django_db
EXAMPLE = ROOT / "examples" / "gent-noord.yaml"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def taxi(db) -> Party:
    return connected_partner("Randstad Taxi", "NL", "EMS")


def load(path: Path = EXAMPLE) -> depots.Report:
    return depots.load(file=depot_file.read(path), now=NOW)


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "depot.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def everything() -> dict[str, str]:
    """A digest of every row of every table of ours."""
    with connection.cursor() as cursor:
        tables = [
            name for name in connection.introspection.table_names(cursor) if not name.startswith("django_")
        ]
        digests = {}
        for table in tables:
            cursor.execute(
                f"SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {table} t"
            )
            digests[table] = cursor.fetchone()[0]
    return digests


def test_loading_creates_what_the_file_describes(taxi: Party) -> None:
    report = load()
    assert report.changed == []
    assert (Depot.objects.count(), EVSE.objects.count(), Station.objects.count()) == (1, 2, 2)
    assert (Tariff.objects.count(), Grant.objects.count()) == (1, 1)
    assert is_password(Station.objects.get(identity="GENT-01").password_hash, "example-only-01")
    document = codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get(party=taxi).document))
    assert document.opening_times is not None
    assert document.charging_when_closed is False
    assert {evse.status for evse in document.evses} == {v221.Status.INOPERATIVE}


def test_loading_again_changes_no_byte(taxi: Party) -> None:
    load()
    before = everything()
    report = load()
    assert (report.created, report.changed) == ([], [])
    assert everything() == before


def test_a_changed_line_changes_that_row_and_says_so(taxi: Party, tmp_path: Path) -> None:
    load()
    version = Grant.objects.get().version
    report = load(edited(tmp_path, "grace_minutes: 15", "grace_minutes: 10"))
    assert report.created == []
    assert report.changed == ["grant of NL-EMS at guest"]
    grant = Grant.objects.get()
    assert (grant.grace_minutes, grant.version) == (10, version + 1)


def test_changed_hours_move_the_edges(taxi: Party, tmp_path: Path) -> None:
    load()
    report = load(edited(tmp_path, 'opens: "20:00"', 'opens: "21:30"'))
    assert report.changed == ["schedule night: windows"]
    assert [str(window) for window in Window.objects.all()] == ["21:30-05:00"]
    first = Edge.objects.filter(kind="open").order_by("at").first()
    assert first is not None
    assert first.at == datetime(2026, 11, 24, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("party: NL-EMS", "party: NL-XXX", "grants[0].party"),
        ("price: 0.39", "price: cheap", "tariffs[0]"),
        ("currency: EUR", "currency: XQX", "tariffs[0]"),
        (
            "tariff: GENT-TAXI",
            "tariff: GENT-TAXI\n    profile_tariffs: [GENT-TAXI]",
            "grants[0].profile_tariffs",
        ),
        ("currency: EUR", "currency: EUR\n    alt_text: <i>cheap</i>", "tariffs[0]"),
        ("currency: EUR", f"currency: EUR\n    alt_text: {'x' * 513}", "tariffs[0]"),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(
    taxi: Party, tmp_path: Path, old: str, new: str, field: str
) -> None:
    """TYP-09 among others: the text of a tariff with 513 characters or HTML."""
    before = everything()
    owed = Obligation.objects.count()
    path = edited(tmp_path, old, new)
    with pytest.raises(CommandError) as refusal:
        call_command("load_depot", str(path))
    assert field in str(refusal.value)
    assert "nothing has changed" in str(refusal.value)
    assert "line " in str(refusal.value)
    assert everything() == before
    assert Obligation.objects.count() == owed


GREEN = """  - id: GENT-GREEN
    name: Taxi contract, when the sun shines
    currency: EUR
    type: PROFILE_GREEN
    elements:
      - price_components:
          - {type: ENERGY, price: 0.29, vat: 21, step_size: 1}

locations:
"""


def test_a_grant_names_tariffs_for_preferences(taxi: Party, tmp_path: Path) -> None:
    path = edited(tmp_path, "locations:\n", GREEN)
    path.write_text(
        path.read_text().replace("tariff: GENT-TAXI", "tariff: GENT-TAXI\n    profile_tariffs: [GENT-GREEN]")
    )
    load(path)
    assert [each.ocpi_id for each in Grant.objects.get().profile_tariffs.all()] == ["GENT-GREEN"]
    assert load(path).changed == []
    load()
    assert not Grant.objects.get().profile_tariffs.exists()


def test_a_bay_that_another_depot_has_is_refused(taxi: Party, tmp_path: Path) -> None:
    load()
    other = edited(tmp_path, "code: gent-noord", "code: gent-zuid")
    before = everything()
    with pytest.raises(depots.NotHere, match="stands at depot Gent Noord"):
        load(other)
    assert everything() == before


def test_the_command_tells_as_json_what_it_did(taxi: Party) -> None:
    out = StringIO()
    call_command("load_depot", str(EXAMPLE), "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert "grant of NL-EMS at guest" in report["created"]
    assert report["changed"] == []
