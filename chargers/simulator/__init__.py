"""A simulated OCPP 1.6-J charge point and fleets of them; imports nothing of the product but this package."""

from chargers.simulator.connector import Connector, ConnectorSpec
from chargers.simulator.fleet import Fleet, Traffic
from chargers.simulator.state import Misbehaviour, Timing
from chargers.simulator.station import Station
from chargers.simulator.vehicle import Vehicle

__all__ = ["Connector", "ConnectorSpec", "Fleet", "Misbehaviour", "Station", "Timing", "Traffic", "Vehicle"]
