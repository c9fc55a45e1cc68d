"""Values for tests of rendering: the guest bays of Gent Noord, open at night."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from locations.publication import BEGINNING, Mask, Phase, Publication
from locations.render import UNSTAMPED, BayState, EvseFacts, LocationFacts
from ocpi import v221

S = v221.Status
TAXI, VANS = 1, 2
NOON = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
OPENS = datetime(2026, 3, 11, 19, 0, tzinfo=UTC)
LAST_START = datetime(2026, 3, 12, 3, 40, tzinfo=UTC)
CLOSES = datetime(2026, 3, 12, 4, 0, tzinfo=UTC)
NIGHT = OPENS + timedelta(hours=2)


def connector(id_: str = "1", **changes: Any) -> v221.Connector:
    plug = v221.Connector(
        id=id_,
        standard=v221.ConnectorType.IEC_62196_T2_COMBO,
        format=v221.ConnectorFormat.CABLE,
        power_type=v221.PowerType.DC,
        max_voltage=920,
        max_amperage=400,
        max_electric_power=150_000,
        last_updated=UNSTAMPED,
    )
    return replace(plug, **changes)


def bay(number: int, status: v221.Status = S.AVAILABLE, *, connectors: int = 1, **state: Any) -> EvseFacts:
    evse = v221.EVSE(
        uid=f"UID-{number}",
        evse_id=f"BE*YRD*E{number:04}",
        status=S.UNKNOWN,
        capabilities=(v221.Capability.RFID_READER,),
        connectors=tuple(connector(str(index + 1)) for index in range(connectors)),
        physical_reference=f"B{number}",
        last_updated=UNSTAMPED,
    )
    return EvseFacts(evse=evse, state=BayState(device_status=status, **state))


def site(*bays: EvseFacts, **changes: Any) -> LocationFacts:
    location = v221.Location(
        country_code="BE",
        party_id="YRD",
        id="GENT-NOORD-GUEST",
        publish=False,
        name='Gent Noord, "guest" bays {"uid":"UID-1"}',
        address="Wiedauwkaai 72",
        city="Gent",
        country="BEL",
        coordinates=v221.GeoLocation(latitude="51.070000", longitude="3.730000"),
        time_zone="Europe/Brussels",
        last_updated=UNSTAMPED,
    )
    return LocationFacts(location=replace(location, **changes), evses=bays)


def phases(*changes: tuple[datetime, Mask]) -> tuple[Phase, ...]:
    return tuple(Phase(starts_at=at, mask=mask) for at, mask in changes)


def publication(**changes: Any) -> Publication:
    """Open tonight from 20:00 to 05:00 in Gent, last start at 04:40."""
    members: dict[str, Any] = {
        "publish": True,
        "publish_allowed_to": (),
        "opening_times": v221.Hours(
            twentyfourseven=False,
            regular_hours=(v221.RegularHours(weekday=3, period_begin="20:00", period_end="23:59"),),
        ),
        "charging_when_closed": False,
        "tariff_ids": ("GUEST",),
        "status_mask": "INOPERATIVE",
        "phases": phases(
            (BEGINNING, "CLOSED"), (OPENS, "OPEN"), (LAST_START, "LAST_START_PASSED"), (CLOSES, "CLOSED")
        ),
        "ended": False,
        "suspended": False,
    }
    return Publication(**(members | changes))


def always_open(**changes: Any) -> Publication:
    """A partner that may always come."""
    return publication(
        **{"phases": phases((BEGINNING, "OPEN")), "opening_times": v221.Hours(twentyfourseven=True)} | changes
    )
