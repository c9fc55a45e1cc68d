"""The operator's face of charging: commands, transactions and what did not fit."""

from django.contrib import admin

from charging.models import Authorization, Command, Transaction, UnmatchedMessage
from roaming.operators import ReadOnlyAdmin


@admin.register(Command)
class CommandAdmin(ReadOnlyAdmin):
    """Partners' commands and their results."""

    list_display = ("created_at", "type", "party", "state", "result", "message", "decision_ref")
    list_filter = ("type", "state", "result", "party")
    search_fields = ("decision_ref", "id")
    exclude = ("id_tag",)


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    """Transactions of stations, those without a session (fleet, refused) included."""

    list_display = (
        "id", "station_identity", "ocpp_connector", "started_at", "stopped_at", "id_tag_status", "stop_reason",
        "stop_cause", "session",
    )  # fmt: skip
    list_filter = ("station_identity", "id_tag_status")
    exclude = ("id_tag",)


@admin.register(Authorization)
class AuthorizationAdmin(ReadOnlyAdmin):
    """Positive answers at readers."""

    list_display = ("created_at", "station_identity", "party", "auth_method", "decision_ref", "expires_at")
    list_filter = ("auth_method", "party")
    exclude = ("id_tag", "token")


@admin.register(UnmatchedMessage)
class UnmatchedMessageAdmin(ReadOnlyAdmin):
    """Messages of stations that fit nothing: for a person to look at."""

    list_display = ("received_at", "station_identity", "action", "reason")
    list_filter = ("action", "station_identity")
