"""A card is held to a reader: fence first, then the partner's word, then an answer that ends with the window.

Order of access.md 5.6: deny by the fence at once (no partner is asked for a doomed start), then the whitelist or
the real-time authorization, then an answer whose expiry is the end of what the grant allows.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from access.decisions import Allow, StartRequest
from access.models import Grant
from access.reasons import ID_TAG_STATUS_16
from access.services import Verdict, decide_start
from charging.cards import (
    COMMAND_STANDS_FOR,
    INVALID,
    TapAnswer,
    is_charging_elsewhere,
    known_here,
    may_stop_here,
    parent_of,
)
from charging.models import Authorization
from charging.reservations import held_by
from charging.traces import Traces, traces_of
from locations.models import EVSE, Location
from ocpi import codec, v221
from ocpi.headers import PartyId
from roaming.models import Party, Platform
from tokens.authorization import RealtimeAnswer, authorize_openly, authorize_realtime
from tokens.models import Token
from tokens.services import tokens_by_uid
from tokens.whitelist import Use, judge_answer, plan_use

log = logging.getLogger(__name__)

# A tap must be followed by its start within this time; afterwards the card is asked for again.
AUTHORIZATION_LIFETIME = timedelta(minutes=5)
# Unknown cards are asked for at this many partners at most, one after the other (O11) …
MAX_ASKED = 2
# … and at no further one when so much time has passed: the driver gets an answer within five seconds (O10).
PATIENCE_SECONDS = 1.5

_BY_OUTCOME = {"EXPIRED": "Expired", "UNKNOWN_TOKEN": "Invalid", "UNREACHABLE": "Invalid"}


@dataclass(frozen=True)
class _Tap:
    """A card at a reader; `at` is when it was held there, which may be long before `now`."""

    station_identity: str
    id_tag: str
    at: datetime
    now: datetime
    traces: Traces


@dataclass(frozen=True)
class _Card:
    """A card that a partner may stand for: the party, and its token when we know it."""

    party: Party
    token: v221.Token | None


@dataclass(frozen=True)
class _Word:
    """A partner's yes: in whose name, by which method, with which reference, at which bays."""

    party: Party
    token: v221.Token
    auth_method: v221.AuthMethod
    authorization_reference: str = ""
    evse_uids: tuple[str, ...] = ()


def tap(*, station_identity: str, id_tag: str, now: datetime, at: datetime | None = None) -> TapAnswer:
    """Answer an Authorize of a station (OCPP 1.6, 4.1), or judge a start that came without one, `at` its time.

    No transaction is open while a partner is asked.
    """
    when = at or now
    traces = traces_of(station_identity=station_identity, id_tag=id_tag, since=when - COMMAND_STANDS_FOR)
    known = known_here(station_identity=station_identity, id_tag=id_tag, at=when, traces=traces)
    if known is not None:
        return known
    answer = _judge(_Tap(station_identity, id_tag, when, now, traces))
    if answer.status == "Accepted":
        return answer
    return may_stop_here(station_identity=station_identity, id_tag=id_tag) or answer


def _judge(held: _Tap) -> TapAnswer:
    locations = _locations(held.station_identity)
    if not locations:
        return INVALID
    # A station stands at one depot: its operator knows the card, asks about it and is paid.
    operator = locations[0].depot.operator
    tokens = tokens_by_uid(own_party=operator, uid=held.id_tag, type=v221.TokenType.RFID)
    if len({row.party_id for row in tokens}) > 1:
        # Two partners claim this uid: whose customer pays is not ours to guess (B11).
        log.warning("authorize.ambiguous_uid station=%s", held.station_identity)
        return INVALID
    if any(row.is_blocked_here for row in tokens):
        return TapAnswer("Blocked")  # by an operator of ours, whatever its owner says (B18)
    if tokens:
        return _ask(held, [_Card(row.party, _token(row)) for row in tokens], locations)
    return _judge_unknown(held, locations)


def _locations(station_identity: str) -> list[Location]:
    """The pools that the station's bays belong to; nearly always one."""
    here = Location.objects.filter(evses__station_identity=station_identity, evses__is_removed=False)
    return list(here.select_related("depot__operator").distinct())


def _token(row: Token) -> v221.Token:
    return codec.decode_bytes(v221.Token, bytes(row.document))


def _judge_unknown(held: _Tap, locations: Sequence[Location]) -> TapAnswer:
    """Only partners that have a grant here are asked about a card that nobody knows, the most trusted first.

    Those behind a hub that finds the one by itself are asked about by one question to that hub (HUB-49).
    """
    grants = Grant.objects.filter(location__in=locations, status=Grant.Status.ACTIVE, party__is_active=True)
    grants = grants.exclude(party__role=v221.Role.HUB.value).select_related("party__platform")
    parties = {grant.party_id: grant.party for grant in grants.order_by("priority_class", "party_id")}
    named: list[_Card] = []
    by_hub: dict[Platform, list[Party]] = defaultdict(list)
    for party in parties.values():
        if party.is_behind_hub and party.platform is not None and party.platform.asks_openly:
            by_hub[party.platform].append(party)
        else:
            named.append(_Card(party, None))
    begun = time.monotonic()
    answer = _ask(held, named[:MAX_ASKED], locations)
    for hub, owners in list(by_hub.items())[: MAX_ASKED - len(named[:MAX_ASKED])]:
        if answer.status == "Accepted" or time.monotonic() - begun > PATIENCE_SECONDS:
            break
        answer = _ask_openly(held, hub, owners, locations)
    return answer


def _ask_openly(
    held: _Tap, hub: Platform, owners: Sequence[Party], locations: Sequence[Location]
) -> TapAnswer:
    """Ask a hub whose card this is, unless nobody behind it may charge here now; then the owner's grant decides."""
    for owner in owners:
        location, verdict = _fence(held, _Card(owner, None), locations)
        if isinstance(verdict.outcome, Allow):
            break
    else:
        return _refused_by_fence(verdict)
    answer = authorize_openly(
        own_party=location.depot.operator,
        hub=hub,
        owners=owners,
        token_uid=held.id_tag,
        token_type=v221.TokenType.RFID,
        location=_place(location, held.station_identity),
    )
    card = next((_Card(party, None) for party in owners if _is_owner(party, answer.token)), None)
    if card is None:
        return TapAnswer(_BY_OUTCOME.get(answer.outcome, "Blocked"))
    if card.party != owner:
        _, verdict = _fence(held, card, [location])
        if not isinstance(verdict.outcome, Allow):
            return _refused_by_fence(verdict)
    if _charges_elsewhere(held, card.party):
        return TapAnswer("ConcurrentTx")
    word = _read_answer(card, answer)
    return word if isinstance(word, TapAnswer) else _accept(held, word, verdict)


def _is_owner(party: Party, token: v221.Token | None) -> bool:
    return token is not None and party.ocpi_id == PartyId.of(token.country_code, token.party_id)


def _refused_by_fence(verdict: Verdict) -> TapAnswer:
    outcome = verdict.outcome
    return INVALID if isinstance(outcome, Allow) else TapAnswer(ID_TAG_STATUS_16[outcome.reason])


def _ask(held: _Tap, cards: Sequence[_Card], locations: Sequence[Location]) -> TapAnswer:
    refusal = INVALID
    begun = time.monotonic()
    for card in cards:
        location, verdict = _fence(held, card, locations)
        if not isinstance(verdict.outcome, Allow):
            refusal = TapAnswer(ID_TAG_STATUS_16[verdict.outcome.reason])
            continue
        if time.monotonic() - begun > PATIENCE_SECONDS:
            log.warning("authorize.out_of_time station=%s", held.station_identity)
            break
        word = _word_of_partner(held, card, location)
        if isinstance(word, TapAnswer):
            refusal = word
            continue
        return _accept(held, word, verdict)
    return refusal


def _fence(held: _Tap, card: _Card, locations: Sequence[Location]) -> tuple[Location, Verdict]:
    """The first pool of the station that admits the card, or the last that does not."""
    uid = card.token.uid if card.token else held.id_tag
    for location in locations:
        may_hold = held.traces.has_reservation
        reserved = held_by(party=card.party, uid=uid, location=location) if may_hold else None
        verdict = decide_start(
            request=StartRequest(
                source="RFID",
                party=str(card.party.ocpi_id),
                token_group=card.token.group_id if card.token else None,
                location_id=location.ocpi_id,
            ),
            party=card.party,
            location=location,
            now=held.at,
            at_station=True,
            reservation=reserved.session if reserved is not None else None,
        )
        if isinstance(verdict.outcome, Allow):
            break
    return location, verdict


def _word_of_partner(held: _Tap, card: _Card, location: Location) -> _Word | TapAnswer:
    uid = card.token.uid if card.token else held.id_tag
    if _charges_elsewhere(held, card.party):
        return TapAnswer("ConcurrentTx")
    use = plan_use(card.token, asks_when_allowed=settings.REALTIME_WHEN_ALLOWED)
    if use is Use.REFUSE:
        return TapAnswer("Blocked")
    if use is Use.ALLOW_FROM_CACHE and card.token is not None:
        return _Word(card.party, card.token, v221.AuthMethod.WHITELIST)
    answer = authorize_realtime(
        own_party=location.depot.operator,
        party=card.party,
        token_uid=uid,
        token_type=v221.TokenType.RFID,
        location=_place(location, held.station_identity),
        now=held.now,
    )
    return _read_answer(card, answer)


def _charges_elsewhere(held: _Tap, party: Party) -> bool:
    return held.traces.has_charge and is_charging_elsewhere(
        party=party, uid=held.id_tag, station_identity=held.station_identity, connector=None, at=held.at
    )


def _place(location: Location, station_identity: str) -> v221.LocationReferences:
    here = EVSE.objects.filter(location=location, station_identity=station_identity, is_removed=False)
    uids = here.order_by("ocpp_connector").values_list("uid", flat=True)
    return v221.LocationReferences(location_id=location.ocpi_id, evse_uids=tuple(uids))


def _read_answer(card: _Card, answer: RealtimeAnswer) -> _Word | TapAnswer:
    use = judge_answer(card.token, answer.outcome)
    if use is Use.ALLOW_FROM_CACHE and card.token is not None:
        return _Word(card.party, card.token, v221.AuthMethod.WHITELIST)
    token = answer.token or card.token
    if use is not Use.ALLOW or token is None:
        return TapAnswer(_BY_OUTCOME.get(answer.outcome, "Blocked"))
    return _Word(
        card.party,
        token,
        v221.AuthMethod.AUTH_REQUEST,
        answer.authorization_reference or "",
        tuple(answer.evse_uids),
    )


def _accept(held: _Tap, word: _Word, verdict: Verdict) -> TapAnswer:
    allow = verdict.outcome
    until = allow.must_end_by if isinstance(allow, Allow) else None
    expires_at = held.at + AUTHORIZATION_LIFETIME
    with transaction.atomic():
        Authorization.objects.create(
            station_identity=held.station_identity,
            id_tag=held.id_tag,
            party=word.party,
            token=codec.encode(word.token),
            auth_method=word.auth_method.value,
            authorization_reference=word.authorization_reference,
            evse_uids=[uid.upper() for uid in word.evse_uids],
            decision_ref=verdict.receipt.ref,
            created_at=held.at,
            expires_at=min(expires_at, until) if until else expires_at,
        )
    return TapAnswer("Accepted", until, parent_of(word.party, word.token.group_id))
