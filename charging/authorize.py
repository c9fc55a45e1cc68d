"""A card is held to a reader: fence first, then the partner's word, then an answer that ends with the window.

Order of access.md 5.6: deny by the fence at once (no partner is asked for a doomed start), then the whitelist or
the real-time authorization, then an answer whose expiry is the end of what the grant allows.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from access.decisions import Allow, StartRequest
from access.models import Grant
from access.reasons import ID_TAG_STATUS_16
from access.services import Verdict, decide_start
from charging.models import Authorization, Command, Transaction
from locations.models import EVSE, Location
from ocpi import codec, v221
from roaming.models import Party
from tokens.authorization import RealtimeAnswer, authorize_realtime
from tokens.models import Token
from tokens.services import tokens_by_uid
from tokens.whitelist import Use, judge_answer, plan_use

log = logging.getLogger(__name__)

# A tap must be followed by its start within this time; afterwards the card is asked for again.
AUTHORIZATION_LIFETIME = timedelta(minutes=5)
# A command of the partner stands for the card of the same token this long at this station (TOK-22).
COMMAND_STANDS_FOR = timedelta(minutes=15)
# Unknown cards are asked for at this many partners at most, one after the other (O11).
MAX_ASKED = 2


@dataclass(frozen=True)
class TapAnswer:
    """What the station is told: an OCPP 1.6 idTagInfo."""

    status: str
    expires_at: datetime | None = None
    parent_id_tag: str | None = None


INVALID = TapAnswer("Invalid")


@dataclass(frozen=True)
class _Card:
    """A card that a partner may stand for: the party, and its token when we know it."""

    party: Party
    token: v221.Token | None


def tap(*, station_identity: str, id_tag: str, now: datetime) -> TapAnswer:
    """Answer an Authorize of a station (OCPP 1.6, 4.1). No transaction is open while a partner is asked."""
    known = _known_at_this_station(station_identity, id_tag, now)
    if known is not None:
        return known
    locations = list(
        Location.objects.filter(evses__station_identity=station_identity, evses__is_removed=False)
        .select_related("depot__operator")
        .distinct()
    )
    if not locations:
        return INVALID
    location = locations[0]
    cards = _cards(id_tag, location)
    if len({card.party.pk for card in cards if card.token is not None}) > 1:
        # Two partners claim this uid: whose customer pays is not ours to guess (B11).
        log.warning("authorize.ambiguous_uid station=%s", station_identity)
        return INVALID
    return _ask(cards, station_identity, id_tag, location, now)


def _known_at_this_station(station_identity: str, id_tag: str, now: datetime) -> TapAnswer | None:
    """A tag of our own from a command, or the card of a running session: no question to anybody."""
    command = (
        Command.objects.filter(id_tag=id_tag, created_at__gte=now - COMMAND_STANDS_FOR)
        .select_related("session__evse")
        .first()
    )
    if command is not None and command.session is not None:
        here = command.session.evse.station_identity == station_identity
        return TapAnswer("Accepted", command.session.must_end_by) if here else INVALID
    running = Transaction.objects.filter(
        station_identity=station_identity, id_tag__iexact=id_tag, stopped_at__isnull=True
    ).first()
    # The driver wants to stop: always allowed, also after the window has closed.
    return TapAnswer("Accepted") if running is not None else None


def _cards(id_tag: str, location: Location) -> list[_Card]:
    rows = tokens_by_uid(uid=id_tag, type=v221.TokenType.RFID)
    if rows:
        return [_Card(row.party, None if row.is_blocked_here else _token(row)) for row in rows]
    # Unknown card: only partners that have a grant here are asked, the most trusted first.
    parties = Party.objects.filter(
        grants__location=location, grants__status=Grant.Status.ACTIVE, is_active=True
    ).select_related("platform")
    return [_Card(party, None) for party in parties.order_by("grants__priority_class", "pk").distinct()][:MAX_ASKED]


def _token(row: Token) -> v221.Token:
    return codec.decode_bytes(v221.Token, bytes(row.document))


def _ask(
    cards: Sequence[_Card], station_identity: str, id_tag: str, location: Location, now: datetime
) -> TapAnswer:
    refusal = INVALID
    for card in cards:
        if card.token is None and tokens_by_uid(uid=id_tag, type=v221.TokenType.RFID):
            return TapAnswer("Blocked")  # blocked here by an operator, whatever its owner says
        verdict = _fence(card, location, now)
        if not isinstance(verdict.outcome, Allow):
            refusal = TapAnswer(ID_TAG_STATUS_16[verdict.outcome.reason])
            continue
        answer = _word_of_partner(card, id_tag, location, now)
        if isinstance(answer, TapAnswer):
            refusal = answer
            continue
        return _accept(answer, verdict, station_identity, id_tag, now)
    return refusal


def _fence(card: _Card, location: Location, now: datetime) -> Verdict:
    with transaction.atomic():
        return decide_start(
            request=StartRequest(
                source="RFID",
                party=str(card.party.ocpi_id),
                token_group=card.token.group_id if card.token else None,
                location_id=location.ocpi_id,
            ),
            party=card.party,
            location=location,
            now=now,
        )


@dataclass(frozen=True)
class _Word:
    """A partner's yes: in whose name, by which method, with which reference, at which bays."""

    party: Party
    token: v221.Token
    auth_method: v221.AuthMethod
    authorization_reference: str = ""
    evse_uids: tuple[str, ...] = ()


def _word_of_partner(card: _Card, id_tag: str, location: Location, now: datetime) -> "_Word | TapAnswer":
    use = plan_use(card.token)
    if use is Use.REFUSE:
        return TapAnswer("Blocked")
    if use is Use.ALLOW_FROM_CACHE and card.token is not None:
        return _Word(card.party, card.token, v221.AuthMethod.WHITELIST)
    answer = authorize_realtime(
        party=card.party,
        token_uid=card.token.uid if card.token else id_tag,
        token_type=v221.TokenType.RFID,
        location=v221.LocationReferences(location_id=location.ocpi_id, evse_uids=_evse_uids(location)),
        now=now,
    )
    return _read_answer(card, answer)


def _read_answer(card: _Card, answer: RealtimeAnswer) -> "_Word | TapAnswer":
    verdict = judge_answer(card.token, answer.outcome)
    if verdict is Use.ALLOW_FROM_CACHE and card.token is not None:
        return _Word(card.party, card.token, v221.AuthMethod.WHITELIST)
    if verdict is Use.ALLOW and (token := answer.token or card.token) is not None:
        return _Word(
            card.party,
            token,
            v221.AuthMethod.AUTH_REQUEST,
            answer.authorization_reference or "",
            tuple(answer.evse_uids),
        )
    return TapAnswer({"EXPIRED": "Expired", "UNKNOWN_TOKEN": "Invalid", "UNREACHABLE": "Invalid"}.get(answer.outcome, "Blocked"))


def _evse_uids(location: Location) -> tuple[str, ...]:
    return tuple(EVSE.objects.filter(location=location, is_removed=False).values_list("uid", flat=True))


def _accept(word: _Word, verdict: Verdict, station_identity: str, id_tag: str, now: datetime) -> TapAnswer:
    allow = verdict.outcome
    expires_at = now + AUTHORIZATION_LIFETIME
    until = allow.must_end_by if isinstance(allow, Allow) else None
    Authorization.objects.create(
        station_identity=station_identity,
        id_tag=id_tag,
        party=word.party,
        token=codec.encode(word.token),
        auth_method=word.auth_method.value,
        authorization_reference=word.authorization_reference,
        evse_uids=[uid.upper() for uid in word.evse_uids],
        decision_ref=verdict.receipt.ref,
        created_at=now,
        expires_at=min(expires_at, until) if until else expires_at,
    )
    return TapAnswer("Accepted", until)
