"""What a connector gives, from its row."""

from locations.electrical import Supply
from locations.models import Connector


def supply_of(connector: Connector) -> Supply:
    """What a connector gives."""
    return Supply.of(
        power_type=connector.power_type,
        volts=connector.max_voltage,
        amperes=connector.max_amperage,
        watts=connector.max_electric_power,
    )


def supply_at(*, evse_id: int, connector_id: str) -> Supply | None:
    """What one connector of an EVSE gives; None when it is not there any more."""
    connector = Connector.objects.filter(evse_id=evse_id, ocpi_id=connector_id).first()
    return None if connector is None else supply_of(connector)
