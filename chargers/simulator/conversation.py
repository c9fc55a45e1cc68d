"""What one station says of its own accord: boot, heartbeat, authorize, and its queues."""

import asyncio

from ocpp.v16 import call

from chargers.simulator.charging import Charging
from chargers.simulator.connector import NO_ERROR, Connector
from chargers.simulator.link import Link, Offline, Refused, Unanswered
from chargers.simulator.messages import Payload, payload_of
from chargers.simulator.outbox import TransactionMessage
from chargers.simulator.profiles import read_time
from chargers.simulator.state import State

OFFLINE_PAUSE_SECONDS = 0.05


class Conversation:
    """Sends over the link what the state asks for."""

    def __init__(self, state: State, charging: Charging, link: Link, *, model: str) -> None:
        self._state = state
        self._charging = charging
        self._link = link
        self._model = model

    async def greet(self) -> None:
        """Begin a connection: boot until accepted unless that is done, then report every connector."""
        while not self._state.is_registered:
            interval = await self.boot()
            if not self._state.is_registered:
                await asyncio.sleep(interval)
        self._state.notify("StatusNotification", self._charging.status_payload(0, "Available", NO_ERROR))
        for connector in self._state.connectors.values():
            self._charging.report_status(connector)
        self._state.changed()

    async def boot(self) -> float:
        """Send BootNotification; returns the seconds to wait before the next try when it was not accepted."""
        try:
            answer = await self._link.call(
                "BootNotification",
                payload_of(
                    call.BootNotification(
                        charge_point_vendor="Yardgate",
                        charge_point_model=self._model,
                        charge_point_serial_number=self._state.identity[:25],
                        firmware_version="1.0",
                    )
                ),
            )
        except (Unanswered, Refused):
            return 1.0
        self._state.is_registered = answer["status"] == "Accepted"
        if self._state.is_registered and answer["interval"] > 0:
            self._state.configuration.values["HeartbeatInterval"] = str(answer["interval"])
            self._state.heart_wakes.set()
        self._state.tell("boot", {"status": answer["status"]})
        self._state.changed()
        return float(max(answer["interval"], 1))

    async def authorize(self, id_tag: str) -> Payload:
        """IdTagInfo for a card: asked for when online, else from the local list or the cache (3.5)."""
        configuration = self._state.configuration
        known = self._known_offline(id_tag)
        if known is not None and configuration.is_on("LocalPreAuthorize") and known["status"] == "Accepted":
            return known
        if not self._state.is_ready:
            return self._offline_verdict(known)
        try:
            answer = await self._link.call("Authorize", payload_of(call.Authorize(id_tag=id_tag)))
        except (Offline, Unanswered):
            return self._offline_verdict(known)
        except Refused:
            return {"status": "Invalid"}
        info: Payload = answer["idTagInfo"]
        if configuration.is_on("AuthorizationCacheEnabled"):
            self._state.cache[id_tag] = info
        self._state.tell("authorize", {"id_tag": id_tag, "status": info["status"]})
        return info

    async def send_triggered(self, wanted: str, chosen: list[Connector]) -> None:
        """Send what TriggerMessage asked for."""
        match wanted:
            case "BootNotification":
                await self.boot()
            case "Heartbeat":
                await self._link.call("Heartbeat", {})
            case "StatusNotification":
                for connector in chosen:
                    self._charging.report_status(connector)
            case "MeterValues":
                measurands = self._state.configuration.items("MeterValuesSampledData")
                for connector in chosen:
                    self._charging.sample(connector, measurands, context="Trigger")

    async def send_outbox(self) -> None:
        """Send transaction messages in order, each until it is answered, until cancelled."""
        while True:
            self._state.outbox_wakes.clear()
            turn = self._state.outbox.first() if self._state.is_ready else None
            if turn is None:
                await self._state.outbox_wakes.wait()
                continue
            message, payload = turn
            message_id = message.message_id if self._state.misbehaviour.keeps_message_ids else None
            try:
                answer = await self._link.call(message.action, payload, message_id=message_id)
            except Offline:
                # The line may need a moment to notice that it is gone.
                await asyncio.sleep(OFFLINE_PAUSE_SECONDS)
                continue
            except Unanswered:
                self._state.tell("unanswered", {"action": message.action})
                continue
            except Refused as error:
                await self._after_refusal(message, error)
                continue
            self._settle(message, answer)

    async def send_notices(self) -> None:
        """Send statuses, heartbeats and samples outside transactions, until cancelled."""
        while True:
            action, payload = await self._state.notices.get()
            if not self._state.is_ready:
                continue  # the statuses of now are sent after the next connect
            try:
                await self._link.call(action, payload)
            except (Offline, Unanswered, Refused) as error:
                self._state.tell("notice_lost", {"action": action, "error": repr(error)})
            self._state.changed()

    async def beat(self) -> None:
        """Send a Heartbeat every HeartbeatInterval (0 is never), until cancelled."""
        while True:
            self._state.heart_wakes.clear()
            try:
                async with asyncio.timeout(self._state.configuration.number("HeartbeatInterval") or None):
                    await self._state.heart_wakes.wait()
            except TimeoutError:
                if self._state.is_ready:
                    self._state.notify("Heartbeat", {})

    async def _after_refusal(self, message: TransactionMessage, error: Refused) -> None:
        message.refusals += 1
        self._state.tell("refused", {"action": message.action, "code": error.code})
        if message.refusals >= self._state.configuration.number("TransactionMessageAttempts"):
            self._state.outbox.drop(message)
            return
        await asyncio.sleep(
            self._state.configuration.number("TransactionMessageRetryInterval") * message.refusals
        )

    def _settle(self, message: TransactionMessage, answer: Payload) -> None:
        self._state.outbox.done(message, answer)
        if message.action == "StartTransaction":
            self._started(message.local_id, answer)
        self._state.tell(message.action, answer)
        self._state.changed()

    def _started(self, local_id: str, answer: Payload) -> None:
        for connector in self._state.connectors.values():
            transaction = connector.transaction
            if transaction is None or transaction.local_id != local_id:
                continue
            transaction.transaction_id = self._state.outbox.transaction_ids[local_id]
            transaction.parent_id_tag = answer["idTagInfo"].get("parentIdTag", transaction.parent_id_tag)
            is_valid = answer["idTagInfo"]["status"] == "Accepted"
            if not is_valid and self._state.configuration.is_on("StopTransactionOnInvalidId"):
                self._charging.end_transaction(connector, reason="DeAuthorized")

    def _offline_verdict(self, known: Payload | None) -> Payload:
        if known is not None and self._state.configuration.is_on("LocalAuthorizeOffline"):
            return known
        is_open = known is None and self._state.configuration.is_on("AllowOfflineTxForUnknownId")
        return {"status": "Accepted" if is_open else "Invalid"}

    def _known_offline(self, id_tag: str) -> Payload | None:
        info = self._state.local_list.get(id_tag) or self._state.cache.get(id_tag)
        if info is None or "expiryDate" not in info:
            return info
        return info if read_time(info["expiryDate"]) > self._state.clock() else {"status": "Expired"}
