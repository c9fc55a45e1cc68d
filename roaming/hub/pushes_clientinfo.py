"""What connected platforms are told about each other (chapter "HubClientInfo module", receiver interface)."""

from datetime import datetime

from ocpi import codec
from roaming.hub.seen import seen_one
from roaming.hub.telling import KIND
from roaming.models import Lane, Obligation, Party
from roaming.pushes import Message, Push, register


class ClientInfoPush(Push):
    """PUT of one role of one party, as the receiving platform sees it when it is sent (HCI-02, DIS-63)."""

    kind = KIND
    module = "hubclientinfo"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The present state; nothing about a party of which the platform does not know."""
        role, country_code, party_id = obligation.object_key.split("/")
        party = Party.objects.filter(role=role, country_code=country_code, party_id=party_id).first()
        platform = obligation.party.platform
        client = seen_one(platform, party) if party is not None and platform is not None else None
        if client is None:
            return None
        return Message(method="PUT", segments=(country_code, party_id), body=codec.encode(client))


register(ClientInfoPush())
