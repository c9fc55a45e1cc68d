"""What parties are told of each other's broadcasts: the kept object as it is when it is sent.

FROM is the hub and TO the receiver, while the owner stays in URL and body (HUB-32, HUB-33). One obligation stands for a
whole Location with its EVSEs: so a receiver never hears of an EVSE before its Location, nor of an older state after a
newer one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from django.db.models import QuerySet

from ocpi import v221
from ocpi.headers import PartyId
from roaming.hub import merging, seeing
from roaming.hub.models import HubDocument
from roaming.models import Lane, Obligation
from roaming.pushes import Message, Push, register

STATUS, EVSE = "S:", "E:"
"""What may stand before the uid of an EVSE in ``changed_fields``: its status alone, or all of it."""


def kind_of(module: str) -> str:
    """Return the kind under which broadcasts of a module are owed."""
    return f"hub_{module}"


class _Owner(msgspec.Struct):
    country_code: str
    party_id: str


class _Id(msgspec.Struct):
    id: str


class _TokenId(msgspec.Struct):
    uid: str
    type: str


class HubPush(Push):
    """The state of one object that was broadcast, to one of its receivers."""

    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def key_of(self, row: HubDocument) -> str:
        """Return how an obligation names a kept object: owner and id, such as ``NL-TNM/LOC1``."""
        return f"{row.owner.ocpi_id}/{row.object_key}"

    def load(self, obligations: Sequence[Obligation]) -> Mapping[int, HubDocument]:
        """The documents of a whole batch in one query."""
        names = {each.object_key.partition("/")[2] for each in obligations}
        rows = self.rows(names).filter(
            recipient__in={each.own_party_id for each in obligations}, module=self.module
        )
        found = {(row.recipient_id, self.key_of(row)): row for row in rows.select_related("owner")}
        addresses = {each.pk: (each.own_party_id, each.object_key) for each in obligations}
        return {pk: found[address] for pk, address in addresses.items() if address in found}

    def rows(self, names: Iterable[str]) -> QuerySet[HubDocument]:
        """Return the rows that these last parts of keys may mean."""
        return HubDocument.objects.filter(object_key__in=names)

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The object as it is; nothing when the receiver may not see it (any more)."""
        row: HubDocument | None = obligation.loaded or self.load([obligation]).get(obligation.pk)
        if row is None or not seeing.may_see(
            obligation.party, row.owner, module=self.module, object_key=row.object_key, now=now
        ):
            return None
        if row.is_deleted:
            return self._deletion(obligation, bytes(row.document))
        return self.rendered(obligation, bytes(row.document))

    def rendered(self, obligation: Obligation, document: bytes) -> Message:
        """Hook: the request that brings the receiver up to date."""
        return self.whole(document)

    def whole(self, document: bytes) -> Message:
        """PUT of the whole, as its owner wrote it."""
        return Message("PUT", (*_owner(document), _read(_Id, document).id), body=document)

    def _deletion(self, obligation: Obligation, document: bytes) -> Message | None:
        """DELETE, for whoever may have heard of it (HUB-42)."""
        if obligation.confirmed_version == 0 and obligation.attempts == 0:
            return None
        return Message("DELETE", (*_owner(document), _read(_Id, document).id))


class HubTariffPush(HubPush):
    """PUT and DELETE; there is no PATCH of tariffs."""

    kind: ClassVar[str] = kind_of(v221.ModuleID.TARIFFS)
    module: ClassVar[str] = v221.ModuleID.TARIFFS.value


class HubTokenPush(HubPush):
    """PUT with the type in the query, without which a card is meant (TOK-02)."""

    kind: ClassVar[str] = kind_of(v221.ModuleID.TOKENS)
    module: ClassVar[str] = v221.ModuleID.TOKENS.value

    def key_of(self, row: HubDocument) -> str:
        """Owner and number of the row: keys of deliveries are shown to people, and the uid of a card is not (T21)."""
        return f"{row.owner.ocpi_id}/{row.pk}"

    def rows(self, names: Iterable[str]) -> QuerySet[HubDocument]:
        """By the numbers."""
        return HubDocument.objects.filter(pk__in=[int(name) for name in names])

    def whole(self, document: bytes) -> Message:
        """PUT of the token under its own type."""
        token = _read(_TokenId, document)
        return Message("PUT", (*_owner(document), token.uid), query={"type": token.type}, body=document)


class HubLocationPush(HubPush):
    """PUT of the Location; of the one EVSE that changed since the receiver confirmed it, only that."""

    kind: ClassVar[str] = kind_of(v221.ModuleID.LOCATIONS)
    module: ClassVar[str] = v221.ModuleID.LOCATIONS.value

    def rendered(self, obligation: Obligation, document: bytes) -> Message:
        """PATCH of a status or PUT of an EVSE where the last outcome was clean; otherwise everything."""
        whole = self.whole(document)
        uid = None if obligation.force_put else _only_evse(obligation.changed_fields)
        evse = None if uid is None else merging.part(document, [uid])
        if evse is None:
            return whole
        members = merging.members(evse)
        segments = (*whole.segments, msgspec.json.decode(members["uid"], type=str))
        if any(field.startswith(EVSE) for field in obligation.changed_fields):
            return Message("PUT", segments, body=evse)
        patch = {name: members[name] for name in ("status", "last_updated")}
        return Message("PATCH", segments, body=msgspec.json.encode(patch))


def _only_evse(changed_fields: Iterable[str]) -> str | None:
    uids = {field.partition(":")[2] for field in changed_fields}
    return uids.pop() if len(uids) == 1 else None


def _owner(document: bytes) -> PartyId:
    owner = _read(_Owner, document)
    return PartyId(owner.country_code, owner.party_id)


def _read(head: type[Any], document: bytes) -> Any:
    return msgspec.json.decode(document, type=head)


def hub_push(module: str) -> HubPush:
    """Return the push of a module that is broadcast. Raises KeyError for any other."""
    return _HUB_PUSHES[module]


_HUB_PUSHES: Mapping[str, HubPush] = {
    push.module: push for push in (HubLocationPush(), HubTariffPush(), HubTokenPush())
}
for _push in _HUB_PUSHES.values():
    register(_push)
