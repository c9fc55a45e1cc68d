"""CDRs that were sent to a party of ours: kept for ever, as the bytes that came (chapter "CDRs module", Receiver)."""

from typing import ClassVar
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from ocpi import codec, v221
from ocpi.headers import PartyId
from ocpi.http import respond
from ocpi.interfaces import interface_path
from ocpi.status import invalid, not_found
from ocpi.views import require_present
from roaming.hub import merging, store
from roaming.hub.keeping import KeptView, may_be_id
from roaming.hub.store import Place
from roaming.models import HubDocument


class CdrsView(KeptView):
    """POST of CDRs."""

    interface: ClassVar[tuple[str, str]] = ("cdrs", "RECEIVER")

    def post(self, request: Request) -> HttpResponse:
        """Keep a CDR for ever, and say where it can be read (CDR-05); the same one again changes nothing (CDR-06)."""
        now = timezone.now()
        recipient, body = self.recipient(), self.body()
        cdr = codec.decode(v221.CDR, self.payload)
        owner = self.owner_among_callers(PartyId.of(cdr.country_code, cdr.party_id))
        if owner is None:
            raise invalid("party_id: is no party of this platform")
        require_present(cdr, now)
        place = Place(recipient, owner, self.module, cdr.id.upper())
        is_new = store.keep_once(place, body, last_updated=cdr.last_updated, now=now)
        if not is_new and not merging.is_same(body, store.find(place) or b"null"):
            raise invalid(
                "id: a CDR with this id and other content is kept already; a correction is a credit CDR"
            )
        url = f"{settings.OCPI_PUBLIC_URL}{interface_path(*self.interface)}/{quote(cdr.id, safe='')}"
        return respond(http_status=201 if is_new else 200, headers={"Location": url})


class CdrView(KeptView):
    """GET of one CDR at the URL that the answer to its POST named."""

    interface: ClassVar[tuple[str, str]] = ("cdrs", "RECEIVER")

    def get(self, request: Request, cdr_id: str) -> HttpResponse:
        """Answer a CDR of the caller's, byte by byte; of two with this id that of the acting party."""
        recipient = self.recipient()
        rows = HubDocument.objects.filter(
            recipient=recipient,
            module=self.module,
            owner__in=[party.pk for party in self.caller.parties],
            object_key=cdr_id.upper() if may_be_id(cdr_id) else "",
        ).select_related("owner")
        acting = self.caller.party
        mine = sorted(rows, key=lambda row: acting is None or row.owner.ocpi_id != acting.ocpi_id)
        if not mine:
            raise not_found()
        return respond(bytes(mine[0].document))
