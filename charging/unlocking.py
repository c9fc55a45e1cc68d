"""UNLOCK_CONNECTOR: a help desk frees a cable that is stuck (mod_commands)."""

from datetime import datetime

from django.db import transaction

from access.facts import LIVE
from charging.locks import lock_bay
from charging.models import Transaction
from charging.orders import (
    About,
    Order,
    Reply,
    accepted,
    not_after,
    not_supported,
    purpose_of,
    record,
    rejected,
    unknown_location,
    visible_location,
)
from charging.ports import charger_gateway
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from sessions.models import Session


def unlock_connector(*, order: Order, request: v221.UnlockConnector, now: datetime) -> Reply:
    """UNLOCK_CONNECTOR: at any hour, but never under the vehicle of somebody else.

    2003 for a Location, EVSE or Connector that this party cannot see; NOT_SUPPORTED for a bay without
    UNLOCK_CAPABLE (CMD-25).
    """
    location = visible_location(order, request.location_id)
    evse = EVSE.objects.filter(
        location=location, uid=request.evse_uid.upper(), is_removed=False, connectors__ocpi_id__iexact=request.connector_id
    ).first()  # fmt: skip
    if location is None or evse is None:
        return unknown_location()
    if v221.Capability.UNLOCK_CAPABLE.value not in evse.capabilities:
        return not_supported("The Connector cannot be unlocked from afar.")
    if not charger_gateway().is_online(station_identity=evse.station_identity):
        return rejected("The station is offline; please try again.")
    with transaction.atomic():
        lock_bay(location_id=location.pk)
        session = Session.objects.filter(evse=evse, status__in=LIVE).first()
        if _is_of_another(order.party, evse, session):
            return rejected("Another vehicle uses the EVSE.")
        command = record(
            order=order, kind=v221.CommandType.UNLOCK_CONNECTOR, about=About(session=session), now=now
        )
        charger_gateway().unlock(
            station_identity=evse.station_identity,
            ocpp_connector=evse.ocpp_connector,
            purpose=purpose_of(command),
            not_after=not_after(command),
        )
        return accepted()


def _is_of_another(party: Party, evse: EVSE, session: Session | None) -> bool:
    """Whether somebody else charges or has reserved there; a charge without a session is the fleet's."""
    if session is not None:
        return session.party_id != party.pk
    return Transaction.objects.filter(
        station_identity=evse.station_identity, ocpp_connector=evse.ocpp_connector, stopped_at__isnull=True
    ).exists()
