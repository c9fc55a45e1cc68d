"""The operator's face of the stations."""

import secrets
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from chargers.models import Station, StationCall
from chargers.passwords import hash_password
from roaming.operators import OperatorAdmin, ReadOnlyAdmin, badge


@admin.register(Station)
class StationAdmin(OperatorAdmin):
    """Stations and whether they are connected. A password is shown once, when it is made."""

    list_display = ("identity", "depot", "presence", "vendor", "model", "firmware_version", "last_seen_at")
    list_filter = ("depot", "is_online")
    search_fields = ("identity",)
    readonly_fields = (
        "is_online", "vendor", "model", "firmware_version", "connected_at", "booted_at", "last_seen_at",
    )  # fmt: skip
    actions: ClassVar = ["new_password"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The identity is what the station itself presents: fixed once it is known."""
        fixed = super().get_readonly_fields(request, obj)
        return (*fixed, "identity") if obj else tuple(fixed)

    @display(description="Presence")
    def presence(self, station: Station) -> SafeString:
        """Online or offline as a coloured word."""
        return badge("online", "green") if station.is_online else badge("offline", "red")

    @action(description="Make a new OCPP password (shown once; the station must be given it)")
    def new_password(self, request: HttpRequest, stations: QuerySet[Station]) -> None:
        """Replace the password of each chosen station."""
        for station in stations:
            password = secrets.token_hex(16)
            station.password_hash = hash_password(password)
            station.save(update_fields=["password_hash"])
            self.message_user(request, f"{station.identity}: new password {password}", messages.WARNING)


@admin.register(StationCall)
class StationCallAdmin(ReadOnlyAdmin):
    """What stations were asked, and what they said."""

    list_display = ("created_at", "identity", "action", "state", "error", "sent_at", "answered_at")
    list_filter = ("action", "state", "identity")
