"""CDRs as CSV for finance (money.md 3): RFC 4180, UTF-8, one row per CDR, in constant memory.

The columns are listed in ``COLUMNS``; docs/exports.md explains each. Amounts and volumes are plain decimals
with a dot. Text that a spreadsheet would run as a formula is given an apostrophe in front. A credit CDR counts
backwards: all its amounts and volumes are negative here (in the OCPI object only ``total_cost`` is, CDR-10), so every
column can be summed.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO
from zoneinfo import ZoneInfo

import msgspec
from django.db.models import Case, Count, F, Q, QuerySet, Sum, When

from cdrs.models import CDR
from cdrs.wire import sealed_body
from ocpi import v221
from ocpi.headers import PartyId
from ocpi.scalars import write_datetime, write_number

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_CHUNK = 2_000
# No zone is further from UTC than 14 hours.
_WIDEST_OFFSET = timedelta(hours=14)
_DECODER = msgspec.json.Decoder(v221.CDR)
# Rows are wide: what the columns do not read stays in the database.
_READ = (
    "ocpi_id",
    "body",
    "sha256",
    "time_zone",
    "party__country_code",
    "party__party_id",
    "party__name",
    "session__location__depot__code",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One CDR with what the columns read: the database row and the object in its sealed bytes."""

    row: CDR
    cdr: v221.CDR

    def counted(self, value: Decimal | None) -> str:
        """A volume or a part of the cost as it counts in a sum: backwards in a credit CDR."""
        return _number(-value if value is not None and self.cdr.credit else value)

    def part(self, price: v221.Price | None) -> str:
        """The same without VAT, of an amount that the credit CDR itself does not negate."""
        return "" if price is None else self.counted(price.excl_vat)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyTotal:
    """Sums of one currency, credits taken off; ``incl_vat`` is None when the VAT of one of its CDRs is not known."""

    rows: int
    energy_kwh: Decimal
    excl_vat: Decimal
    incl_vat: Decimal | None


def _text(value: str | None) -> str:
    """A text cell that no spreadsheet takes for a formula."""
    text = value or ""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _number(value: Decimal | None) -> str:
    return "" if value is None else write_number(value)


def _local(value: datetime, zone: str) -> str:
    return value.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


COLUMNS: dict[str, Callable[[Row], str]] = {
    "cdr_id": lambda each: _text(each.cdr.id),
    "session_id": lambda each: _text(each.cdr.session_id),
    "cpo": lambda each: _text(str(PartyId(each.cdr.country_code, each.cdr.party_id))),
    "partner": lambda each: _text(str(each.row.party.ocpi_id)),
    "partner_name": lambda each: _text(each.row.party.name),
    "contract_id": lambda each: _text(each.cdr.cdr_token.contract_id),
    "token_type": lambda each: each.cdr.cdr_token.type.value,
    "auth_method": lambda each: each.cdr.auth_method.value,
    "authorization_reference": lambda each: _text(each.cdr.authorization_reference),
    "depot": lambda each: _text(each.row.session.location.depot.code),
    "location_id": lambda each: _text(each.cdr.cdr_location.id),
    "location_name": lambda each: _text(each.cdr.cdr_location.name),
    "evse_id": lambda each: _text(each.cdr.cdr_location.evse_id),
    "connector_id": lambda each: _text(each.cdr.cdr_location.connector_id),
    "start_utc": lambda each: write_datetime(each.cdr.start_date_time),
    "end_utc": lambda each: write_datetime(each.cdr.end_date_time),
    "start_local": lambda each: _local(each.cdr.start_date_time, each.row.time_zone),
    "end_local": lambda each: _local(each.cdr.end_date_time, each.row.time_zone),
    "time_zone": lambda each: _text(each.row.time_zone),
    "energy_kwh": lambda each: each.counted(each.cdr.total_energy),
    "total_time_h": lambda each: each.counted(each.cdr.total_time),
    "parking_time_h": lambda each: each.counted(each.cdr.total_parking_time),
    "tariff_ids": lambda each: _text(" ".join(tariff.id for tariff in each.cdr.tariffs)),
    "currency": lambda each: each.cdr.currency,
    "fixed_excl_vat": lambda each: each.part(each.cdr.total_fixed_cost),
    "energy_excl_vat": lambda each: each.part(each.cdr.total_energy_cost),
    "time_excl_vat": lambda each: each.part(each.cdr.total_time_cost),
    "parking_excl_vat": lambda each: each.part(each.cdr.total_parking_cost),
    "reservation_excl_vat": lambda each: each.part(each.cdr.total_reservation_cost),
    "total_excl_vat": lambda each: write_number(each.cdr.total_cost.excl_vat),
    "total_incl_vat": lambda each: _number(each.cdr.total_cost.incl_vat),
    "remark": lambda each: _text(each.cdr.remark),
    "is_credit": lambda each: "yes" if each.cdr.credit else "no",
    "credit_reference_id": lambda each: _text(each.cdr.credit_reference_id),
    "sealed_utc": lambda each: write_datetime(each.cdr.last_updated),
    "sha256": lambda each: bytes(each.row.sha256).hex(),
}


def selection(*, month: date, party: PartyId | None = None, depot: str = "") -> QuerySet[CDR]:
    """CDRs of charges that ended in a month on the depot's own clock, of one partner or depot when named."""
    begins = datetime.combine(month.replace(day=1), time.min)
    ends = datetime.combine((month.replace(day=28) + timedelta(days=4)).replace(day=1), time.min)
    near = CDR.objects.filter(
        ended_at__gte=begins.replace(tzinfo=ZoneInfo("UTC")) - _WIDEST_OFFSET,
        ended_at__lt=ends.replace(tzinfo=ZoneInfo("UTC")) + _WIDEST_OFFSET,
    )
    if party is not None:
        near = near.filter(party__country_code=party.country_code, party__party_id=party.party_id)
    if depot:
        near = near.filter(session__location__depot__code=depot)
    in_month = Q(pk__in=[])
    for name in near.order_by("time_zone").values_list("time_zone", flat=True).distinct():
        zone = ZoneInfo(name)
        in_month |= Q(
            time_zone=name,
            ended_at__gte=begins.replace(tzinfo=zone),
            ended_at__lt=ends.replace(tzinfo=zone),
        )
    return near.filter(in_month).order_by("ended_at", "key")


def rows_of(cdrs: QuerySet[CDR]) -> Iterator[Row]:
    """Stream CDRs with their sealed objects. Raises cdrs.wire.Altered at the first one that was tampered
    with."""
    related = cdrs.select_related("party", "session__location__depot").only(*_READ)
    for row in related.iterator(chunk_size=_CHUNK):
        yield Row(row, _DECODER.decode(sealed_body(row)))


def write_csv(*, out: IO[str], cdrs: QuerySet[CDR]) -> int:
    """Write a heading and one line per CDR; returns the number of CDRs. Open ``out`` with ``newline=""``."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in rows_of(cdrs):
        writer.writerow([column(row) for column in COLUMNS.values()])
        count += 1
    return count


def totals(cdrs: QuerySet[CDR]) -> dict[str, CurrencyTotal]:
    """Sums by currency, made by the database from the same rows: they equal the sums of the CSV's columns."""
    sums = (
        cdrs.order_by()
        .values("currency")
        .annotate(
            rows=Count("pk"),
            energy=Sum(Case(When(is_credit=True, then=-F("energy_kwh")), default=F("energy_kwh"))),
            excl=Sum("total_excl_vat"),
            incl=Sum("total_incl_vat"),
            with_vat=Count("total_incl_vat"),
        )
        .order_by("currency")
    )
    return {
        each["currency"]: CurrencyTotal(
            rows=each["rows"],
            energy_kwh=each["energy"],
            excl_vat=each["excl"],
            incl_vat=each["incl"] if each["with_vat"] == each["rows"] else None,
        )
        for each in sums
    }
