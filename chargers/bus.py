"""Orders to stations, from any process to the gateway that holds the socket.

The row is the order; NOTIFY, sent by PostgreSQL on commit, only wakes the gateway, which also looks by itself.
"""

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from chargers.models import Station, StationCall
from chargers.outgoing import Priority

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
        payload: dict[str, Any] = {
            "connectorId": ocpp_connector,
            "expiryDate": expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "idTag": id_tag,
            "reservationId": reservation_id,
        }
        StationCall.objects.create(
            identity=station_identity,
            action="ReserveNow",
            payload=payload,
            priority=Priority.START,
            purpose=purpose,
            not_after=not_after,
        )
        wake_gateway(identity=station_identity)

    def cancel_reservation(
        self, *, station_identity: str, reservation_id: int, purpose: str, not_after: datetime
    ) -> None:
        """Queue a CancelReservation; it leaves before any reservation that is queued later."""
        StationCall.objects.create(
            identity=station_identity,
            action="CancelReservation",
            payload={"reservationId": reservation_id},
            priority=Priority.START,
            purpose=purpose,
            not_after=not_after,
        )
        wake_gateway(identity=station_identity)

    def unlock(
        self, *, station_identity: str, ocpp_connector: int, purpose: str, not_after: datetime
    ) -> None:
        """Queue an UnlockConnector."""
        StationCall.objects.create(
            identity=station_identity,
            action="UnlockConnector",
            payload={"connectorId": ocpp_connector},
            priority=Priority.START,
            purpose=purpose,
            not_after=not_after,
        )
        wake_gateway(identity=station_identity)


def wake_gateway(*, identity: str) -> None:
    """Let the gateway look at the rows of a station as soon as this transaction is committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, identity])
