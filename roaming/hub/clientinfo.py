"""Our two faces of the HubClientInfo module: as the hub that tells, and as the client that is told."""

from datetime import datetime
from typing import ClassVar

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from ocpi import codec, v221
from ocpi.headers import PartyId
from ocpi.http import Page, respond
from ocpi.paging import PageQuery
from ocpi.status import invalid, not_found
from ocpi.views import OcpiView, SenderView
from roaming import own
from roaming.auth import Caller
from roaming.hub.clients import client_of, put_client
from roaming.hub.seen import seen_page


class ClientsView(SenderView):
    """GET of the parties that the caller may reach through us, and how they are connected (HCI-01).

    A platform asks, not a party: what any party on it may reach is in the list. 404 where there is no hub.
    """

    interface: ClassVar[tuple[str, str]] = (v221.ModuleID.HUBCLIENTINFO, "SENDER")
    is_functional = False

    def page(self, caller: Caller, query: PageQuery, now: datetime) -> Page:
        """The clients whose state, as this caller sees it, changed in the window that is asked for."""
        if own.hub() is None:
            raise not_found()
        return seen_page(caller.platform, query)


class ClientView(OcpiView):
    """GET and PUT of one party behind a hub that we are connected to; PATCH and DELETE are n/a (HCI-11).

    Only a hub has clients: for every other platform nothing is here.
    """

    interface: ClassVar[tuple[str, str]] = (v221.ModuleID.HUBCLIENTINFO, "RECEIVER")
    is_functional = False

    def get(self, request: Request, country_code: str, party_id: str) -> HttpResponse:
        """Answer what this hub last said of the party."""
        self._require_hub()
        client = client_of(platform=self.caller.platform, ocpi_id=PartyId.of(country_code, party_id))
        if client is None:
            raise not_found()
        return respond(client)

    def put(self, request: Request, country_code: str, party_id: str) -> HttpResponse:
        """Store it: HTTP 201 when the hub had never spoken of this party in this role."""
        self._require_hub()
        client = codec.decode(v221.ClientInfo, self.payload)
        if PartyId.of(client.country_code, client.party_id) != PartyId.of(country_code, party_id):
            raise invalid("country_code, party_id: must be those in the URL")
        is_new = put_client(platform=self.caller.platform, client=client, now=timezone.now())
        return respond(http_status=201 if is_new else 200)

    def _require_hub(self) -> None:
        hubs = (party.role == v221.Role.HUB and not party.is_behind_hub for party in self.caller.parties)
        if not any(hubs):
            raise not_found()
