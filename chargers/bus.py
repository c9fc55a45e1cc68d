"""Orders to stations, from any process to the gateway that holds the socket.

The row is the order; NOTIFY, sent by PostgreSQL on commit, only wakes the gateway, which also looks by itself.
"""

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from chargers.models import Station, StationCall
from chargers.outgoing import Priority
from chargers.schedules import tx_profile
from charging.profiles import Schedule
from ocpi import v221

CHANNEL = "stations"


class StationGateway:
    """The `charging.ports.ChargerGateway` of OCPP stations."""

    def is_online(self, *, station_identity: str) -> bool:
        """Whether a gateway holds a connection of this station."""
        return Station.objects.filter(identity=station_identity, is_online=True).exists()

    def start(
        self, *, station_identity: str, ocpp_connector: int, id_tag: str, purpose: str, not_after: datetime
    ) -> None:
        """Queue a RemoteStartTransaction."""
        StationCall.objects.create(
            identity=station_identity,
            action="RemoteStartTransaction",
            payload={"connectorId": ocpp_connector, "idTag": id_tag},
            priority=Priority.START,
            purpose=purpose,
            not_after=not_after,
        )
        wake_gateway(identity=station_identity)

    def stop(self, *, station_identity: str, transaction_id: int, purpose: str, not_after: datetime) -> None:
        """Queue a RemoteStopTransaction."""
        payload: dict[str, Any] = {"transactionId": transaction_id}
        StationCall.objects.create(
            identity=station_identity,
            action="RemoteStopTransaction",
            payload=payload,
            priority=Priority.STOP,
            purpose=purpose,
            not_after=not_after,
        )
        wake_gateway(identity=station_identity)

    def reserve(
        self,
        *,
        station_identity: str,
        ocpp_connector: int,
        reservation_id: int,
        id_tag: str,
        expires_at: datetime,
        purpose: str,
        not_after: datetime,
    ) -> None:
        """Queue a ReserveNow."""
        payload = {
            "connectorId": ocpp_connector,
            "expiryDate": expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "idTag": id_tag,
            "reservationId": reservation_id,
        }
        _queue(station_identity, "ReserveNow", payload, purpose, not_after, priority=Priority.START)

    def cancel_reservation(
        self, *, station_identity: str, reservation_id: int, purpose: str, not_after: datetime
    ) -> None:
        """Queue a CancelReservation; it leaves before any reservation that is queued later."""
        payload = {"reservationId": reservation_id}
        _queue(station_identity, "CancelReservation", payload, purpose, not_after, priority=Priority.START)

    def unlock(
        self, *, station_identity: str, ocpp_connector: int, purpose: str, not_after: datetime
    ) -> None:
        """Queue an UnlockConnector."""
        payload = {"connectorId": ocpp_connector}
        _queue(station_identity, "UnlockConnector", payload, purpose, not_after, priority=Priority.START)

    def rate_units(self, *, station_identity: str) -> tuple[v221.ChargingRateUnit, ...]:
        """What the station's configuration and its answers have told."""
        station = Station.objects.filter(identity=station_identity).first()
        if station is None or "SetChargingProfile" in station.refused_actions:
            return ()
        return tuple(v221.ChargingRateUnit(unit) for unit in station.rate_units.split(","))

    def set_limits(
        self,
        *,
        station_identity: str,
        ocpp_connector: int,
        transaction_id: int,
        schedule: Schedule,
        purpose: str,
        not_after: datetime,
    ) -> None:
        """Queue a SetChargingProfile."""
        profile = tx_profile(schedule, transaction_id=transaction_id)
        payload = {"connectorId": ocpp_connector, "csChargingProfiles": profile}
        _queue(station_identity, "SetChargingProfile", payload, purpose, not_after)

    def clear_limits(
        self, *, station_identity: str, transaction_id: int, purpose: str, not_after: datetime
    ) -> None:
        """Queue a ClearChargingProfile of the one profile of this transaction."""
        _queue(station_identity, "ClearChargingProfile", {"id": transaction_id}, purpose, not_after)

    def ask_limits(
        self,
        *,
        station_identity: str,
        ocpp_connector: int,
        unit: v221.ChargingRateUnit,
        seconds: int,
        purpose: str,
        not_after: datetime,
    ) -> None:
        """Queue a GetCompositeSchedule."""
        payload = {"connectorId": ocpp_connector, "duration": seconds, "chargingRateUnit": unit.value}
        _queue(station_identity, "GetCompositeSchedule", payload, purpose, not_after)


def _queue(
    identity: str,
    action: str,
    payload: dict[str, Any],
    purpose: str,
    not_after: datetime,
    *,
    priority: Priority = Priority.REST,
) -> None:
    StationCall.objects.create(
        identity=identity,
        action=action,
        payload=payload,
        priority=priority,
        purpose=purpose,
        not_after=not_after,
    )
    wake_gateway(identity=identity)


def wake_gateway(*, identity: str) -> None:
    """Let the gateway look at the rows of a station as soon as this transaction is committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, identity])
