"""The OCPI face of tokens (chapter "Tokens module", receiver interface)."""

from datetime import datetime
from typing import ClassVar

from ocpi import v221
from ocpi.headers import PartyId
from ocpi.status import invalid, unauthorized
from ocpi.views import ReceiverView
from roaming.auth import Caller
from roaming.models import Party
from tokens.services import find_token, lock_token, put_token
from tokens.wire import token_object


class TokensView(ReceiverView):
    """GET, PUT and PATCH of a partner's own tokens, as the addressed party of ours knows them (HUB-06).

    uid and type together are the key (TOK-03).
    """

    interface: ClassVar[tuple[str, str]] = ("tokens", "RECEIVER")
    object_type: ClassVar[type] = v221.Token

    def current(
        self, caller: Caller, owner: PartyId, ids: dict[str, str], now: datetime
    ) -> v221.Token | None:
        """Return the token; without a type in the query the one of type RFID is meant (TOK-02)."""
        find = lock_token if self.locks_current else find_token
        row = find(
            own_party=_own(caller),
            party=_party(caller, owner),
            uid=ids["token_uid"],
            type=self._asked_type() or v221.TokenType.RFID,
        )
        return token_object(row) if row else None

    def store(
        self, caller: Caller, owner: PartyId, ids: dict[str, str], obj: v221.Token, now: datetime
    ) -> bool:
        """Store it under its own type, which the query must not contradict (TOK-04)."""
        asked = self._asked_type()
        if self.request.method == "PATCH":
            asked = asked or v221.TokenType.RFID
        if asked is not None and asked is not obj.type:
            raise invalid(f"type: is {obj.type} in the body and {asked} in the URL")
        return put_token(own_party=_own(caller), party=_party(caller, owner), token=obj, now=now)

    def _asked_type(self) -> v221.TokenType | None:
        word = self.request.query_params.get("type")
        if word is None:
            return None
        try:
            return v221.TokenType(word)
        except ValueError:
            raise invalid(f"type: one of {', '.join(v221.TokenType)} (given {word[:16]!a})") from None


def _own(caller: Caller) -> Party:
    """Return the addressed party of ours, which is known on all functional modules."""
    if caller.own_party is None:
        raise unauthorized()
    return caller.own_party


def _party(caller: Caller, owner: PartyId) -> Party:
    """Return the owner among the caller's parties: its eMSP role when it has several."""
    mine = [party for party in caller.parties if party.ocpi_id == owner]
    return next((party for party in mine if party.role == v221.Role.EMSP.value), mine[0])
