"""The operator's face of charging profiles: what bounds a session, and what partners asked."""

import json
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display

from charging.models import ChargingProfile, ProfileRequest
from roaming.operators import ReadOnlyAdmin, badge, clock, json_block

RESULT_COLOURS = {"ACCEPTED": "green", "": "grey"}


def _readable(document: bytes) -> SafeString:
    if not document:
        return badge("none", "grey")
    return json_block(json.dumps(json.loads(document), indent=2))


@admin.register(ChargingProfile)
class ChargingProfileAdmin(ReadOnlyAdmin):
    """Upper limits that partners have set on their sessions."""

    operator_path = "session__own_party"
    list_display = ("session", "in_force", "unit", "local_time")
    list_select_related = ("session__evse", "session__location__depot")
    date_hierarchy = "changed_at"
    fields = ("session", "limits", "unit", "senders", "local_time")
    readonly_fields = ("limits", "local_time")

    @display(description="Profile")
    def in_force(self, profile: ChargingProfile) -> SafeString:
        """Whether there is one now."""
        return badge("set", "green") if profile.profile else badge("none", "grey")

    @display(description="Profile, as the station took it")
    def limits(self, profile: ChargingProfile) -> SafeString:
        """The OCPI object."""
        return _readable(bytes(profile.profile))

    @display(description="Changed", ordering="changed_at")
    def local_time(self, profile: ChargingProfile) -> str:
        """On the depot's clock."""
        return clock(profile.changed_at, ZoneInfo(profile.session.location.depot.time_zone))


@admin.register(ProfileRequest)
class ProfileRequestAdmin(ReadOnlyAdmin):
    """What partners asked about profiles, and the results."""

    operator_path = "own_party"
    list_display = ("created_at", "method", "party", "session", "progress", "outcome", "message")
    list_filter = ("method", "state", "result", "party")
    list_select_related = ("party", "session__evse")
    search_fields = ("id",)
    date_hierarchy = "created_at"
    fields = ("id", "method", "party", "own_party", "session", "progress", "outcome", "message", "limits", "unit",
              "is_second_unit", "duration_seconds", "response_url", "correlation_id", "created_at", "expires_at",
              "answered_at")  # fmt: skip
    readonly_fields = ("progress", "outcome", "limits")

    @display(description="State", ordering="state")
    def progress(self, request: ProfileRequest) -> SafeString:
        """How far it is."""
        is_open = request.state == ProfileRequest.State.SENT
        return badge(request.get_state_display(), "blue" if is_open else "green")

    @display(description="Result", ordering="result")
    def outcome(self, request: ProfileRequest) -> SafeString:
        """What the partner was told in the end."""
        return badge(request.result or "not yet", RESULT_COLOURS.get(request.result, "amber"))

    @display(description="Asked for")
    def limits(self, request: ProfileRequest) -> SafeString:
        """The OCPI object of a PUT."""
        return _readable(bytes(request.profile))
