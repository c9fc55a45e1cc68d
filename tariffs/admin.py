"""The face of tariffs for operators and finance: what costs how much, who sees it, and what a session would cost."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from ocpi import v221
from roaming.operators import ReadOnlyAdmin, ReadOnlyInline, badge, json_block, table, without
from roaming.pages import PageForm, ask, change_url, page, row_of
from tariffs.bill import CannotPrice
from tariffs.explained import bill_table
from tariffs.findings import Severity
from tariffs.lint import lint
from tariffs.models import Tariff, TariffView
from tariffs.preview import preview
from tariffs.readable import limits, price_rows
from tariffs.services import withdraw_tariff
from tariffs.wire import tariff_object

LONGEST = 14 * 24 * 60
LOCAL_TIME = "%Y-%m-%dT%H:%M"


class PreviewForm(PageForm):
    """A session that nobody has charged yet."""

    zone = forms.ChoiceField(
        label="Clock of", help_text="Hours and weekdays of a tariff are those of the depot."
    )
    start = forms.DateTimeField(
        label="Starts", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME)
    )
    energy_kwh = forms.DecimalField(
        label="Energy, kWh", min_value=Decimal(0), max_value=Decimal(100_000), max_digits=9, decimal_places=3
    )
    charging_minutes = forms.IntegerField(label="Charges for, minutes", min_value=0, max_value=LONGEST)
    parking_minutes = forms.IntegerField(
        label="Then parks for, minutes",
        min_value=0,
        max_value=LONGEST,
        required=False,
        help_text="Plugged in without drawing power.",
    )

    def __init__(self, *args: Any, zones: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].choices = [(name, name) for name in zones]  # type: ignore[attr-defined]  # a ChoiceField
        self.fields["zone"].widget.choices = self.fields["zone"].choices  # type: ignore[attr-defined]  # a Select


class ViewInline(ReadOnlyInline):
    """Partners that see this tariff because a grant of theirs names it."""

    model = TariffView
    verbose_name_plural = "partners that see it"
    fields = ("party", "last_updated")


@admin.register(Tariff)
class TariffAdmin(ReadOnlyAdmin):
    """Tariffs are put by the depot file or the API of this product; here they are read, tried and withdrawn."""

    operator_path = "party"
    list_display = ("shown_name", "ocpi_id", "party", "currency", "prices", "state", "last_updated")
    list_filter = ("party", "currency", "is_withdrawn")
    list_select_related = ("party",)
    search_fields = ("name", "ocpi_id")
    inlines: ClassVar = [ViewInline]
    actions_detail: ClassVar = ["try_it", "withdraw"]
    fields = (
        "shown_name",
        "ocpi_id",
        "party",
        "state",
        "price_table",
        "rest",
        "checks",
        "last_updated",
        "document_json",
    )
    readonly_fields = ("shown_name", "state", "price_table", "rest", "checks", "document_json")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Withdrawn is withdrawn."""
        row = self.get_object(request, str(object_id))
        return without(
            {"withdraw"} if row and row.is_withdrawn else (), super().get_actions_detail(request, object_id)
        )

    @display(description="Name", ordering="name")
    def shown_name(self, tariff: Tariff) -> str:
        """As operators call it."""
        return tariff.name or tariff.ocpi_id

    @display(description="Elements")
    def prices(self, tariff: Tariff) -> str:
        """The first prices, in short."""
        rows = list(price_rows(tariff_object(tariff)))
        shown = ", ".join(f"{price} {unit}" for _, _, unit, price, *_ in rows[:3])
        return f"{shown}, …" if len(rows) > 3 else shown

    @display(description="State", ordering="is_withdrawn")
    def state(self, tariff: Tariff) -> SafeString:
        """In use or withdrawn."""
        return badge("withdrawn", "grey") if tariff.is_withdrawn else badge("in use", "green")

    @display(description="Prices, without VAT")
    def price_table(self, tariff: Tariff) -> SafeString:
        """One line per component; of the lines for one thing the first that holds counts."""
        return table(("Element", "When", "For", "Price", "VAT", "Billed"), price_rows(tariff_object(tariff)))

    @display(description="Also")
    def rest(self, tariff: Tariff) -> SafeString:
        """Limits, validity, texts."""
        return table(("What", "Value"), limits(tariff_object(tariff)))

    @display(description="Checks")
    def checks(self, tariff: Tariff) -> SafeString:
        """What the linter finds, on the clock of each depot of its party."""
        today = timezone.now().date()
        found = {
            (finding.severity, finding.text): zone
            for zone in _zones(tariff)
            for finding in lint(tariff_object(tariff), time_zone=zone, reference=today)
        }
        if not found:
            return badge("nothing to remark", "green")
        rows = [
            (badge(severity.value, "red" if severity is Severity.ERROR else "amber"), text, zone)
            for (severity, text), zone in found.items()
        ]
        return table(("", "Finding", "Seen in"), rows)

    @display(description="JSON, as partners get it")
    def document_json(self, tariff: Tariff) -> SafeString:
        """The document, indented."""
        return json_block(json.dumps(json.loads(bytes(tariff.document)), indent=2, ensure_ascii=False))

    @action(description="What would it cost?", permissions=["view"], icon="calculate")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Price a session that nobody has charged."""
        tariff = row_of(self, request, object_id)
        zones = _zones(tariff)
        now = timezone.now().astimezone(ZoneInfo(zones[0]))
        initial = {
            "start": now.strftime(LOCAL_TIME),
            "energy_kwh": 30,
            "charging_minutes": 60,
            "parking_minutes": 0,
        }
        result: SafeString | str = ""
        # The form's times are those of the depot, not of whoever sits at the screen.
        with timezone.override(ZoneInfo(_chosen(request, zones))):
            form = PreviewForm(
                request.POST if request.method == "POST" else None,
                request=request,
                zones=zones,
                initial=initial,
            )
            if request.method == "POST" and form.is_valid():
                result = _result(tariff_object(tariff), form)
        return page(
            self, request, "operators/form_page.html", title=f"What would it cost with {tariff}?", form=form,
            submit="Calculate", back=change_url(tariff), below=result, original=tariff,
            lines=["The same calculation makes the CDR. The energy is taken to flow evenly while the vehicle charges."],
        )  # fmt: skip

    @action(description="Withdraw", permissions=["act"], icon="delete")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take the tariff out of use."""
        tariff = row_of(self, request, object_id)

        def verb(_: object) -> str:
            withdraw_tariff(tariff=tariff, now=timezone.now())
            return f"{tariff} is withdrawn: no grant can name it any more."

        return ask(
            self, request, row=tariff, title=f"Withdraw {tariff}?", submit="Withdraw", is_harmful=True, verb=verb,
            text="No grant can name it afterwards. Sessions that began under it keep its prices. It is refused while a "
            "partner still sees the tariff.",
        )  # fmt: skip


def _result(tariff: v221.Tariff, form: PreviewForm) -> SafeString:
    data = form.cleaned_data
    try:
        bill = preview(
            tariff=tariff,
            time_zone=data["zone"],
            start=data["start"],
            charging=timedelta(minutes=data["charging_minutes"]),
            parking=timedelta(minutes=data["parking_minutes"] or 0),
            energy_kwh=data["energy_kwh"],
        )
    except CannotPrice as error:
        return format_html('<p class="yg-error">{}</p>', str(error))
    return format_html(
        '<div class="yg-panel"><h2>The bill</h2>{}</div>', bill_table(bill, ZoneInfo(data["zone"]))
    )


def _chosen(request: HttpRequest, zones: list[str]) -> str:
    given = request.POST.get("zone", "")
    return given if given in zones else zones[0]


def _zones(tariff: Tariff) -> list[str]:
    """The clocks of the party's depots; UTC before it has any."""
    depots: QuerySet[Any] = tariff.party.depots.all()  # type: ignore[attr-defined]  # reverse of locations.Depot.operator
    return sorted(set(depots.values_list("time_zone", flat=True))) or ["UTC"]
