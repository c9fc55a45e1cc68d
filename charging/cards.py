"""What we know of a card before anybody is asked: a command for it, a charge that it runs, its group."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from charging import reservations
from charging.models import Command, Transaction
from charging.traces import Traces
from ocpi import codec, v221
from roaming.models import Party
from sessions.models import Session
from tokens.services import tokens_by_uid

# A command of the partner stands for the card of the same token this long at this station (TOK-22).
COMMAND_STANDS_FOR = timedelta(minutes=15)


@dataclass(frozen=True)
class TapAnswer:
    """What the station is told: an OCPP 1.6 idTagInfo."""

    status: str
    expires_at: datetime | None = None
    parent_id_tag: str | None = None


INVALID = TapAnswer("Invalid")


def known_here(*, station_identity: str, id_tag: str, at: datetime, traces: Traces) -> TapAnswer | None:
    """A tag of ours from a command, a card that a command is for, or the card of a running charge: no question to
    anybody. None: this card has to be asked for. Only where it has left `traces` is it looked for."""
    command = command_of(id_tag=id_tag, at=at) if traces.is_commanded else None
    if command is not None and command.session is not None:
        is_here = command.session.evse.station_identity == station_identity
        return TapAnswer("Accepted", command.session.must_end_by) if is_here else INVALID
    card = {"station_identity": station_identity, "id_tag": id_tag}
    waiting = waiting_for_card(**card, at=at) if traces.is_awaited else None
    if waiting is not None:
        return TapAnswer("Accepted", waiting.must_end_by, parent_of(waiting.party, waiting.token_group))
    kept = kept_without_question(**card, at=at) if traces.has_reservation else None
    if kept is not None:
        return TapAnswer("Accepted", kept.must_end_by, parent_of(kept.party, kept.token_group))
    running = _running(station_identity).filter(id_tag__iexact=id_tag).first() if traces.has_charge else None
    if running is None:
        return None
    # The driver wants to stop: always allowed, also after the window has closed.
    session = running.session
    return TapAnswer("Accepted", None, parent_of(session.party, session.token_group) if session else None)


def may_stop_here(*, station_identity: str, id_tag: str) -> TapAnswer | None:
    """The yes for a card of the same group as a charge that runs here: one starts, another may stop (TOK-23)."""
    for running in (
        _running(station_identity).filter(session__isnull=False).select_related("session__own_party")
    ):
        session = running.session
        if session is None or not session.token_group:
            continue
        known = tokens_by_uid(own_party=session.own_party, uid=id_tag, type=v221.TokenType.RFID)
        for row in known:
            if row.party_id == session.party_id and row.group_id.upper() == session.token_group.upper():
                return TapAnswer("Accepted", None, parent_of(row.party, row.group_id))
    return None


def command_of(*, id_tag: str, at: datetime) -> Command | None:
    """The START_SESSION that this tag of ours was made for, while it stands."""
    found: Command | None = (
        Command.objects.select_related("session__evse", "party")
        .filter(id_tag=id_tag, type=v221.CommandType.START_SESSION.value, session__isnull=False)
        .filter(created_at__gte=at - COMMAND_STANDS_FOR)
        .first()
    )
    return found


def waiting_for_card(*, station_identity: str, id_tag: str, at: datetime) -> Session | None:
    """The session that a command opened here for the driver of this very card."""
    waiting = Session.objects.filter(
        evse__station_identity=station_identity,
        status=v221.SessionStatus.PENDING.value,
        token_uid__iexact=id_tag,
        created_at__gte=at - COMMAND_STANDS_FOR,
    ).select_related("party", "evse")
    return next((each for each in waiting if _is_card(each)), None)


def kept_without_question(*, station_identity: str, id_tag: str, at: datetime) -> Session | None:
    """The reserved session that this tag may begin: a tag of ours, or a card that the partner has ordered to start.

    A card that simply comes is asked for like any other (CDR-22).
    """
    kept = reservations.kept_for(station_identity=station_identity, id_tag=id_tag)
    if kept is None:
        return None
    is_ours = reservations.has_own_tag(kept)
    if is_ours or reservations.is_commanded(kept.session, since=at - COMMAND_STANDS_FOR):
        return kept.session
    return None


def is_charging_elsewhere(
    *, party: Party, uid: str, station_identity: str, connector: int | None, at: datetime
) -> bool:
    """Whether this card runs a charge at another bay (connector None: at another station) at this moment (W9).

    Only what surely runs counts: a station that is away, or that has forgotten the charge, must not lock its
    driver out everywhere else.
    """
    elsewhere = Transaction.objects.filter(
        stopped_at__isnull=True,
        orphaned_at__isnull=True,
        started_at__lte=at,
        session__status=v221.SessionStatus.ACTIVE.value,
        session__party=party,
        session__token_uid__iexact=uid,
        session__evse__is_online=True,
    ).select_related("session")
    return any(
        _is_card(row.session)
        for row in elsewhere
        if row.session is not None
        and (row.station_identity != station_identity or connector not in (None, row.ocpp_connector))
    )


def parent_of(party: Party, token_group: str | None) -> str | None:
    """The parentIdTag of a group of tokens: the same for all its cards, and for nobody else's (20 characters)."""
    if not token_group:
        return None
    name = f"{party.country_code}-{party.party_id}/{token_group}".upper()
    return f"G{hashlib.sha256(name.encode()).hexdigest()[:19].upper()}"


def _running(station_identity: str) -> QuerySet[Transaction]:
    return Transaction.objects.filter(
        station_identity=station_identity, stopped_at__isnull=True
    ).select_related("session__party")


def _is_card(session: Session) -> bool:
    return codec.decode_bytes(v221.CdrToken, bytes(session.cdr_token)).type is v221.TokenType.RFID
