"""The operator's face of charging: commands, transactions and what did not fit."""

import json
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from charging.models import Authorization, Command, Reservation, Transaction, UnmatchedMessage
from charging.profile_admin import ChargingProfileAdmin, ProfileRequestAdmin
from charging.reservations import withdraw
from locations.models import EVSE
from roaming.models import Party
from roaming.operators import ReadOnlyAdmin, Row, badge, clock, json_block, masked, table, without
from roaming.pages import PageForm, ask, row_of
from roaming.redaction import readable

__all__ = [
    "AuthorizationAdmin",
    "ChargingProfileAdmin",
    "CommandAdmin",
    "ProfileRequestAdmin",
    "ReservationAdmin",
    "TransactionAdmin",
    "UnmatchedMessageAdmin",
]

RESULT_COLOURS = {"ACCEPTED": "green", "": "grey"}
RESERVATION_COLOURS = {
    Reservation.State.REQUESTED: "amber",
    Reservation.State.PLACED: "blue",
    Reservation.State.USED: "green",
    Reservation.State.EXPIRED: "grey",
    Reservation.State.CANCELED: "grey",
    Reservation.State.WITHDRAWN: "amber",
    Reservation.State.REPLACED: "grey",
    Reservation.State.FAILED: "red",
}


class StationRowsAdmin(ReadOnlyAdmin):
    """Rows that name a station: they belong to the operator at whose depot it has its bays; else to nobody."""

    def rows_of(self, rows: QuerySet[Row], operators: QuerySet[Party]) -> QuerySet[Row]:
        """By the bays that the station has or had."""
        bays = EVSE.objects.filter(location__depot__operator__in=operators)
        return rows.filter(station_identity__in=bays.values("station_identity"))


@admin.register(Command)
class CommandAdmin(ReadOnlyAdmin):
    """Partners' commands and their results."""

    operator_path = "own_party"
    list_display = ("created_at", "type", "party", "progress", "outcome", "message", "decision_ref")
    list_filter = ("type", "state", "result", "party")
    list_select_related = ("party",)
    search_fields = ("decision_ref", "id")
    date_hierarchy = "created_at"
    fields = ("id", "type", "party", "own_party", "progress", "outcome", "message", "decision_ref", "session", "reservation",
              "reserve_until", "response_url", "correlation_id", "created_at", "expires_at", "answered_at")  # fmt: skip
    readonly_fields = ("progress", "outcome")

    @display(description="State", ordering="state")
    def progress(self, command: Command) -> SafeString:
        """How far it is."""
        colours = {
            Command.State.SENT: "blue",
            Command.State.ANSWERED: "green",
            Command.State.REFUSED: "amber",
        }
        return badge(command.get_state_display(), colours[Command.State(command.state)])

    @display(description="Result", ordering="result")
    def outcome(self, command: Command) -> SafeString:
        """What the partner was told in the end."""
        return badge(command.result or "not yet", RESULT_COLOURS.get(command.result, "amber"))


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """Bays kept for drivers of partners."""

    operator_path = "session__own_party"
    list_display = ("starts", "until", "evse", "location", "party", "ocpi_id", "progress", "keeper", "remark")
    list_filter = ("state", "party", "location__depot", "is_at_station")
    list_select_related = ("party", "evse", "location__depot", "session")
    search_fields = ("ocpi_id", "session__id")
    search_help_text = "The partner's reservation id, or the id of its session."
    date_hierarchy = "starts_at"
    actions_detail: ClassVar = ["cancel"]
    fields = ("progress", "party", "location", "evse", "ocpi_id", "card", "starts", "until", "ended", "remark", "keeper",
              "number", "session", "orders")  # fmt: skip
    readonly_fields = ("progress", "card", "starts", "until", "ended", "remark", "keeper", "number", "orders")

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """What is over cannot be canceled."""
        row = self.get_object(request, str(object_id))
        gone = () if row is not None and row.is_live else ("cancel",)
        return without(gone, super().get_actions_detail(request, object_id))

    @display(description="State", ordering="state")
    def progress(self, reservation: Reservation) -> SafeString:
        """The state as a coloured word."""
        return badge(
            reservation.get_state_display(), RESERVATION_COLOURS[Reservation.State(reservation.state)]
        )

    @display(description="Kept by")
    def keeper(self, reservation: Reservation) -> str:
        """Who turns others away."""
        return (
            "the station" if reservation.is_at_station else "Yardgate alone" if reservation.is_live else "–"
        )

    @display(description="From", ordering="starts_at")
    def starts(self, reservation: Reservation) -> str:
        """On the depot's clock."""
        return clock(reservation.starts_at, _zone(reservation))

    @display(description="Until", ordering="expires_at")
    def until(self, reservation: Reservation) -> str:
        """When it expires if nobody comes, on the depot's clock."""
        return clock(reservation.expires_at, _zone(reservation))

    @display(description="Ended")
    def ended(self, reservation: Reservation) -> str:
        """On the depot's clock."""
        return clock(reservation.ended_at, _zone(reservation)) if reservation.ended_at else "not yet"

    @display(description="Why it ended")
    def remark(self, reservation: Reservation) -> str:
        """In our words."""
        return reservation.end_reason or "–"

    @display(description="Number at the station")
    def number(self, reservation: Reservation) -> int:
        """The OCPP reservationId."""
        return int(reservation.pk)

    @display(description="Id tag ends in")
    def card(self, reservation: Reservation) -> str:
        """Whom the station lets in, masked."""
        return masked(reservation.id_tag)

    @display(description="Commands")
    def orders(self, reservation: Reservation) -> SafeString:
        """What the partner ordered about it, and what it was told."""
        zone = _zone(reservation)
        return table(
            ("At", "Command", "Result", "Message"),
            [
                (clock(each.created_at, zone), each.type, each.result or "not yet", each.message or "–")
                for each in Command.objects.filter(reservation=reservation).order_by("created_at")
            ],
        )

    @action(description="Cancel this reservation", permissions=["act"], icon="event_busy")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then take the bay back and tell the partner."""
        row = row_of(self, request, object_id)

        def verb(form: PageForm) -> str:
            text = form.cleaned_data["reason"]
            if not withdraw(reservation=row, reason=f"operator: {text}", message=text, now=timezone.now()):
                raise ValueError("It is over already, or the partner has just replaced it: look at it again.")
            return f"The {row} is canceled; the partner is told."

        return ask(
            self, request, row=row, title=f"Cancel the {row}?", verb=verb, form_class=CancelForm, submit="Cancel it",
            is_harmful=True, text=["The driver may be on the way. The partner is told at once (CANCELED_RESERVATION), nothing is "
                                   "billed, and the bay is free for others."],
        )  # fmt: skip


class CancelForm(PageForm):
    """What the partner is told."""

    reason = forms.CharField(
        max_length=200,
        label="Reason",
        help_text="The partner reads it and may show it to the driver, e.g. Bay needed for a fleet vehicle.",
    )


def _zone(reservation: Reservation) -> ZoneInfo:
    return ZoneInfo(reservation.location.depot.time_zone)


@admin.register(Transaction)
class TransactionAdmin(StationRowsAdmin):
    """Transactions of stations, those without a session (fleet, refused) included."""

    list_display = (
        "id", "station_identity", "ocpp_connector", "started_at", "stopped_at", "card", "id_tag_status", "stop_reason",
        "stop_cause", "session",
    )  # fmt: skip
    list_filter = ("station_identity", "id_tag_status", "stop_cause")
    list_select_related = ("session__evse",)
    search_fields = ("id", "station_identity")
    date_hierarchy = "started_at"
    fields = ("id", "station_identity", "ocpp_connector", "card", "id_tag_status", "started_at", "meter_start_wh", "stopped_at",
              "meter_stop_wh", "stop_reason", "stop_requested_at", "stop_cause", "orphaned_at", "session",
              "received_at")  # fmt: skip
    readonly_fields = ("card",)

    def rows_of(self, rows: QuerySet[Row], operators: QuerySet[Party]) -> QuerySet[Row]:
        """A guest's belongs to the operator of its session, wherever the station stands now."""
        here = super().rows_of(rows.filter(session=None), operators)
        return rows.filter(Q(session__own_party__in=operators) | Q(pk__in=here.values("pk")))

    @display(description="Id tag ends in")
    def card(self, transaction: Transaction) -> str:
        """The card, masked."""
        return masked(transaction.id_tag)


@admin.register(Authorization)
class AuthorizationAdmin(StationRowsAdmin):
    """Positive answers at readers."""

    list_display = (
        "created_at",
        "station_identity",
        "party",
        "card",
        "auth_method",
        "decision_ref",
        "expires_at",
    )
    list_filter = ("auth_method", "party", "station_identity")
    list_select_related = ("party",)
    date_hierarchy = "created_at"
    fields = ("station_identity", "party", "card", "auth_method", "authorization_reference", "decision_ref", "created_at",
              "expires_at")  # fmt: skip
    readonly_fields = ("card",)

    @display(description="Id tag ends in")
    def card(self, authorization: Authorization) -> str:
        """The card, masked."""
        return masked(authorization.id_tag)


@admin.register(UnmatchedMessage)
class UnmatchedMessageAdmin(StationRowsAdmin):
    """Messages of stations that fit nothing: for a person to look at."""

    list_display = ("received_at", "station_identity", "action", "reason")
    list_filter = ("action", "station_identity")
    date_hierarchy = "received_at"
    fields = ("received_at", "station_identity", "action", "reason", "message")
    readonly_fields = ("message",)

    @display(description="Message, with the id tag masked")
    def message(self, unmatched: UnmatchedMessage) -> SafeString:
        """The payload, indented."""
        return json_block(readable(json.dumps(unmatched.payload).encode()))
