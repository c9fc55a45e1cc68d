"""What the simulated station answers to the central system (OCPP 1.6, chapter 5)."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from chargers.simulator.charging import Charging
from chargers.simulator.configuration import MAX_PERIODS, MAX_PROFILES, MAX_STACK_LEVEL, PASSWORD_KEY
from chargers.simulator.connector import NO_ERROR, Connector, Reservation
from chargers.simulator.conversation import Conversation
from chargers.simulator.link import After, Link, NotImplementedByStation
from chargers.simulator.messages import Payload
from chargers.simulator.profiles import MAX_PURPOSE, TX_PURPOSE, read_time
from chargers.simulator.state import State

Reply = tuple[Payload, After | None]

_TRIGGERS = {"BootNotification", "Heartbeat", "MeterValues", "StatusNotification"}
_HEX_KEY = re.compile(r"(?:[0-9a-fA-F]{2}){8,20}")


def _say(status: str, after: After | None = None) -> Reply:
    return {"status": status}, after


class Requests:
    """One method per action, named as the standard names it; the answer and what is done once it has left."""

    def __init__(
        self,
        state: State,
        charging: Charging,
        conversation: Conversation,
        link: Link,
        *,
        tap: Callable[[int, str], Awaitable[str]],
    ) -> None:
        self._state = state
        self._charging = charging
        self._conversation = conversation
        self._link = link
        self._tap = tap
        self._by_action: dict[str, Callable[[Payload], Reply]] = {
            "CancelReservation": self.cancel_reservation,
            "ChangeAvailability": self.change_availability,
            "ChangeConfiguration": self.change_configuration,
            "ClearCache": self.clear_cache,
            "ClearChargingProfile": self.clear_charging_profile,
            "DataTransfer": lambda payload: _say("UnknownVendorId"),
            "GetCompositeSchedule": self.get_composite_schedule,
            "GetConfiguration": self.get_configuration,
            "GetLocalListVersion": lambda payload: ({"listVersion": self._state.local_list_version}, None),
            "RemoteStartTransaction": self.remote_start_transaction,
            "RemoteStopTransaction": self.remote_stop_transaction,
            "ReserveNow": self.reserve_now,
            "Reset": self.reset,
            "SendLocalList": self.send_local_list,
            "SetChargingProfile": self.set_charging_profile,
            "TriggerMessage": self.trigger_message,
            "UnlockConnector": self.unlock_connector,
        }

    def answer(self, action: str, payload: Payload) -> Reply | None:
        """Answer one CALL; None for silence. Raises NotImplementedByStation."""
        misbehaviour = self._state.misbehaviour
        if action in misbehaviour.silent_to:
            return None
        if action in misbehaviour.rejects:
            return _say("Rejected")
        if action not in self._by_action or action in misbehaviour.lacks:
            raise NotImplementedByStation(action)
        return self._by_action[action](payload)

    def remote_start_transaction(self, payload: Payload) -> Reply:
        connector = self._free_connector(payload.get("connectorId"), payload["idTag"])
        if connector is None or not self._state.is_registered:
            return _say("Rejected")
        profile = payload.get("chargingProfile")
        if profile is not None and profile["chargingProfilePurpose"] != TX_PURPOSE:
            return _say("Rejected")

        async def start() -> None:
            if profile is not None:
                self._state.profiles.put(connector.connector_id, profile)
            if self._state.configuration.is_on("AuthorizeRemoteTxRequests"):
                await self._tap(connector.connector_id, payload["idTag"])
            else:
                self._charging.permit(connector, payload["idTag"])

        return _say("Accepted", start)

    def remote_stop_transaction(self, payload: Payload) -> Reply:
        for connector in self._state.connectors.values():
            transaction = connector.transaction
            if transaction is not None and transaction.transaction_id == payload["transactionId"]:
                return _say("Accepted", self._stopping(connector, "Remote"))
        return _say("Rejected")

    def change_availability(self, payload: Payload) -> Reply:
        chosen = self._chosen(payload["connectorId"])
        if not chosen:
            return _say("Rejected")
        is_operative = payload["type"] == "Operative"
        is_busy = False
        for connector in chosen:
            waits = not is_operative and connector.transaction is not None
            connector.goes_inoperative = waits
            connector.is_operative = is_operative or waits
            is_busy = is_busy or waits
        return _say("Scheduled" if is_busy else "Accepted", self._charging.refreshing())

    def unlock_connector(self, payload: Payload) -> Reply:
        connector = self._state.connectors.get(payload["connectorId"])
        if connector is None:
            return _say("NotSupported")
        return _say("Unlocked", self._stopping(connector, "UnlockCommand"))

    def reset(self, payload: Payload) -> Reply:
        is_hard = payload["type"] == "Hard"

        async def restart() -> None:
            for connector in self._state.connectors.values():
                self._charging.end_transaction(connector, reason="HardReset" if is_hard else "SoftReset")
                connector.reported_status = ""
            self._state.is_registered = False
            if is_hard:
                self._link.cut()
            else:
                # Some stations boot anew on the connection that they have: a boot is not a connect.
                await self._conversation.greet()

        return _say("Accepted", restart)

    def trigger_message(self, payload: Payload) -> Reply:
        wanted = payload["requestedMessage"]
        if wanted not in _TRIGGERS:
            return _say("NotImplemented")
        chosen = self._chosen(payload.get("connectorId", 0))
        if not chosen:
            return _say("Rejected")

        async def send() -> None:
            await self._conversation.send_triggered(wanted, chosen)

        return _say("Accepted", send)

    def get_configuration(self, payload: Payload) -> Reply:
        configuration = self._state.configuration
        asked = payload.get("key") or list(configuration.values)
        known = [
            {"key": key, "readonly": key in configuration.read_only, "value": configuration.values[key]}
            for key in asked
            if key in configuration.values
        ]
        unknown = [key for key in asked if key not in configuration.values]
        answer: dict[str, Any] = {"configurationKey": known}
        return (answer | {"unknownKey": unknown} if unknown else answer), None

    def change_configuration(self, payload: Payload) -> Reply:
        key, value = payload["key"], payload["value"]
        if key != PASSWORD_KEY:
            return _say(self._state.configuration.change(key, value), self._charging.refreshing())
        if not _HEX_KEY.fullmatch(value):
            return _say("Rejected")

        async def use_new_password() -> None:
            self._link.password = value
            await self._link.hang_up()

        return _say("Accepted", use_new_password)

    def set_charging_profile(self, payload: Payload) -> Reply:
        connector_id, profile = payload["connectorId"], payload["csChargingProfiles"]
        purpose = profile["chargingProfilePurpose"]
        connector = self._state.connectors.get(connector_id)
        has_transaction = connector is not None and connector.transaction is not None
        periods = profile["chargingSchedule"]["chargingSchedulePeriod"]
        is_sound = (
            (connector is not None or connector_id == 0)
            and (purpose != TX_PURPOSE or has_transaction)
            and (purpose != MAX_PURPOSE or connector_id == 0)
            and 0 <= profile["stackLevel"] <= MAX_STACK_LEVEL
            and 0 < len(periods) <= MAX_PERIODS
            and periods[0]["startPeriod"] == 0
            and len(self._state.profiles.by_key) < MAX_PROFILES
            and self._takes(profile["chargingSchedule"]["chargingRateUnit"])
            and self._is_of_running(profile, connector)
        )
        if not is_sound:
            return _say("Rejected")
        self._state.profiles.put(connector_id, profile)
        return _say("Accepted", self._charging.refreshing())

    def clear_charging_profile(self, payload: Payload) -> Reply:
        removed = self._state.profiles.clear(
            profile_id=payload.get("id"),
            connector_id=payload.get("connectorId"),
            purpose=payload.get("chargingProfilePurpose"),
            stack_level=payload.get("stackLevel"),
        )
        return _say("Accepted" if removed else "Unknown", self._charging.refreshing())

    def get_composite_schedule(self, payload: Payload) -> Reply:
        connector = self._state.connectors.get(payload["connectorId"])
        if connector is None:
            return _say("Rejected")
        schedule = self._charging.composite_schedule(
            connector, seconds=payload["duration"], unit=payload.get("chargingRateUnit", "W")
        )
        answer = {
            "status": "Accepted",
            "connectorId": connector.connector_id,
            "scheduleStart": schedule["startSchedule"],
            "chargingSchedule": schedule,
        }
        return answer, None

    def reserve_now(self, payload: Payload) -> Reply:
        connector = self._state.connectors.get(payload["connectorId"])
        if connector is None:
            return _say("Rejected")
        known = connector.reservation
        is_update = known is not None and known.reservation_id == payload["reservationId"]
        if connector.error_code != NO_ERROR:
            return _say("Faulted")
        if not connector.is_operative:
            return _say("Unavailable")
        if connector.status != "Available" and not (is_update and connector.status == "Reserved"):
            return _say("Occupied")
        self._forget_reservation(payload["reservationId"])
        connector.reservation = Reservation(
            payload["reservationId"],
            payload["idTag"],
            read_time(payload["expiryDate"]),
            payload.get("parentIdTag"),
        )
        return _say("Accepted", self._charging.refreshing())

    def cancel_reservation(self, payload: Payload) -> Reply:
        if not self._forget_reservation(payload["reservationId"]):
            return _say("Rejected")
        return _say("Accepted", self._charging.refreshing())

    def send_local_list(self, payload: Payload) -> Reply:
        version, entries = payload["listVersion"], payload.get("localAuthorizationList", [])
        if not self._state.configuration.is_on("LocalAuthListEnabled"):
            return _say("NotSupported")
        if payload["updateType"] == "Differential" and version <= self._state.local_list_version:
            return _say("VersionMismatch")
        if payload["updateType"] == "Full":
            self._state.local_list.clear()
        for entry in entries:
            if "idTagInfo" in entry:
                self._state.local_list[entry["idTag"]] = entry["idTagInfo"]
            else:
                self._state.local_list.pop(entry["idTag"], None)
        self._state.local_list_version = version
        return _say("Accepted")

    def clear_cache(self, payload: Payload) -> Reply:
        self._state.cache.clear()
        return _say(
            "Accepted" if self._state.configuration.is_on("AuthorizationCacheEnabled") else "Rejected"
        )

    def _takes(self, unit: str) -> bool:
        """Whether limits may be in this unit here."""
        word = {"A": "Current", "W": "Power"}[unit]
        return word in self._state.configuration.items("ChargingScheduleAllowedChargingRateUnit")

    @staticmethod
    def _is_of_running(profile: Payload, connector: Connector | None) -> bool:
        """A profile that names a transaction is for that one alone."""
        named = profile.get("transactionId")
        running = connector.transaction if connector is not None else None
        return named is None or (running is not None and running.transaction_id == named)

    def _chosen(self, connector_id: int) -> list[Connector]:
        connectors = self._state.connectors
        if connector_id == 0:
            return list(connectors.values())
        return [connectors[connector_id]] if connector_id in connectors else []

    def _free_connector(self, connector_id: int | None, id_tag: str) -> Connector | None:
        free = [
            connector
            for connector in self._chosen(connector_id or 0)
            if connector.status in ("Available", "Preparing", "Finishing", "Reserved")
            and connector.permission is None
            and (connector.reservation is None or connector.reservation.id_tag == id_tag)
        ]
        # A cable that is in already is the likelier one.
        return min(free, key=lambda connector: connector.vehicle is None, default=None)

    def _stopping(self, connector: Connector, reason: str) -> After:
        async def stop() -> None:
            self._charging.end_transaction(connector, reason=reason)

        return stop

    def _forget_reservation(self, reservation_id: int) -> bool:
        for connector in self._state.connectors.values():
            known = connector.reservation
            if known is not None and known.reservation_id == reservation_id:
                connector.reservation = None
                return True
        return False
