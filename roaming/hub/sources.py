"""The lists that GET all joins: of our own parties, of what was broadcast, and of parties behind us as they are now.

What the asker may not see is left out before anything is counted. Sessions and CDRs are never kept by a hub: they are
read from each CPO in the name of the asker, who sees there what it would see if it asked itself.
"""

import logging
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec
from django.http import HttpRequest

from ocpi.client import Answer, CallFailed, call
from ocpi.headers import PartyId, routing_headers
from ocpi.paging import PageQuery, page_parameters
from ocpi.status import OcpiError, StatusCode
from roaming import rawsql
from roaming.auth import Caller
from roaming.hub import local
from roaming.hub.gates import GATES, Budget, Crowded, Silent
from roaming.hub.models import HubDocument
from roaming.hub.targets import Target
from roaming.models import Party
from roaming.pushes import Message

log = logging.getLogger(__name__)

KEPT = "KEPT"
# A session list is always asked for from some moment on (SES-02).
EVER = datetime(1970, 1, 1, tzinfo=UTC)
# A peer that gives few objects per page is asked again so often.
MAX_CALLS = 20

_TOTAL = re.compile(r"[0-9]{1,10}", re.ASCII)
_TABLE = HubDocument._meta.db_table


class Source(Protocol):
    """One list."""

    @property
    def lane(self) -> Hashable | None:
        """The target that it is read from over the wire, without the database; None when it is read from here."""

    @property
    def name(self) -> str:
        """How a link calls it."""

    def total(self) -> int:
        """Return how many objects of it the asker may see. Raises OcpiError naming the party that cannot say."""

    def read(self, *, offset: int, limit: int) -> Sequence[bytes]:
        """Return a stretch of it as JSON texts. Raises OcpiError naming the party that cannot give it."""


@dataclass
class KeptSource:
    """What was broadcast to the hub, oldest first.

    ``owners`` are the rows of the parties that the asker may see, ``hidden`` the Locations that their fences hide.
    """

    recipient: Party
    module: str
    owners: Sequence[int]
    hidden: Sequence[tuple[int, str]]
    query: PageQuery
    lane = None
    name = KEPT

    def total(self) -> int:
        """Count in one statement."""
        where, params = self._conditions()
        [(total,)] = rawsql.fetch(f"SELECT count(*) FROM {_TABLE} d WHERE {where}", params)
        return int(total)

    def read(self, *, offset: int, limit: int) -> Sequence[bytes]:
        """Read in one statement; what is skipped is found without its document."""
        where, params = self._conditions()
        rows = rawsql.fetch(
            f"SELECT d.document FROM {_TABLE} d JOIN (SELECT d.id FROM {_TABLE} d WHERE {where}"
            " ORDER BY d.id LIMIT %(limit)s OFFSET %(offset)s) page ON page.id = d.id ORDER BY d.id",
            {**params, "limit": limit, "offset": offset},
        )
        return [row[0] for row in rows]

    def _conditions(self) -> tuple[str, dict[str, Any]]:
        where = [
            "d.recipient_id = %(recipient)s",
            "d.module = %(module)s",
            "NOT d.is_deleted",
            "d.owner_id = ANY(%(owners)s::bigint[])",
        ]
        params: dict[str, Any] = {
            "recipient": self.recipient.pk,
            "module": self.module,
            "owners": list(self.owners),
        }
        if self.query.date_from is not None:
            where.append("d.last_updated >= %(date_from)s")
            params["date_from"] = self.query.date_from
        if self.query.date_to is not None:
            where.append("d.last_updated < %(date_to)s")
            params["date_to"] = self.query.date_to
        if self.hidden:
            where.append(
                "NOT EXISTS (SELECT 1 FROM unnest(%(hidden_owners)s::bigint[], %(hidden_keys)s::text[])"
                " AS hidden(owner_id, object_key)"
                " WHERE hidden.owner_id = d.owner_id AND hidden.object_key = d.object_key)"
            )
            params["hidden_owners"], params["hidden_keys"] = (list(column) for column in zip(*self.hidden))
        return " AND ".join(where), params


class _List(msgspec.Struct):
    data: list[msgspec.Raw] | None = None


class _Envelope(_List):
    status_code: int = 0
    status_message: str = ""


class _CdrToken(msgspec.Struct):
    country_code: str
    party_id: str


class _Head(msgspec.Struct):
    country_code: str
    party_id: str
    cdr_token: _CdrToken


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_LIST = msgspec.json.Decoder(_List)
_HEAD = msgspec.json.Decoder(_Head)


@dataclass
class OwnSource:
    """The list of one of our own parties, by its own view: with its grants, its counts and its order."""

    party: Party
    interface: tuple[str, str]
    request: HttpRequest
    caller: Caller
    query: PageQuery
    lane = None
    _first: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its party."""
        return str(self.party.ocpi_id)

    def total(self) -> int:
        """Ask for the first page, which is often wanted next, and take the count with it."""
        self._first, total = self._page(offset=0, limit=self.query.limit)
        return total

    def read(self, *, offset: int, limit: int) -> Sequence[bytes]:
        """Ask its view, unless the first page is wanted and here."""
        if offset == 0 and len(self._first) >= limit:
            return self._first[:limit]
        return self._page(offset=offset, limit=limit)[0]

    def _page(self, *, offset: int, limit: int) -> tuple[list[bytes], int]:
        query = page_parameters(self.query._replace(offset=offset, limit=limit))
        answer = local.dispatched(
            self.request,
            self.caller,
            to=self.party,
            interface=self.interface,
            message=Message("GET", query=query),
        )
        envelope = _ENVELOPE.decode(answer.content)
        if answer.status_code != 200 or envelope.status_code != StatusCode.SUCCESS:
            raise OcpiError(
                envelope.status_code,
                f"{self.party.ocpi_id}: {envelope.status_message}",
                http_status=answer.status_code,
            )
        return [bytes(entry) for entry in envelope.data or ()], int(answer["X-Total-Count"])


@dataclass
class LiveSource:
    """The list of a party on another platform, as it answers now.

    ``budget`` is that of all live lists of this page; no row is touched while it is asked, and who asks holds a place
    of all (``Gates.together``).
    """

    target: Target
    asker: Party
    query: PageQuery
    correlation_id: str
    sees_own_tokens_only: bool
    budget: Budget
    _first: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its party."""
        return str(self._owner)

    @property
    def lane(self) -> Hashable:
        """What hangs when it hangs."""
        return self.target.key

    @property
    def _owner(self) -> PartyId:
        return self.target.party.ocpi_id

    def total(self) -> int:
        """Ask for the first page, which is often wanted next, and take the count with it."""
        answer = self._ask(offset=0, limit=self.query.limit)
        text = answer.headers.get("X-Total-Count", "")
        if not _TOTAL.fullmatch(text):
            raise self._failed(StatusCode.HUB_ERROR, "does not say how many objects there are")
        self._first = self._entries(answer)
        return int(text)

    def read(self, *, offset: int, limit: int) -> Sequence[bytes]:
        """Ask until the stretch is complete: a peer may give fewer objects per page than it is asked for."""
        entries = self._first[:limit] if offset == 0 else []
        for _ in range(MAX_CALLS):
            if len(entries) >= limit:
                break
            more = self._entries(self._ask(offset=offset + len(entries), limit=limit - len(entries)))
            if not more:
                break
            entries += more
        else:
            if len(entries) < limit:
                raise self._failed(StatusCode.HUB_ERROR, "gives too few objects per page")
        return [entry for entry in entries[:limit] if self._may_pass(entry)]

    def _ask(self, *, offset: int, limit: int) -> Answer:
        query = self.query._replace(offset=offset, limit=limit, date_from=self.query.date_from or EVER)
        try:
            with GATES.asking(self.target.key, self.budget) as seconds:
                answer = self._call(query, seconds)
        except (CallFailed, Silent) as failure:
            log.warning("hub.list_unanswered party=%s reason=%s", self._owner, failure)
            raise self._failed(StatusCode.TIMEOUT, "does not answer") from None
        except Crowded:
            log.warning("hub.crowded platform=%s", self.target.platform.pk)
            raise self._failed(
                StatusCode.CONNECTION_PROBLEM, "has too many requests waiting, try again later"
            ) from None
        if not answer.is_success:
            log.warning(
                "hub.list_refused party=%s http=%s ocpi=%s",
                self._owner, answer.http_status, answer.status_code,
            )  # fmt: skip
            raise self._failed(
                StatusCode.HUB_ERROR, f"answers HTTP {answer.http_status}, {answer.status_code}"
            )
        return answer

    def _call(self, query: PageQuery, seconds: float) -> Answer:
        url = self.target.endpoint
        return call(
            "GET",
            f"{url}{'&' if '?' in url else '?'}{urlencode(page_parameters(query))}",
            token=self.target.token,
            timeout_seconds=seconds,
            headers=routing_headers(to=self._owner, from_=self.asker.ocpi_id)
            | {"X-Correlation-ID": self.correlation_id},
            raw_token=self.target.platform.accept_raw_token,
        )

    def _entries(self, answer: Answer) -> list[bytes]:
        try:
            return [bytes(entry) for entry in _LIST.decode(answer.body).data or ()]
        except msgspec.MsgspecError:
            raise self._failed(StatusCode.HUB_ERROR, "answers with something that is no list") from None

    def _may_pass(self, entry: bytes) -> bool:
        """Whether an object is this party's, and for a token of the asker's: a careless CPO must not leak (HUB-53)."""
        try:
            head = _HEAD.decode(entry)
        except msgspec.MsgspecError:
            log.warning("hub.object_unreadable party=%s", self._owner)
            return False
        owner = PartyId.of(head.country_code, head.party_id)
        payer = PartyId.of(head.cdr_token.country_code, head.cdr_token.party_id)
        is_payers = not self.sees_own_tokens_only or payer == self.asker.ocpi_id
        may_pass = owner == self._owner and is_payers
        if not may_pass:
            log.error("hub.foreign_object party=%s asker=%s", self._owner, self.asker.ocpi_id)
        return may_pass

    def _failed(self, status_code: StatusCode, reason: str) -> OcpiError:
        return OcpiError(status_code, f"{self._owner} {reason}")


def named(sources: Sequence[Source]) -> Mapping[str, Source]:
    """Return the sources by the names that links call them."""
    return {source.name: source for source in sources}
