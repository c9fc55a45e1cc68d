"""Permission, transaction, energy and meter values at the connectors of one station."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from ocpp.v16 import call

from chargers.simulator.connector import Connector, Permission, Transaction
from chargers.simulator.link import After
from chargers.simulator.messages import Payload, payload_of
from chargers.simulator.outbox import TransactionMessage
from chargers.simulator.profiles import TX_PURPOSE, VOLTS
from chargers.simulator.state import State, write_time


class Charging:
    """What happens at the connectors; transaction messages go to the outbox, statuses to the notices."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def run(self) -> None:
        """Let time pass: energy, timers and samples, until cancelled."""
        before = self._state.now()
        while True:
            await asyncio.sleep(self._state.timing.tick)
            now = self._state.now()
            for connector in self._state.connectors.values():
                self._advance(connector, before, now)
            before = now
            self._state.changed()

    def permit(self, connector: Connector, id_tag: str, *, parent_id_tag: str | None = None) -> None:
        """Let `id_tag` charge here; waits ConnectionTimeOut seconds for a cable."""
        until = self._state.now() + self._state.configuration.number("ConnectionTimeOut")
        connector.permission = Permission(id_tag, until, parent_id_tag)
        self.begin_if_ready(connector)
        self.refresh(connector)

    def begin_if_ready(self, connector: Connector) -> None:
        """Begin the transaction once there are both permission and cable."""
        permission = connector.permission
        if permission is None or connector.vehicle is None or connector.transaction is not None:
            return
        reservation, connector.reservation = connector.reservation, None
        connector.drawn_until = self._state.now()
        transaction = Transaction(
            permission.id_tag, self._state.clock(), connector.register_wh, permission.parent_id_tag
        )
        connector.transaction, connector.permission = transaction, None
        connector.has_ended = False
        connector.next_sample_at = self._state.now() + self._state.configuration.number(
            "MeterValueSampleInterval"
        )
        message = call.StartTransaction(
            connector_id=connector.connector_id,
            id_tag=transaction.id_tag,
            meter_start=transaction.meter_start_wh,
            timestamp=write_time(transaction.started_at),
            reservation_id=reservation.reservation_id if reservation else None,
        )
        self.note_facts()
        for _ in range(2 if self._state.misbehaviour.sends_start_twice else 1):
            self._state.queue(
                TransactionMessage("StartTransaction", payload_of(message), transaction.local_id)
            )

    def end_transaction(self, connector: Connector, *, reason: str, id_tag: str | None = None) -> None:
        """End what runs at a connector, if anything does, and queue its StopTransaction."""
        if connector.transaction is not None:
            self._draw(connector, self._state.now())
        transaction, connector.transaction = connector.transaction, None
        connector.permission = None
        if transaction is not None:
            connector.power_w = Decimal(0)
            connector.has_ended = connector.vehicle is not None
            self._queue_stop(connector, transaction, reason=reason, id_tag=id_tag)
            self._state.profiles.clear(connector_id=connector.connector_id, purpose=TX_PURPOSE)
            self.note_facts()
        if connector.goes_inoperative:
            connector.goes_inoperative, connector.is_operative = False, False
        self.refresh(connector)

    def refresh(self, connector: Connector) -> None:
        """Recompute the limit, and report the status when it changed."""
        started_at = connector.transaction.started_at if connector.transaction else None
        if connector.transaction is not None:
            self._draw(connector, self._state.now())
        connector.limit_w = None
        if not self._state.misbehaviour.ignores_limits:
            connector.limit_w = self._state.profiles.limit_w(
                connector.connector_id, now=self._state.clock(), started_at=started_at
            )
        if connector.status != connector.reported_status:
            self.report_status(connector)
        self._state.changed()

    def refreshing(self) -> After:
        """What most answers are followed by: every connector looks again."""

        async def refresh_all() -> None:
            self._state.heart_wakes.set()
            for connector in self._state.connectors.values():
                self.refresh(connector)

        return refresh_all

    def report_status(self, connector: Connector) -> None:
        """Send the status as it is."""
        connector.reported_status = connector.status
        self._state.tell("status", {"connector_id": connector.connector_id, "status": connector.status})
        payload = self.status_payload(connector.connector_id, connector.status, connector.error_code)
        self._state.notify("StatusNotification", payload)

    def status_payload(self, connector_id: int, status: str, error_code: str) -> Payload:
        """StatusNotification of a connector; 0 is the station."""
        return payload_of(
            call.StatusNotification(
                connector_id=connector_id,
                error_code=error_code,
                status=status,
                timestamp=write_time(self._state.clock()),
            )
        )

    def sample(self, connector: Connector, measurands: list[str], *, context: str) -> None:
        """Send the meter's values: durable inside a transaction, a notice outside."""
        values = connector.sampled_values(measurands, context)
        if not values:
            return
        meter_value = {"timestamp": write_time(self._state.clock()), "sampledValue": values}
        payload = payload_of(call.MeterValues(connector_id=connector.connector_id, meter_value=[meter_value]))
        if connector.transaction is None:
            self._state.notify("MeterValues", payload)
            return
        self.note_facts()
        self._state.queue(TransactionMessage("MeterValues", payload, connector.transaction.local_id))

    def composite_schedule(self, connector: Connector, *, seconds: int, unit: str) -> Payload:
        """ChargingSchedule from now on, as this station will follow it."""
        now = self._state.clock()
        started_at = connector.transaction.started_at if connector.transaction else None
        periods = []
        for offset in self._state.profiles.changes_within(now=now, seconds=seconds, started_at=started_at):
            moment = datetime.fromtimestamp(now.timestamp() + offset, UTC)
            limit_w = self._state.profiles.limit_w(connector.connector_id, now=moment, started_at=started_at)
            watts = connector.spec.max_w if limit_w is None else min(limit_w, connector.spec.max_w)
            limit = watts if unit == "W" else watts / VOLTS / connector.spec.phases
            periods.append({"startPeriod": offset, "limit": limit.quantize(Decimal("0.1"))})
        return {
            "duration": seconds,
            "startSchedule": write_time(now),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        }

    def note_facts(self) -> None:
        """Keep the meters, and which transactions are open, for the next start."""
        self._state.outbox.notes = {
            "meters": {str(number): str(c.meter_wh) for number, c in self._state.connectors.items()},
            "open": {
                str(number): c.transaction.local_id
                for number, c in self._state.connectors.items()
                if c.transaction is not None
            },
        }
        self._state.outbox.save()

    def recover(self) -> None:
        """Continue from the file: meters go on, what ran when the power went is stopped with PowerLoss."""
        notes = self._state.outbox.notes
        for number, meter_wh in notes.get("meters", {}).items():
            self._state.connectors[int(number)].meter_wh = Decimal(meter_wh)
        for number, local_id in notes.get("open", {}).items():
            connector = self._state.connectors[int(number)]
            lost = Transaction("", self._state.clock(), connector.register_wh, local_id=local_id)
            self._queue_stop(connector, lost, reason="PowerLoss", id_tag=None)
        if notes:
            self.note_facts()

    def _advance(self, connector: Connector, before: float, now: float) -> None:
        self._draw(connector, now)
        if (
            connector.permission is not None
            and connector.transaction is None
            and now > connector.permission.until
        ):
            connector.permission = None
        reservation = connector.reservation
        if reservation is not None and reservation.expires_at <= self._state.clock():
            connector.reservation = None
        if connector.transaction is not None or connector.reported_status != connector.status:
            self.refresh(connector)
        interval = self._state.configuration.number("MeterValueSampleInterval")
        if connector.transaction is not None and interval > 0 and now >= connector.next_sample_at:
            connector.next_sample_at = now + interval
            measurands = self._state.configuration.items("MeterValuesSampledData")
            self.sample(connector, measurands, context="Sample.Periodic")
        self._sample_aligned(connector, now - before)

    def _draw(self, connector: Connector, now: float) -> None:
        """Count the energy since the last time, at the limit that held until now."""
        elapsed, connector.drawn_until = now - connector.drawn_until, now
        connector.draw(sim_seconds=Decimal(str(elapsed)) * self._state.speed)

    def _sample_aligned(self, connector: Connector, elapsed: float) -> None:
        interval = self._state.configuration.number("ClockAlignedDataInterval")
        if interval <= 0:
            return
        seconds = self._state.clock().timestamp()
        if seconds // interval != (seconds - elapsed) // interval:
            measurands = self._state.configuration.items("MeterValuesAlignedData")
            self.sample(connector, measurands, context="Sample.Clock")

    def _queue_stop(
        self, connector: Connector, transaction: Transaction, *, reason: str, id_tag: str | None
    ) -> None:
        stamp = write_time(self._state.clock())
        values = connector.sampled_values(
            self._state.configuration.items("StopTxnSampledData"), "Transaction.End"
        )
        message = call.StopTransaction(
            meter_stop=connector.register_wh,
            timestamp=stamp,
            transaction_id=0,  # the real one is filled in when the message leaves
            reason=reason,
            id_tag=id_tag,
            transaction_data=[{"timestamp": stamp, "sampledValue": values}] if values else None,
        )
        self._state.queue(TransactionMessage("StopTransaction", payload_of(message), transaction.local_id))
