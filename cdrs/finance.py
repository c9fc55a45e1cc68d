"""Pages of finance: the export of a month, and whether the books balance."""

from datetime import date
from typing import Any

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from cdrs import exports
from cdrs.books import check_books
from cdrs.downloads import csv_lines, one_snapshot
from cdrs.models import CDR
from locations.models import Depot
from ocpi.headers import PartyId
from roaming.models import Party
from roaming.operators import table, visible
from roaming.pages import PageForm, page
from tariffs.explained import money


class ExportForm(PageForm):
    """Which CDRs: a month on the depot's own clock, of one depot or partner when named."""

    month = forms.DateField(
        input_formats=["%Y-%m"],
        widget=forms.TextInput(attrs={"type": "month", "placeholder": "2026-11"}),
        help_text="Of the end of the charge, on the depot's clock.",
    )
    depot = forms.ModelChoiceField(
        queryset=Depot.objects.order_by("name"),
        required=False,
        empty_label="all depots",
        to_field_name="code",
    )
    party = forms.ModelChoiceField(
        label="Partner",
        queryset=Party.objects.filter(platform__isnull=False).order_by("country_code", "party_id"),
        required=False,
        empty_label="all partners",
    )

    def selection(self) -> Any:
        """The CDRs that were asked for, as far as this person may see them."""
        chosen = exports.selection(month=self._month(), party=self._party(), depot=self._depot())
        return visible(chosen, self.request.user)

    def file_name(self) -> str:
        """As the command names its files."""
        party = self._party()
        parts = ["cdrs", f"{self._month():%Y-%m}", str(party) if party else "", self._depot()]
        return "-".join(filter(None, parts)) + ".csv"

    def _month(self) -> date:
        month: date = self.cleaned_data["month"]
        return month

    def _party(self) -> PartyId | None:
        party: Party | None = self.cleaned_data["party"]
        return party.ocpi_id if party else None

    def _depot(self) -> str:
        depot: Depot | None = self.cleaned_data["depot"]
        return depot.code if depot else ""


def export_page(admin: ModelAdmin, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Ask what to export; show the totals, or send the file."""
    now = timezone.now()
    form = ExportForm(
        request.POST if request.method == "POST" else None, request=request, initial={"month": f"{now:%Y-%m}"}
    )
    below = ""
    if request.method == "POST" and form.is_valid():
        if "download" in request.POST:
            return _download(request, form)
        below = _totals(form)
    return page(
        admin, request, "cdrs/export.html", title="Export CDRs", form=form, below=below, submit="Show totals",
        back=reverse("admin:cdrs_cdr_changelist"),
        lines=["One line per CDR, UTF-8 with a heading; amounts are plain decimals. Rows and bytes are those that were "
               "sealed: each is checked against its hash while it is written."],
    )  # fmt: skip


def _download(request: HttpRequest, form: ExportForm) -> StreamingHttpResponse:
    LogEntry.objects.create(
        user=request.user,  # type: ignore[misc]  # staff only: never anonymous
        content_type=ContentType.objects.get_for_model(CDR),
        object_repr=form.file_name(),
        action_flag=CHANGE,
        change_message="Exported.",
    )
    answer = StreamingHttpResponse(csv_lines(form.selection()), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{form.file_name()}"'
    return answer


def _totals(form: ExportForm) -> str:
    totals = exports.totals(form.selection())
    rows = [
        (each.rows, f"{each.energy_kwh:f} kWh", money(each.excl_vat, code), money(each.incl_vat, code))
        for code, each in totals.items()
    ]
    return table(("CDRs", "Energy", "Without VAT", "With VAT"), rows)


def books_page(admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Count and verify everything from one snapshot, and say what does not balance."""
    with transaction.atomic():
        one_snapshot()
        books = check_books()
    sealed = (
        ("Sessions that have ended", books.sessions_ended, ""),
        ("= sealed", books.sealed, ""),
        ("+ in review", books.in_review, f"{books.waived} of them closed without billing"),
    )
    told = (
        ("CDRs", books.cdrs, f"{books.credits} of them take another one back"),
        ("= acknowledged", books.acked, ""),
        ("+ on their way", books.pending, ""),
        ("+ parked", books.parked, "refused by the partner: see Deliveries"),
        ("+ contested", books.contested, "the partner holds something else"),
        ("+ fetched by the partner", books.served, ""),
        ("+ cancelled by two persons", books.cancelled, ""),
    )
    return page(
        admin, request, "cdrs/books.html", title="Do the books balance?", books=books,
        sealed=table(("Sessions", "Count", ""), sealed), told=table(("CDRs", "Count", ""), told),
    )  # fmt: skip
