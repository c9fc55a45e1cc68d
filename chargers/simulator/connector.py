"""One connector: cable, vehicle, meter, transaction, and the status that follows from them. [pure]"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from chargers.simulator.vehicle import Vehicle

NO_ERROR = "NoError"


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """What is bolted to the wall: power in W, phases, and the meter's reading in Wh when it was installed."""

    max_w: Decimal = Decimal(22_000)
    phases: int = 3
    meter_wh: Decimal = Decimal(0)


@dataclass(slots=True)
class Permission:
    """Somebody may charge here: a tag that was accepted, and until when it waits for a cable."""

    id_tag: str
    until: float  # the loop's clock, seconds
    parent_id_tag: str | None = None


@dataclass(slots=True)
class Reservation:
    """The connector is kept for `id_tag`, or another card of its parent, until `expires_at`."""

    reservation_id: int
    id_tag: str
    expires_at: datetime
    parent_id_tag: str | None = None


@dataclass(slots=True)
class Transaction:
    """One transaction; `local_id` is ours, the central system's id comes with the answer."""

    id_tag: str
    started_at: datetime
    meter_start_wh: int
    parent_id_tag: str | None = None
    local_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    transaction_id: int | None = None


@dataclass(slots=True)
class Connector:
    """State of one connector. `status` is what follows from the rest, never set by hand."""

    connector_id: int
    spec: ConnectorSpec
    meter_wh: Decimal = Decimal(0)
    power_w: Decimal = Decimal(0)
    limit_w: Decimal | None = None
    vehicle: Vehicle | None = None
    permission: Permission | None = None
    reservation: Reservation | None = None
    transaction: Transaction | None = None
    is_operative: bool = True
    goes_inoperative: bool = False  # as soon as the transaction has ended
    has_ended: bool = False  # the cable of an ended transaction is still in
    error_code: str = NO_ERROR
    reported_status: str = ""
    next_sample_at: float = 0.0
    drawn_until: float = 0.0  # the loop's clock up to which energy is counted

    @property
    def status(self) -> str:
        """ChargePointStatus (OCPP 1.6, 4.9)."""
        if self.error_code != NO_ERROR:
            return "Faulted"
        if self.transaction is not None:
            return self._charging_status()
        if not self.is_operative:
            return "Unavailable"
        if self.has_ended and self.permission is None:
            return "Finishing"
        if self.vehicle is not None or self.permission is not None:
            return "Preparing"
        return "Reserved" if self.reservation is not None else "Available"

    @property
    def offered_w(self) -> Decimal:
        """Power that the vehicle may draw now."""
        return self.spec.max_w if self.limit_w is None else min(self.spec.max_w, self.limit_w)

    @property
    def register_wh(self) -> int:
        """The meter's register in whole Wh; it never goes back."""
        return int(self.meter_wh)

    def is_kept_from(self, id_tag: str, *, parent_id_tag: str | None) -> bool:
        """Whether a reservation keeps this place for somebody else."""
        if self.reservation is None or self.reservation.id_tag == id_tag:
            return False
        return parent_id_tag is None or self.reservation.parent_id_tag != parent_id_tag

    def draw(self, *, sim_seconds: Decimal) -> None:
        """Let the vehicle charge for that many seconds of its own time."""
        if self.transaction is None or self.vehicle is None or self.error_code != NO_ERROR:
            self.power_w = Decimal(0)
            return
        self.meter_wh += self.vehicle.charge(offered_w=self.offered_w, seconds=sim_seconds)
        self.power_w = min(self.offered_w, self.vehicle.demand_w())

    def sampled_values(self, measurands: list[str], context: str) -> list[dict[str, Any]]:
        """SampledValues of the meter as it stands."""
        values = [value for name in measurands for value in self._sampled(name)]
        return [value | {"context": context} for value in values]

    def _charging_status(self) -> str:
        if self.offered_w <= 0:
            return "SuspendedEVSE"
        if self.vehicle is None or self.vehicle.demand_w() <= 0:
            return "SuspendedEV"
        return "Charging"

    def _sampled(self, measurand: str) -> list[dict[str, Any]]:
        match measurand:
            case "Energy.Active.Import.Register":
                return [{"measurand": measurand, "unit": "Wh", "value": str(self.register_wh)}]
            case "Power.Active.Import":
                return [{"measurand": measurand, "unit": "W", "value": f"{self.power_w:.0f}"}]
            case "Power.Offered":
                return [{"measurand": measurand, "unit": "W", "value": f"{self.offered_w:.0f}"}]
            case "Current.Import":
                per_phase = self.power_w / self.spec.phases / 230
                return [
                    {"measurand": measurand, "unit": "A", "phase": f"L{phase}", "value": f"{per_phase:.1f}"}
                    for phase in range(1, self.spec.phases + 1)
                ]
            case "Voltage":
                return [{"measurand": measurand, "unit": "V", "value": "230.0"}]
            case "SoC" if self.vehicle is not None:
                return [
                    {"measurand": measurand, "unit": "Percent", "value": f"{self.vehicle.soc_percent:.0f}"}
                ]
        return []
