"""The operator's face of charging: commands, transactions and what did not fit."""

import json

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.safestring import SafeString
from unfold.decorators import display

from charging.models import Authorization, Command, Transaction, UnmatchedMessage
from charging.profile_admin import ChargingProfileAdmin, ProfileRequestAdmin
from locations.models import EVSE
from roaming.models import Party
from roaming.operators import ReadOnlyAdmin, Row, badge, json_block, masked
from roaming.redaction import readable

__all__ = [
    "AuthorizationAdmin",
    "ChargingProfileAdmin",
    "CommandAdmin",
    "ProfileRequestAdmin",
    "TransactionAdmin",
    "UnmatchedMessageAdmin",
]

RESULT_COLOURS = {"ACCEPTED": "green", "": "grey"}


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
    fields = ("id", "type", "party", "own_party", "progress", "outcome", "message", "decision_ref", "session", "response_url",
              "correlation_id", "created_at", "expires_at", "answered_at")  # fmt: skip
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
