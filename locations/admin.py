"""The operator's face of locations: bay pools, bays with their connectors, and what each partner is shown.

Depots are in the admin of `config`: their page shows grants and sessions too.
"""

import json
from enum import StrEnum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from locations import master, seen
from locations.models import EVSE, Connector, Location, PartnerView
from locations.services import remove_evse
from ocpi import codec, v221
from ocpi.plaintext import display_text_fault
from roaming.operators import (
    OperatorAdmin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    badge,
    clock,
    duration,
    json_block,
    table,
    without,
)
from roaming.pages import ask, row_of

STATUS_COLOURS = {
    v221.Status.AVAILABLE: "green",
    v221.Status.CHARGING: "blue",
    v221.Status.RESERVED: "blue",
    v221.Status.BLOCKED: "amber",
    v221.Status.OUTOFORDER: "red",
}


def status_badge(status: str) -> SafeString:
    """A status of OCPI as a coloured word."""
    return badge(status, STATUS_COLOURS.get(v221.Status(status), "grey"))


def _words(enum: type[StrEnum], help_text: str = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=[(word.value, word.value) for word in enum],
        required=False,
        help_text=help_text or "Several with Ctrl.",
        widget=UnfoldAdminSelectMultipleWidget(attrs={"size": 8}),
    )


class LocationForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Facilities to choose from instead of a list to type, and directions that partners can show."""

    facilities = _words(v221.Facility)

    def clean_directions(self) -> str:
        """They become a DisplayText: no markup (TYP-09)."""
        directions: str = self.cleaned_data["directions"]
        fault = display_text_fault(directions)
        if fault is not None:
            raise forms.ValidationError(fault)
        return directions


class EvseForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Capabilities and restrictions to choose from instead of lists to type."""

    capabilities = _words(v221.Capability)
    parking_restrictions = _words(v221.ParkingRestriction)


class EvseInline(ReadOnlyInline):
    """The bays of a pool; each has a page of its own."""

    model = EVSE
    verbose_name_plural = "bays"
    show_change_link = True
    fields = (
        "bay_label",
        "evse_id",
        "station_identity",
        "ocpp_connector",
        "device_status",
        "is_online",
        "is_removed",
    )
    readonly_fields = ("device_status", "is_online")


@admin.register(Location)
class LocationAdmin(OperatorAdmin):
    """Bay pools. A saved change is published to every partner that sees the pool."""

    operator_path = "depot__operator"
    form = LocationForm
    list_display = ("name", "depot", "bays", "seen_by")
    list_filter = ("depot",)
    search_fields = ("name", "ocpi_id")
    fields = ("depot", "name", "ocpi_id", "directions", "parking_type", "facilities")
    inlines: ClassVar = [EvseInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Location]:
        """With what the list counts."""
        return (
            super()
            .get_queryset(request)
            .select_related("depot")
            .prefetch_related("evses", "partner_views__party")
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A published pool stays where it is."""
        return ("ocpi_id", "depot") if obj else ("ocpi_id",)

    @display(description="Bays")
    def bays(self, location: Location) -> int:
        """How many bays are in service."""
        return sum(not evse.is_removed for evse in location.evses.all())

    @display(description="Seen by")
    def seen_by(self, location: Location) -> str:
        """Partners that are shown this pool."""
        return ", ".join(str(view.party.ocpi_id) for view in location.partner_views.all()) or "nobody"

    def save_model(self, request: HttpRequest, obj: Location, form: Any, change: bool) -> None:
        """Save and publish in one go."""
        with master.changing(location_id=obj.pk, now=timezone.now()):
            super().save_model(request, obj, form, change)


class ConnectorInline(TabularInline):
    """Plugs and sockets of a bay."""

    model = Connector
    extra = 0
    can_delete = False
    hide_title = True
    fields = (
        "ocpi_id",
        "standard",
        "format",
        "power_type",
        "max_voltage",
        "max_amperage",
        "max_electric_power",
    )


@admin.register(EVSE)
class EvseAdmin(OperatorAdmin):
    """Bays. Master data is edited here and published at once; state comes from the station alone."""

    operator_path = "location__depot__operator"
    form = EvseForm
    list_display = ("bay", "evse_id", "location", "station_identity", "status", "presence", "serving_party")
    list_filter = ("location__depot", "location", "device_status", "is_online", "is_removed")
    list_select_related = ("location", "serving_party")
    search_fields = ("evse_id", "uid", "bay_label", "station_identity")
    inlines: ClassVar = [ConnectorInline]
    actions_detail: ClassVar = ["take_out"]
    STATE = ("status", "presence", "device_status_at", "ocpp_status", "serving_party", "is_removed", "uid")
    readonly_fields = STATE
    fieldsets = (
        (None, {"fields": ("location", "evse_id", "bay_label", "station_identity", "ocpp_connector")}),
        ("Shown to drivers", {"fields": ("capabilities", "parking_restrictions")}),
        ("State", {"fields": STATE}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A bay does not move: another pool or another station makes another bay (LOC-08)."""
        return (*self.STATE, "location", "station_identity", "ocpp_connector") if obj else self.STATE

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """What is out of service cannot be taken out again."""
        row = self.get_object(request, str(object_id))
        return without(
            {"take_out"} if row and row.is_removed else (), super().get_actions_detail(request, object_id)
        )

    @display(description="Bay")
    def bay(self, evse: EVSE) -> str:
        """What is painted on the ground."""
        return evse.bay_label or "–"

    @display(description="Station says", ordering="device_status")
    def status(self, evse: EVSE) -> SafeString:
        """What the station reported last."""
        return status_badge("REMOVED" if evse.is_removed else evse.device_status)

    @display(description="Station", ordering="is_online")
    def presence(self, evse: EVSE) -> SafeString:
        """Whether the station is connected, and since when it is not."""
        if evse.is_online:
            return badge("online", "green")
        if evse.offline_since is None:
            return badge("never seen", "grey")
        return badge(f"offline for {duration(timezone.now() - evse.offline_since)}", "red")

    def save_model(self, request: HttpRequest, obj: EVSE, form: Any, change: bool) -> None:
        """Saved together with its connectors, see `save_related`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save bay and connectors, then publish once."""
        with master.changing(location_id=form.instance.location_id, now=timezone.now()):
            super().save_model(request, form.instance, form, change)
            super().save_related(request, form, formsets, change)

    @action(description="Take out of service for good", permissions=["act"], icon="block")
    def take_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the bay as REMOVED to everybody, for ever."""
        evse = row_of(self, request, object_id)

        def verb(_: object) -> str:
            if evse.is_removed:
                raise ValueError("This bay was taken out of service before.")
            remove_evse(evse=evse, now=timezone.now())
            return f"{evse.evse_id} is out of service: partners are told that it is REMOVED."

        return ask(
            self,
            request,
            row=evse,
            title=f"Take {evse.evse_id} out of service?",
            text="Partners are told REMOVED, and that is final (LOC-07): the bay can come back only as a new one, with "
            "a new uid. A session that is running there goes on. For a repair, use the station's own status instead.",
            verb=verb,
            submit="Take out of service for good",
            is_harmful=True,
        )


@admin.register(PartnerView)
class PartnerViewAdmin(ReadOnlyAdmin):
    """What each partner is shown of each pool, at this moment."""

    operator_path = "own_party"
    list_display = ("location", "party", "access_now", "changes_next", "last_updated")
    list_filter = ("location__depot", "location", "party")
    list_select_related = ("location__depot", "party")
    search_fields = ("location__name", "party__name", "party__party_id")
    fields = ("location", "party", "own_party", "access_now", "changes_next", "opening", "shown", "terms",
              "last_updated", "document_json")  # fmt: skip
    readonly_fields = ("access_now", "changes_next", "opening", "shown", "terms", "document_json")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PartnerView]:
        """The depot is needed for its clock."""
        return super().get_queryset(request).select_related("location__depot__operator", "party")

    @display(description="Now")
    def access_now(self, view: PartnerView) -> SafeString:
        """Open or closed to this partner."""
        access = seen.access_of_view(view, timezone.now())
        return badge(access.word, access.tone)

    @display(description="Next change", ordering="next_edge_at")
    def changes_next(self, view: PartnerView) -> str:
        """When and to what it changes, on the depot's clock."""
        access = seen.access_of_view(view, timezone.now())
        if access.next_at is None:
            return "none ahead"
        zone = ZoneInfo(view.location.depot.time_zone)
        return f"{access.next_word} {clock(access.next_at, zone)} ({zone.key})"

    @display(description="Opening times")
    def opening(self, view: PartnerView) -> SafeString:
        """As published."""
        zone = ZoneInfo(view.location.depot.time_zone)
        return table(("Day", "Hours"), seen.hours(seen.document_now(view, timezone.now()), zone))

    @display(description="Bays")
    def shown(self, view: PartnerView) -> SafeString:
        """Each bay: what is true, and what this partner is shown."""
        evses = {evse.uid: evse for evse in EVSE.objects.filter(location=view.location)}
        lines = seen.bays(seen.document_now(view, timezone.now()), evses)
        return table(("Bay", "EVSE", "Station says", "Partner sees", "Tariffs"), lines)

    @display(description="Terms")
    def terms(self, view: PartnerView) -> SafeString:
        """Who may see it further, and what happens after hours."""
        shown = seen.document_now(view, timezone.now())
        groups = ", ".join(each.group_id or "by other marks" for each in shown.publish_allowed_to)
        return table(
            ("What", "How"),
            [
                (
                    "Shown in the partner's app",
                    "to everybody" if shown.publish else f"only to {groups or 'nobody'}",
                ),
                ("Charging goes on when closed", "yes" if shown.charging_when_closed else "no"),
                ("Directions", "; ".join(each.text for each in shown.directions) or "–"),
            ],
        )

    @display(description="JSON, as this partner gets it")
    def document_json(self, view: PartnerView) -> SafeString:
        """The document, indented."""
        document = codec.encode(seen.document_now(view, timezone.now()))
        return json_block(json.dumps(json.loads(document), indent=2, ensure_ascii=False))
