"""Reserving as a partner and its station do it, in one line each, for the tests around reservations."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from msgspec.structs import replace

from access.models import Grant
from chargers.models import StationCall
from charging.answers import Outcome, station_answered
from charging.commands import Order, Reply, start_session
from charging.models import Command, Reservation
from charging.reserving import cancel_reservation, reserve_now
from charging.transactions import Begin, BeginAnswer, End, started, stopped
from locations.models import EVSE, Location, PartnerView
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import Session
from tests.charging.conftest import OPEN, token_of
from tests.sessions.material import component

CARD = "04A2B3C4D5E680"
HOUR = timedelta(hours=1)
UNTIL = OPEN + HOUR
ACCEPTED = v221.CommandResponseType.ACCEPTED
REJECTED = v221.CommandResponseType.REJECTED
CAPABLE = ["REMOTE_START_STOP_CAPABLE", "RFID_READER", "RESERVABLE", "UNLOCK_CAPABLE"]


def make_reservable() -> None:
    """Let all bays be reserved and unlocked."""
    EVSE.objects.update(capabilities=CAPABLE)


def card_of(party: Party) -> v221.Token:
    return token_of(party, CARD, v221.TokenType.RFID)


def reserve(
    order: Order, bay: EVSE | None, *, now: datetime = OPEN, until: datetime = UNTIL, **members: Any
) -> Reply:
    """RESERVE_NOW of R1 by the app user of the party, unless told otherwise; no bay: any."""
    given: dict[str, Any] = {
        "response_url": order.response_url,
        "token": token_of(order.party),
        "expiry_date": until,
        "reservation_id": "R1",
        "location_id": "GENT-NOORD-GUEST",
        "evse_uid": bay.uid if bay is not None else None,
    }
    return reserve_now(order=order, request=v221.ReserveNow(**(given | members)), now=now)


def cancel(order: Order, reservation_id: str = "R1", *, now: datetime = OPEN) -> Reply:
    request = v221.CancelReservation(response_url=order.response_url, reservation_id=reservation_id)
    return cancel_reservation(order=order, request=request, now=now)


def start(order: Order, bay: EVSE | None, *, now: datetime = OPEN, **members: Any) -> Reply:
    given: dict[str, Any] = {
        "response_url": order.response_url,
        "token": token_of(order.party),
        "location_id": "GENT-NOORD-GUEST",
        "evse_uid": bay.uid if bay is not None else None,
    }
    return start_session(order=order, request=v221.StartSession(**(given | members)), now=now)


def station_says(outcome: Outcome | str = "Accepted", *, now: datetime = OPEN) -> Command:
    """The station answers the newest command that waits for it."""
    command = Command.objects.filter(state=Command.State.SENT).first()
    assert command is not None
    answer = Outcome(outcome) if isinstance(outcome, str) else outcome
    station_answered(purpose=f"command:{command.pk}", outcome=answer, now=now)
    command.refresh_from_db()
    return command


def reserved(order: Order, bay: EVSE, **members: Any) -> Reservation:
    """A reservation that is in force at its station."""
    assert reserve(order, bay, **members).response.result is ACCEPTED
    station_says()
    return Reservation.objects.get(state=Reservation.State.PLACED)


def begin(bay: EVSE, id_tag: str, at: datetime, *, reservation_id: int | None = None) -> BeginAnswer:
    begun = Begin(bay.station_identity, bay.ocpp_connector, id_tag, at, 1_000, reservation_id)
    return started(begin=begun, now=at)


def end(bay: EVSE, answer: BeginAnswer, at: datetime, meter_wh: int = 21_000) -> None:
    stopped(end=End(bay.station_identity, answer.transaction_id, at, meter_wh), now=at)


def results() -> list[tuple[str, v221.CommandResultType]]:
    """URL and result of all results that are owed, oldest first."""
    rows = Obligation.objects.filter(kind="command_result").order_by("pk")
    return [(row.url, codec.decode_bytes(v221.CommandResult, bytes(row.body)).result) for row in rows]


def said() -> list[v221.CommandResultType]:
    return [result for _, result in results()]


def asked(action: str) -> list[dict[str, Any]]:
    """Payloads of the orders of one kind to stations, oldest first."""
    calls: QuerySet[StationCall] = StationCall.objects.filter(action=action).order_by("pk")
    return [call.payload for call in calls]


def shown(party: Party, bay: EVSE) -> v221.Status:
    """The status of a bay in the document of a partner."""
    view = PartnerView.objects.get(party=party, location=bay.location)
    document = codec.decode_bytes(v221.Location, bytes(view.document))
    return next(evse.status for evse in document.evses if evse.uid == bay.uid)


def nothing_reserved() -> bool:
    rows = (Session, Reservation, Command, StationCall)
    return not any(model.objects.exists() for model in rows) and results() == []


def grant_to(party: Party, location: Location) -> Grant:
    """The same rights for one more party."""
    grant = Grant.objects.filter(location=location).first()
    assert grant is not None
    grant.pk, grant.party = None, party
    grant.save()
    return grant


def ask_for_reservations() -> v221.Tariff:
    """1.00 for reserving and 6.00 an hour while reserved; who does not come pays 12.00 an hour instead."""
    row = Grant.objects.select_related("tariff").first().tariff
    known = codec.decode_bytes(v221.Tariff, bytes(row.document))
    kinds = v221.ReservationRestrictionType
    elements = (
        v221.TariffElement(
            price_components=(component("FLAT", "1.00"), component("TIME", "6.00")),
            restrictions=v221.TariffRestrictions(reservation=kinds.RESERVATION),
        ),
        v221.TariffElement(
            price_components=(component("TIME", "12.00"),),
            restrictions=v221.TariffRestrictions(reservation=kinds.RESERVATION_EXPIRES),
        ),
        *known.elements,
    )
    tariff = replace(known, elements=elements)
    row.document = codec.encode(tariff)
    row.save(update_fields=["document"])
    return tariff


def price(excl: str, incl: str) -> v221.Price:
    return v221.Price(excl_vat=Decimal(excl), incl_vat=Decimal(incl))
