"""Write the CDRs of a month to a CSV file and print its totals."""

import json
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from cdrs import exports
from locations.models import Depot
from ocpi.headers import PartyId
from ocpi.scalars import write_number
from roaming.models import Party
from tariffs.currencies import MINOR_UNITS


class Command(BaseCommand):
    """`manage.py export_cdrs --month 2026-11 [--party NL-EMS] [--depot gent-noord] [--out FILE] [--json]`."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to export, and where to."""
        parser.add_argument("--month", required=True, type=_month, help="Month of the ends, e.g. 2026-11.")
        parser.add_argument("--party", type=_party, help="Only of this partner, e.g. NL-EMS.")
        parser.add_argument("--depot", default="", help="Only at the depot with this code.")
        parser.add_argument(
            "--out", type=Path, help="File to write; default: cdrs-MONTH….csv in this folder."
        )
        parser.add_argument("--json", action="store_true", help="Print the result as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rows and totals come from one snapshot, so they always agree."""
        month, party, depot = options["month"], options["party"], options["depot"]
        _require_known(party, depot)
        file = options["out"] or Path(_name(month, party, depot))
        with transaction.atomic(), file.open("w", encoding="utf-8", newline="") as out:
            _one_snapshot()
            cdrs = exports.selection(month=month, party=party, depot=depot)
            rows = exports.write_csv(out=out, cdrs=cdrs)
            totals = exports.totals(cdrs)
        report = {
            "file": str(file),
            "rows": rows,
            "totals": {code: _shown(code, of) for code, of in totals.items()},
        }
        self.stdout.write(json.dumps(report) if options["json"] else _sentence(report))


def _month(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def _party(text: str) -> PartyId:
    country_code, _, party_id = text.partition("-")
    return PartyId.of(country_code, party_id)


def _require_known(party: PartyId | None, depot: str) -> None:
    if (
        party is not None
        and not Party.objects.filter(country_code=party.country_code, party_id=party.party_id).exists()
    ):
        raise CommandError(f"--party: there is no party {party}")
    if depot and not Depot.objects.filter(code=depot).exists():
        raise CommandError(f"--depot: there is no depot with the code '{depot}'")


def _one_snapshot() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")


def _name(month: date, party: PartyId | None, depot: str) -> str:
    return "-".join(filter(None, ["cdrs", f"{month:%Y-%m}", str(party) if party else "", depot])) + ".csv"


def _shown(currency: str, total: exports.CurrencyTotal) -> dict[str, str | None]:
    """Amounts as strings with the decimals of their currency: JSON readers love to make floats of numbers."""
    units = MINOR_UNITS[currency]
    return {
        "excl_vat": write_number(round(total.excl_vat, units)),
        "incl_vat": None if total.incl_vat is None else write_number(round(total.incl_vat, units)),
    }


def _sentence(report: dict[str, Any]) -> str:
    totals = ", ".join(
        f"{sums['excl_vat']} {code} excl. VAT"
        + (f", {sums['incl_vat']} {code} incl. VAT" if sums["incl_vat"] is not None else "")
        for code, sums in report["totals"].items()
    )
    return f"{report['rows']} CDRs written to {report['file']}" + (f": {totals}" if totals else "")
