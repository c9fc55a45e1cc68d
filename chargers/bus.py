"""Orders to stations, from any process to the gateway that holds the socket.

The row is the order; NOTIFY, sent by PostgreSQL on commit, only wakes the gateway, which also looks by itself.
"""

from datetime import datetime
from typing import Any

from django.db import connection

from chargers.models import Station, StationCall
from chargers.outgoing import Priority

CHANNEL = "station_calls"


class StationGateway:
    """The `charging.ports.ChargerGateway` of OCPP stations."""

    def is_online(self, *, station_identity: str) -> bool:
        """Whether a gateway holds a connection of this station."""
        return Station.objects.filter(identity=station_identity, is_online=True).exists()

    def start(
        self, *, station_identity: str, ocpp_connector: int, id_tag: str, purpose: str, not_after: datetime
    ) -> None:
        """Queue a RemoteStartTransaction."""
        payload = {"connectorId": ocpp_connector, "idTag": id_tag}
        _queue(station_identity, "RemoteStartTransaction", payload, Priority.START, purpose, not_after)

    def stop(self, *, station_identity: str, transaction_id: int, purpose: str, not_after: datetime) -> None:
        """Queue a RemoteStopTransaction."""
        payload = {"transactionId": transaction_id}
        _queue(station_identity, "RemoteStopTransaction", payload, Priority.STOP, purpose, not_after)


def _queue(
    identity: str, action: str, payload: dict[str, Any], priority: Priority, purpose: str, not_after: datetime
) -> None:
    StationCall.objects.create(
        identity=identity,
        action=action,
        payload=payload,
        priority=priority,
        purpose=purpose,
        not_after=not_after,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, identity])
