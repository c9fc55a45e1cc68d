"""The OCPI face of sessions (chapter "Sessions module", sender interface)."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from ocpi import codec, v221
from ocpi.http import Page, respond
from ocpi.paging import PageQuery
from ocpi.status import OcpiError, StatusCode, not_found
from ocpi.views import OcpiView, SenderView
from roaming.auth import Caller
from sessions.models import Session
from sessions.reading import session_page
from sessions.services import set_preferences


def visible_sessions(caller: Caller) -> QuerySet[Session]:
    """The sessions of the addressed party of ours that the calling party pays for; nothing else exists
    (SES-04)."""
    return Session.objects.filter(party=caller.party, own_party=caller.own_party)


class SessionsView(SenderView):
    """GET of the caller's own sessions; without ``date_from`` it serves all of them (SES-03)."""

    interface: ClassVar[tuple[str, str]] = ("sessions", "SENDER")

    def page(self, caller: Caller, query: PageQuery, now: datetime) -> Page:
        """Oldest created first, so that new sessions land on the last page."""
        assert caller.party is not None
        assert caller.own_party is not None
        return session_page(party=caller.party, own_party=caller.own_party, query=query)


class ChargingPreferencesView(OcpiView):
    """PUT of a driver's wishes for one running session."""

    interface: ClassVar[tuple[str, str]] = ("sessions", "SENDER")

    def put(self, request: Request, session_id: str) -> HttpResponse:
        """Answer with the enum value itself as data (SES-21)."""
        session = self._session(self.caller, session_id)
        if v221.Capability.CHARGING_PREFERENCES_CAPABLE.value not in session.evse.capabilities:
            # SES-20: HTTP 404 as for a URL that is not there, with the OCPI code that says why.
            raise OcpiError(
                StatusCode.INVALID_PARAMETERS,
                "charging_preferences: this EVSE is not CHARGING_PREFERENCES_CAPABLE",
                http_status=404,
            )
        preferences = codec.decode(v221.ChargingPreferences, self.payload)
        outcome = set_preferences(session=session, preferences=preferences, now=timezone.now())
        return respond(outcome.value)

    def _session(self, caller: Caller, session_id: str) -> Session:
        try:
            key = uuid.UUID(session_id)
        except ValueError:
            raise not_found("session_id: there is no such session") from None
        session = visible_sessions(caller).select_related("evse").filter(pk=key).first()
        if session is None:
            raise not_found("session_id: there is no such session")
        return session
