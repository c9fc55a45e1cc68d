"""What charging asks of the side that holds the sockets; the setting CHARGER_GATEWAY names who answers."""

from datetime import datetime
from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from charging.profiles import Schedule
from ocpi import v221


class ChargerGateway(Protocol):
    """Orders to stations. Each call only queues, inside the caller's transaction; the outcome comes back
    through `charging.answers.station_answered`, named by `purpose`."""

    def is_online(self, *, station_identity: str) -> bool:
        """Whether the station is connected now."""

    def start(
        self, *, station_identity: str, ocpp_connector: int, id_tag: str, purpose: str, not_after: datetime
    ) -> None:
        """Ask the station to start a transaction; never sent after `not_after`."""

    def stop(self, *, station_identity: str, transaction_id: int, purpose: str, not_after: datetime) -> None:
        """Ask the station to stop a transaction; never sent after `not_after`."""

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
        """Ask the station to keep a connector for an id tag; never sent after `not_after`.

        A reservation that it knows by the same number is replaced.
        """

    def cancel_reservation(
        self, *, station_identity: str, reservation_id: int, purpose: str, not_after: datetime
    ) -> None:
        """Ask the station to give up a reservation; never sent after `not_after`. Empty purpose: nobody waits."""

    def unlock(
        self, *, station_identity: str, ocpp_connector: int, purpose: str, not_after: datetime
    ) -> None:
        """Ask the station to unlock a connector, which ends what charges there; never sent after `not_after`."""

    def rate_units(self, *, station_identity: str) -> tuple[v221.ChargingRateUnit, ...]:
        """Units in which the station takes limits, as far as is known; none: it has said that it takes no limits."""

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
        """Ask the station to keep a transaction below a schedule, instead of any it was given for it before."""

    def clear_limits(
        self, *, station_identity: str, transaction_id: int, purpose: str, not_after: datetime
    ) -> None:
        """Ask the station to forget the schedule of a transaction."""

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
        """Ask the station which limits it will follow at a connector from now on."""


@cache
def charger_gateway() -> ChargerGateway:
    """The gateway of this installation."""
    gateway: ChargerGateway = import_string(settings.CHARGER_GATEWAY)()
    return gateway
