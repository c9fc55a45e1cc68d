"""CSV for finance: every CDR of the month once, in safe cells, and totals that equal the sums."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from cdrs.exports import COLUMNS, CurrencyTotal, _text, selection, totals, write_csv
from cdrs.models import CDR
from cdrs.wire import Altered
from ocpi import v221
from ocpi.headers import PartyId
from tests.cdrs.rows import in_review, sealed
from tests.sessions.material import START, cdr_location, component, tariff
from tests.sessions.rows import bay, partner

pytestmark = pytest.mark.django_db
NOVEMBER = date(2026, 11, 1)


def exported(**choice: Any) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    rows = write_csv(out=out, cdrs=selection(month=NOVEMBER, **choice))
    lines = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert len(lines) == rows
    return lines


def ended(at: datetime, number: int, **members: Any) -> CDR:
    return sealed(
        party=partner(f"P{number:02}"), evse=bay(number), started_at=at - timedelta(hours=2), **members
    )


def test_one_row_says_everything_about_a_cdr() -> None:
    """money.md 3: the documented columns, UTC and local time."""
    cdr = sealed(party=partner(), evse=bay())
    (row,) = exported()
    assert row == {
        "cdr_id": str(cdr.key),
        "session_id": str(cdr.session_id),
        "cpo": "BE-YRD",
        "partner": "NL-EMS",
        "partner_name": "Randstad Taxi",
        "contract_id": "NL-EMS-C12345678-1",
        "token_type": "RFID",
        "auth_method": "COMMAND",
        "authorization_reference": "APP-77812",
        "depot": "gent-noord",
        "location_id": "LOC-GENT-NOORD",
        "location_name": "Gent Noord, guest bays",
        "evse_id": "BE*YRD*E0001",
        "connector_id": "1",
        "start_utc": "2026-11-20T19:00:00Z",
        "end_utc": "2026-11-20T21:00:00Z",
        "start_local": "2026-11-20T20:00:00+01:00",
        "end_local": "2026-11-20T22:00:00+01:00",
        "time_zone": "Europe/Brussels",
        "energy_kwh": "20",
        "total_time_h": "2",
        "parking_time_h": "",
        "tariff_ids": "gent-night",
        "currency": "EUR",
        "fixed_excl_vat": "0.50",
        "energy_excl_vat": "7.00",
        "time_excl_vat": "",
        "parking_excl_vat": "",
        "reservation_excl_vat": "",
        "total_excl_vat": "7.50",
        "total_incl_vat": "9.08",
        "remark": "",
        "is_credit": "no",
        "credit_reference_id": "",
        "sealed_utc": "2026-11-20T21:00:02Z",
        "sha256": bytes(cdr.sha256).hex(),
    }


def test_lines_end_as_rfc_4180_says_and_commas_are_quoted() -> None:
    """RFC 4180: CRLF, a heading, quotes around a cell with a comma."""
    sealed(party=partner(), evse=bay())
    out = io.StringIO(newline="")
    write_csv(out=out, cdrs=selection(month=NOVEMBER))
    heading, line, rest = out.getvalue().split("\r\n")
    assert (heading, rest) == (",".join(COLUMNS), "")
    assert '"Gent Noord, guest bays"' in line


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+32 9", "'+32 9"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("plain", "plain"),
        (None, ""),
        ("a=b", "a=b"),
    ],
)
def test_text_is_never_a_formula(text: str | None, cell: str) -> None:
    """OWASP CSV injection."""
    assert _text(text) == cell


def test_a_name_with_a_formula_is_escaped_in_the_file() -> None:
    evil = '=HYPERLINK("http://evil.example","x")'
    party = partner("EVL", evil)
    sealed(party=party, evse=bay(), cdr_location=cdr_location(evse_uid="EVSE-GENT-1", name=evil))
    (row,) = exported()
    assert (row["partner_name"], row["location_name"]) == (f"'{evil}", f"'{evil}")


def test_a_month_begins_and_ends_on_the_clock_of_the_depot() -> None:
    """The boundary itself: 23:00 UTC on 31 October is midnight in Brussels (after the clocks went back)."""
    cases = [
        (datetime(2026, 10, 31, 22, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 10, 31, 23, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 30, 22, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 30, 23, 0, tzinfo=UTC), False),
    ]
    for number, (at, _) in enumerate(cases, start=1):
        ended(at, number)
    expected = [at.strftime("%Y-%m-%dT%H:%M:%SZ") for at, is_in in cases if is_in]
    assert [row["end_utc"] for row in exported()] == expected


def test_only_the_named_partner_and_depot_are_exported() -> None:
    first = ended(START, 1)
    ended(START, 2)
    assert [row["cdr_id"] for row in exported(party=PartyId("NL", "P01"))] == [first.ocpi_id]
    assert len(exported(depot="gent-noord")) == 2
    assert exported(depot="antwerpen") == []


def test_totals_equal_the_sums_of_the_columns() -> None:
    """By currency; what is in review is in neither."""
    for number in range(1, 4):
        ended(START, number, energy_wh=7_777 * number)
    kronor = tariff(
        v221.TariffElement(price_components=(component("ENERGY", "4.10", vat="25"),)), currency="SEK"
    )
    ended(START, 4, tariffs=(kronor,), currency="SEK")
    in_review(party=partner("REV"), evse=bay(9))
    rows = exported()
    sums = totals(selection(month=NOVEMBER))
    assert set(sums) == {"EUR", "SEK"}
    for currency, total in sums.items():
        mine = [row for row in rows if row["currency"] == currency]
        assert total == CurrencyTotal(
            rows=len(mine),
            energy_kwh=sum(Decimal(row["energy_kwh"]) for row in mine),
            excl_vat=sum(Decimal(row["total_excl_vat"]) for row in mine),
            incl_vat=sum(Decimal(row["total_incl_vat"]) for row in mine),
        )


def test_the_total_with_vat_is_unknown_when_one_is() -> None:
    """TYP-08: nothing is invented. Outside the European Union a price without VAT may be right."""
    ended(START, 1)
    plain = tariff(v221.TariffElement(price_components=(component("ENERGY", "0.35", vat=None),)))
    abroad = cdr_location(country="USA", evse_uid="EVSE-GENT-2")
    ended(START, 2, tariffs=(plain,), cdr_location=abroad)
    assert totals(selection(month=NOVEMBER))["EUR"].incl_vat is None


def test_an_altered_cdr_stops_the_export() -> None:
    sealed(party=partner(), evse=bay())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE cdrs_cdr DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE cdrs_cdr DROP CONSTRAINT cdr_body_matches_its_hash")
        cursor.execute("UPDATE cdrs_cdr SET body = body || ' '::bytea")
        cursor.execute("ALTER TABLE cdrs_cdr ENABLE TRIGGER USER")
    with pytest.raises(Altered):
        exported()


def test_an_empty_month_is_a_heading_and_no_totals() -> None:
    assert exported() == []
    assert totals(selection(month=NOVEMBER)) == {}


@pytest.fixture
def committed(transactional_db: None) -> None:
    """The command opens a snapshot of its own, so its rows must be committed."""
    sealed(party=partner(), evse=bay(1))
    sealed(party=partner("TNM", "Vlaamse Koeriers"), evse=bay(2), energy_wh=10_000)


@pytest.mark.usefixtures("committed")
def test_the_command_writes_the_file_and_prints_its_totals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "november.csv"
    call_command("export_cdrs", "--month", "2026-11", "--out", str(file), "--json")
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "rows": 2,
        "totals": {"EUR": {"excl_vat": "11.50", "incl_vat": "13.92"}},
    }
    lines = file.read_bytes().decode("utf-8").split("\r\n")
    assert (len(lines), lines[0]) == (4, ",".join(COLUMNS))


@pytest.mark.usefixtures("committed")
def test_the_command_takes_one_partner_and_names_the_file_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call_command("export_cdrs", "--month", "2026-11", "--party", "nl-tnm", "--depot", "gent-noord")
    name = "cdrs-2026-11-NL-TNM-gent-noord.csv"
    expected = f"1 CDRs written to {name}: 4.00 EUR excl. VAT, 4.84 EUR incl. VAT\n"
    assert capsys.readouterr().out == expected
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    "arguments",
    [("--party", "NL-XXX"), ("--depot", "antwerpen"), ("--month", "2026-13"), ("--month", "november")],
)
def test_the_command_refuses_what_it_does_not_know(tmp_path: Path, arguments: tuple[str, str]) -> None:
    file = tmp_path / "out.csv"
    given = ["--month", "2026-11", "--out", str(file), *arguments]
    with pytest.raises(CommandError):
        call_command("export_cdrs", *given)
    assert not file.exists()
