"""Rows of depots and bays as OCPI objects, and as the facts that rendering reads."""

from datetime import datetime
from decimal import Decimal

from locations.models import EVSE, Connector, Depot, Location
from locations.publication import Publication
from locations.render import UNSTAMPED, BayState, EvseFacts, LocationFacts, render, stamped
from ocpi import v221
from roaming.dialect import NACS, Dialect

# Texts of ours are English; a partner's own texts come with its Publication.
LANGUAGE = "en"


def coordinates(depot: Depot) -> v221.GeoLocation:
    """Where the depot is, six decimals (LOC-23)."""
    return v221.GeoLocation(latitude=_degrees(depot.latitude), longitude=_degrees(depot.longitude))


def _degrees(value: Decimal) -> str:
    return f"{Decimal(value):.6f}"


def location_facts(location: Location) -> LocationFacts:
    """What there is to show of a Location, in two queries (three with its depot)."""
    depot = location.depot
    evses = EVSE.objects.filter(location=location).prefetch_related("connectors").order_by("id")
    directions = (
        (v221.DisplayText(language=LANGUAGE, text=location.directions),) if location.directions else ()
    )
    return LocationFacts(
        location=v221.Location(
            country_code=depot.operator.country_code,
            party_id=depot.operator.party_id,
            id=location.ocpi_id,
            publish=False,
            name=location.name,
            address=depot.address,
            city=depot.city,
            postal_code=depot.postal_code or None,
            country=depot.country,
            coordinates=coordinates(depot),
            parking_type=v221.ParkingType(location.parking_type) if location.parking_type else None,
            directions=directions,
            facilities=tuple(v221.Facility(word) for word in location.facilities),
            time_zone=depot.time_zone,
            last_updated=UNSTAMPED,
        ),
        # An EVSE without any connector cannot be shown: a Connector list has at least one (LOC-01).
        evses=tuple(evse_facts(evse) for evse in evses if evse.connectors.all()),
    )


def evse_facts(evse: EVSE) -> EvseFacts:
    """One bay with its connectors, and the state of its device."""
    return EvseFacts(
        evse=v221.EVSE(
            uid=evse.uid,
            evse_id=evse.evse_id or None,
            status=v221.Status.UNKNOWN,
            capabilities=tuple(v221.Capability(word) for word in evse.capabilities),
            connectors=tuple(_connector(connector) for connector in evse.connectors.all()),
            physical_reference=evse.bay_label or None,
            parking_restrictions=tuple(v221.ParkingRestriction(word) for word in evse.parking_restrictions),
            last_updated=UNSTAMPED,
        ),
        state=bay_state(evse),
        nacs=frozenset(each.ocpi_id for each in evse.connectors.all() if each.standard == NACS),
    )


def bay_state(evse: EVSE) -> BayState:
    """What the status of the bay follows from."""
    return BayState(
        device_status=v221.Status(evse.device_status),
        is_removed=evse.is_removed,
        is_online=evse.is_online,
        offline_since=evse.offline_since,
        serving_party=evse.serving_party_id,
        is_reserved=evse.is_reserved,
    )


def _standard(connector: Connector) -> v221.ConnectorType:
    """The nearest word that OCPI 2.2.1 has: TESLA_S for NACS, also in CDRs, which must name one."""
    if connector.standard == NACS:
        return v221.ConnectorType.TESLA_S
    return v221.ConnectorType(connector.standard)


def _connector(connector: Connector) -> v221.Connector:
    return v221.Connector(
        id=connector.ocpi_id,
        standard=_standard(connector),
        format=v221.ConnectorFormat(connector.format),
        power_type=v221.PowerType(connector.power_type),
        max_voltage=connector.max_voltage,
        max_amperage=connector.max_amperage,
        max_electric_power=connector.max_electric_power,
        last_updated=UNSTAMPED,
    )


def location_document(
    *,
    facts: LocationFacts,
    publication: Publication,
    viewer: int,
    dialect: Dialect,
    previous: v221.Location | None,
    now: datetime,
) -> v221.Location:
    """The Location as the party with the key `viewer` sees it now, in the words of its platform.

    `previous` is what that party has; it is returned itself when nothing has changed.
    """
    return stamped(render(facts, publication, viewer=viewer, at=now, dialect=dialect), previous, now)


def cdr_location(*, evse: EVSE, connector: Connector) -> v221.CdrLocation:
    """The place of a session as its CDR will name it, frozen at the start (CDR-01)."""
    location = evse.location
    depot = location.depot
    return v221.CdrLocation(
        id=location.ocpi_id,
        name=location.name,
        address=depot.address,
        city=depot.city,
        postal_code=depot.postal_code or None,
        country=depot.country,
        coordinates=coordinates(depot),
        evse_uid=evse.uid,
        evse_id=evse.evse_id,
        connector_id=connector.ocpi_id,
        connector_standard=_standard(connector),
        connector_format=v221.ConnectorFormat(connector.format),
        connector_power_type=v221.PowerType(connector.power_type),
    )
