"""The operator's face of the stations."""

import json
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from chargers.models import Station, StationCall
from chargers.stations import give_new_password
from charging.moments import ALARM
from roaming.models import Party
from roaming.operators import OperatorAdmin, ReadOnlyAdmin, Row, badge, duration, json_block
from roaming.pages import PageForm, change_url, page, row_of
from roaming.redaction import readable

CALL_COLOURS = {
    StationCall.State.NEW: "blue",
    StationCall.State.SENT: "blue",
    StationCall.State.DONE: "green",
    StationCall.State.FAILED: "red",
    StationCall.State.EXPIRED: "amber",
}


@admin.register(Station)
class StationAdmin(OperatorAdmin):
    """Stations and whether they are connected. A password is shown once, when it is made."""

    operator_path = "depot__operator"
    list_display = ("identity", "depot", "presence", "seen", "clock", "vendor", "model", "firmware_version")
    list_filter = ("depot", "is_online", "vendor")
    list_select_related = ("depot",)
    search_fields = ("identity", "model")
    actions_detail: ClassVar = ["new_password"]
    STATE = (
        "presence",
        "seen",
        "vendor",
        "model",
        "firmware_version",
        "connected_at",
        "booted_at",
        "clock",
        "configuration",
        "configuration_read_at",
        "limits",
        "has_password",
    )
    fieldsets = ((None, {"fields": ("identity", "depot")}), ("State", {"fields": STATE}))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The identity is what the station itself presents: fixed once it is known."""
        return (*self.STATE, "identity", "depot") if obj else self.STATE

    @display(description="Presence", ordering="is_online")
    def presence(self, station: Station) -> SafeString:
        """Online or offline as a coloured word."""
        return badge("online", "green") if station.is_online else badge("offline", "red")

    @display(description="Last heard", ordering="last_seen_at")
    def seen(self, station: Station) -> str:
        """How long ago."""
        return f"{duration(timezone.now() - station.last_seen_at)} ago" if station.last_seen_at else "never"

    @display(description="Clock")
    def clock(self, station: Station) -> SafeString:
        """How far it is off; a wrong clock sends charges to review."""
        seconds = station.clock_skew_seconds
        if seconds is None:
            return badge("not heard yet", "grey")
        is_right = abs(seconds) <= ALARM.total_seconds()
        direction = "ahead" if seconds > 0 else "behind"
        text = "right" if is_right else f"{duration(timedelta(seconds=abs(seconds)))} {direction}"
        return badge(text, "green" if is_right else "red")

    @display(description="Refused configuration")
    def configuration(self, station: Station) -> SafeString:
        """The keys that are not as the fence needs them."""
        refused = station.refused_configuration
        if not refused:
            is_read = station.configuration_read_at is not None
            return badge("none", "green") if is_read else badge("not read yet", "grey")
        return json_block(json.dumps(refused, indent=2))

    @display(description="Takes limits")
    def limits(self, station: Station) -> str:
        """The units of charging profiles, or that it takes none."""
        if "SetChargingProfile" in station.refused_actions:
            return "no: it does not know charging profiles"
        return f"in {' and '.join(station.rate_units.split(','))}"

    @display(description="Password")
    def has_password(self, station: Station) -> SafeString:
        """Without one it cannot connect."""
        return badge("set", "green") if station.password_hash else badge("none: it cannot connect", "amber")

    @action(description="Make a new OCPP password", permissions=["act"], icon="key")
    def new_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Replace the password and show the new one this once."""
        station = row_of(self, request, object_id)
        if request.method != "POST":
            return page(
                self, request, "operators/form_page.html", title=f"A new password for {station}?", form=PageForm(request=request),
                submit="Make a new password", is_harmful=True, back=change_url(station), original=station,
                lines=["The station must be given the new password: with the old one it is turned away, and a connection that "
                       "is open ends within a second."],
            )  # fmt: skip
        password = give_new_password(station=station)
        self.log_change(request, station, "New OCPP password; it was shown once.")
        return page(
            self, request, "chargers/password.html", title=f"The new password of {station}", station=station,
            password=password, back=change_url(station),
        )  # fmt: skip


@admin.register(StationCall)
class StationCallAdmin(ReadOnlyAdmin):
    """What stations were asked, and what they said."""

    list_display = ("created_at", "identity", "action", "progress", "error", "sent_at", "answered_at")
    list_filter = ("action", "state", "identity")
    search_fields = ("purpose", "identity")
    date_hierarchy = "created_at"
    fields = ("identity", "action", "progress", "priority", "purpose", "request_text", "answer_text", "error", "created_at",
              "not_after", "sent_at", "answered_at")  # fmt: skip
    readonly_fields = ("progress", "request_text", "answer_text")

    def rows_of(self, rows: QuerySet[Row], operators: QuerySet[Party]) -> QuerySet[Row]:
        """By the station that is called."""
        stations = Station.objects.filter(depot__operator__in=operators)
        return rows.filter(identity__in=stations.values("identity"))

    @display(description="State", ordering="state")
    def progress(self, call: StationCall) -> SafeString:
        """How far it is."""
        return badge(call.get_state_display(), CALL_COLOURS[StationCall.State(call.state)])

    @display(description="Asked, with the id tag masked")
    def request_text(self, call: StationCall) -> SafeString:
        """The payload, indented."""
        return json_block(readable(json.dumps(call.payload).encode()))

    @display(description="Answered")
    def answer_text(self, call: StationCall) -> SafeString | str:
        """The station's answer, indented."""
        return "–" if call.answer is None else json_block(readable(json.dumps(call.answer).encode()))
