"""The Receiver interfaces of the hub, and of parties of ours that are no CPO: what partners push to them is kept.

What is pushed to the hub is a broadcast: in the transaction that keeps it, it is owed to all whom it concerns, and the
sender is answered at once (HUB-31). Documents are kept as they were sent; of a part, or a PATCH, the Location or Session
is put together on its text (merging.py).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from ocpi import codec, v221
from ocpi.headers import PartyId, routing_headers
from ocpi.http import respond, respond_to_error
from ocpi.status import invalid, not_found
from ocpi.views import require_identity, require_present
from roaming.auth import CALLER, Caller
from roaming.hub import merging, seeing, store
from roaming.hub.broadcast import owe_broadcast, tell_own_parties
from roaming.hub.keeping import KeptView, asking_roles, found, may_be_id, owning_roles, rows_of
from roaming.hub.pushes import EVSE, STATUS
from roaming.hub.received_cdrs import CdrsView, CdrView
from roaming.hub.store import Outcome, Place
from roaming.models import Party
from roaming.routing import Route

__all__ = ["CdrView", "CdrsView", "LocationsView", "SessionsView", "TariffsView", "TokensView", "answer"]

_STATUS_MEMBERS = frozenset({"status", merging.STAMP})


class ObjectView(KeptView):
    """GET and PUT of an object at ``/{country_code}/{party_id}/{object id}``, of a Location also of its parts.

    ``object_types``: of the object, then of what lies below it.
    """

    object_types: ClassVar[tuple[type, ...]]

    def get(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Answer the object as it is kept (LOC-17): to its owner, and of a broadcast to whoever may see it."""
        place = self._place_to_read(PartyId.of(country_code, party_id), ids, timezone.now())
        document = store.find(place) if place is not None else None
        parts = _parts(ids)
        if document is not None and parts:
            document = merging.part(document, parts)
        if document is None:
            raise not_found()
        return respond(document)

    def put(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Keep a whole object, or a whole part of one: HTTP 201 when it is new (OBJ-01, OBJ-03)."""
        now = timezone.now()
        recipient, body = self.recipient(), self.body()
        owner = self._owner(self._stated_owner(PartyId.of(country_code, party_id), recipient))
        obj: Any = codec.decode(self._type_of(ids), self.payload)
        require_identity(obj, owner.ocpi_id, ids)
        require_present(obj, now)
        place = Place(recipient, owner, self.module, self.key_of(obj, ids))
        with transaction.atomic():
            outcome = self._put(place, ids, body, now)
            if outcome is not Outcome.NOTHING:
                self.tell(place, _evse_field(EVSE, ids), now)
        self.tell_own(place, now)
        return respond(http_status=201 if outcome is Outcome.ADDED else 200)

    def key_of(self, obj: Any, ids: Mapping[str, str]) -> str:
        """Hook: the key under which an object is kept; ``obj`` is None when it is only looked for."""
        return next(iter(ids.values())).upper()

    def tell(self, place: Place, changed_fields: Sequence[str], now: datetime) -> None:
        """Owe what has changed to all whom it concerns, when it was pushed to the hub."""
        if place.recipient.role == v221.Role.HUB:
            owe_broadcast(place, sender=self.caller.platform, changed_fields=changed_fields, now=now)

    def tell_own(self, place: Place, now: datetime) -> None:
        """Hand a broadcast to the parties hosted here; a repetition too, so that one that failed is made good.

        What they answer is not the sender's concern (HUB-31).
        """
        if place.recipient.role == v221.Role.HUB:
            tell_own_parties(place, self.request._request, self.caller, now=now)

    def _put(self, place: Place, ids: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
        parts = _parts(ids)
        if not parts:
            return store.keep(place, body, last_updated=merging.stamp_of(body), now=now)
        whole = found(store.lock(place))
        known = merging.part(whole, parts)
        if known is not None and merging.stamp_of(body) < merging.stamp_of(known):
            return Outcome.NOTHING
        _keep_part(place, whole, parts, body, now)
        if known is None:
            return Outcome.ADDED
        return Outcome.NOTHING if known == body else Outcome.CHANGED

    def _owner(self, owner: PartyId) -> Party:
        """Return the owner in the URL; 404 when it is no party of this platform (OBJ-10)."""
        return found(self.owner_among_callers(owner))

    def _stated_owner(self, owner: PartyId, recipient: Party) -> PartyId:
        """Return whose an object is: some put the hub itself into the URL, then the body says it (DIS-18)."""
        if recipient.role != v221.Role.HUB or owner != recipient.ocpi_id:
            return owner
        stated = self.payload
        country_code, party_id = (str(stated.get(name, "")) for name in ("country_code", "party_id"))
        return PartyId.of(country_code, party_id)

    def _place_to_read(self, owner: PartyId, ids: Mapping[str, str], now: datetime) -> Place | None:
        recipient, key = self.recipient(), self.key_of(None, ids)
        if not may_be_id(key, *owner):
            return None
        mine = self.owner_among_callers(owner)
        if mine is not None:
            return Place(recipient, mine, self.module, key)
        asker = seeing.asking_party(self.caller, asking_roles(self.module))
        theirs = seeing.role_of(rows_of(owner), owning_roles(self.module))
        if recipient.role != v221.Role.HUB or theirs is None:
            return None
        if not seeing.may_see(asker, theirs, module=self.module, object_key=key, now=now):
            return None
        return Place(recipient, theirs, self.module, key)

    def _type_of(self, ids: Mapping[str, str]) -> type:
        return self.object_types[len(ids) - 1]


class ChangeableView(ObjectView):
    """An object that may also be changed in part."""

    def patch(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Change the members that are given (OBJ-04); 404 for what is unknown asks for a PUT (OBJ-06)."""
        now = timezone.now()
        recipient, body = self.recipient(), self.body()
        owner = self._owner(PartyId.of(country_code, party_id))
        if self.payload.get(merging.STAMP) is None:
            raise invalid("last_updated: is required in a PATCH")
        key = self.key_of(None, ids)
        place = found(Place(recipient, owner, self.module, key) if may_be_id(key) else None)
        with transaction.atomic():
            if self._changed(place, ids, body, now):
                self.tell(place, _evse_field(_what_of_evse(body), ids), now)
        self.tell_own(place, now)
        return respond()

    def merged(self, document: bytes, patch: bytes, ids: Mapping[str, str]) -> bytes:
        """Hook: the object after this PATCH."""
        return merging.patched(document, patch)

    def _changed(self, place: Place, ids: Mapping[str, str], patch: bytes, now: datetime) -> bool:
        whole, parts = found(store.lock(place)), _parts(ids)
        current = found(merging.part(whole, parts)) if parts else whole
        merged = self.merged(current, patch, ids)
        after: Any = codec.decode_bytes(self._type_of(ids), merged)
        require_identity(after, place.owner.ocpi_id, ids)
        require_present(after, now)
        if not _is_news(current, merged):
            return False
        if parts:
            _keep_part(place, whole, parts, merged, now)
        else:
            store.keep(place, merged, last_updated=after.last_updated, now=now)
        return True


class LocationsView(ChangeableView):
    """Locations, their EVSEs and Connectors."""

    interface: ClassVar[tuple[str, str]] = ("locations", "RECEIVER")
    object_types = (v221.Location, v221.EVSE, v221.Connector)

    def merged(self, document: bytes, patch: bytes, ids: Mapping[str, str]) -> bytes:
        """EVSEs that a PATCH of a Location does not name stay (DIS-24)."""
        return merging.patched(document, patch) if _parts(ids) else merging.patched_location(document, patch)


class SessionsView(ChangeableView):
    """Sessions."""

    interface: ClassVar[tuple[str, str]] = ("sessions", "RECEIVER")
    object_types = (v221.Session,)

    def merged(self, document: bytes, patch: bytes, ids: Mapping[str, str]) -> bytes:
        """Charging periods are appended (SES-10)."""
        return merging.patched_session(document, patch)


class TokensView(ChangeableView):
    """Tokens that are broadcast; the type in the query belongs to their key (TOK-03)."""

    interface: ClassVar[tuple[str, str]] = ("tokens", "RECEIVER")
    object_types = (v221.Token,)

    def key_of(self, obj: Any, ids: Mapping[str, str]) -> str:
        """Without a type in the query a card is meant, unless a whole token says another (TOK-02, DIS-53)."""
        word = self.request.query_params.get("type")
        if word is not None and word not in set(v221.TokenType):
            raise invalid(f"type: one of {', '.join(v221.TokenType)} (given {word[:16]!a})")
        if obj is not None and word is not None and word != obj.type:
            raise invalid(f"type: is {obj.type} in the body and {word} in the URL")
        kind = obj.type.value if obj is not None else word or v221.TokenType.RFID.value
        return f"{super().key_of(obj, ids)}/{kind}"


class TariffsView(ObjectView):
    """Tariffs: put as a whole, and deleted (TAR-05)."""

    interface: ClassVar[tuple[str, str]] = ("tariffs", "RECEIVER")
    object_types = (v221.Tariff,)

    def delete(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Forget a tariff, here and with everybody who was told of it (HUB-42)."""
        now = timezone.now()
        recipient, key = self.recipient(), self.key_of(None, ids)
        owner = self._owner(PartyId.of(country_code, party_id))
        place = Place(recipient, owner, self.module, key)
        with transaction.atomic():
            if not may_be_id(key) or not store.forget(place, now=now):
                raise not_found()
            self.tell(place, (), now)
        self.tell_own(place, now)
        return respond()


_OWNED = ("country_code", "party_id")
_VIEWS: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "locations": (LocationsView.as_view(), (*_OWNED, "location_id", "evse_uid", "connector_id")),
    "tariffs": (TariffsView.as_view(), (*_OWNED, "tariff_id")),
    "tokens": (TokensView.as_view(), (*_OWNED, "token_uid")),
}


def answer(request: HttpRequest, route: Route, caller: Caller) -> HttpResponse:
    """Answer a push to the hub, or a GET of what was pushed; ``caller.own_party`` is the hub."""
    view, names = _VIEWS.get(route.module, (None, ()))
    if view is None or not len(_OWNED) < len(route.rest) <= len(names):
        refusal = respond_to_error(not_found())
        to, from_ = (party.ocpi_id if party else None for party in (caller.party, caller.own_party))
        for name, value in routing_headers(to=to, from_=from_).items():
            refusal[name] = value
        return refusal
    request.META[CALLER] = caller
    answered: HttpResponse = view(request, **dict(zip(names, route.rest, strict=False)))
    return answered


def _keep_part(place: Place, whole: bytes, parts: Sequence[str], part: bytes, now: datetime) -> None:
    try:
        document = merging.with_part(whole, parts, part)
    except KeyError:
        raise not_found() from None
    if len(document) > codec.MAX_BYTES:
        raise invalid(f"evses: the Location would be longer than {codec.MAX_BYTES} bytes")
    store.keep(place, document, last_updated=merging.stamp_of(document), now=now)


def _is_news(current: bytes, merged: bytes) -> bool:
    """Tell whether a PATCH has to be stored; an older one is acknowledged and ignored (DIS-28)."""
    if merging.stamp_of(merged) < merging.stamp_of(current) or merging.is_same(current, merged):
        return False
    if merging.stamp_of(merged) == merging.stamp_of(current):
        raise invalid("last_updated: the object changed, but its time of change is the one that we hold")
    return True


def _evse_field(what: str, ids: Mapping[str, str]) -> tuple[str, ...]:
    """Return what of a Location has changed in the words of its push; empty: all of it."""
    parts = _parts(ids)
    if not parts:
        return ()
    return (f"{EVSE if len(parts) > 1 else what}{parts[0].upper()}",)


def _what_of_evse(patch: bytes) -> str:
    return STATUS if merging.members(patch).keys() <= _STATUS_MEMBERS else EVSE


def _parts(ids: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(ids.values())[1:]
