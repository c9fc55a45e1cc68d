"""What the benchmark works on: a depot with 1,000 Locations, 20 partners, their cards and their sessions.

What partners see is rendered by the product's own verbs from grants, a schedule and a tariff; rows without a rule
behind them are written in bulk.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import connection

from access.models import Grant, Schedule, Window
from access.services import republish
from locations.models import EVSE, Connector, Depot, Location, PartnerView
from locations.publishing import read_publication
from locations.render import valid_until
from locations.wire import cdr_location, location_document, location_facts
from ocpi import codec, v221
from roaming.dialect import SPECIFIED
from roaming.models import CredentialsToken, Endpoint, Party, Platform
from roaming.secrets import hash_token, write_outbound_token
from sessions.models import MeterReading, Session
from sessions.services import (
    OpenSession,
    Reading,
    activate_session,
    add_readings,
    complete_session,
    open_session,
)
from tariffs.models import Tariff
from tariffs.services import put_tariff
from tariffs.wire import tariff_object
from tokens.services import put_token

ZONE = "Europe/Brussels"
EVSES, CONNECTORS, PARTNERS, PERIODS = 10, 2, 20, 20
# More than any partner is sent in a run.
NO_LIMIT = 32_000
MODULES = ("locations", "tariffs", "sessions", "cdrs")
CARD = "04A2B3C4D5E680"
TOKEN = "token-of-the-reader"


@dataclass(frozen=True)
class Seed:
    """What there is: our party, the partners (the first one sees all Locations), and the shared Locations."""

    operator: Party
    partners: tuple[Party, ...]
    token: str
    locations: int
    shared: tuple[Location, ...]
    tariff: v221.Tariff

    @property
    def reader(self) -> Party:
        """The partner that pulls."""
        return self.partners[0]


@dataclass(frozen=True)
class Size:
    """How much of it there is; `shared` Locations are seen by all partners, all others by the first one only."""

    locations: int
    shared: int
    sessions: int


FULL, QUICK = Size(1000, 10, 1000), Size(200, 3, 120)


def found() -> Seed | None:
    """What an earlier run has left in this database, or None."""
    partners = tuple(Party.objects.filter(role="EMSP").select_related("platform").order_by("party_id"))
    if not partners:
        return None
    return Seed(
        Party.objects.get(role="CPO"),
        partners,
        TOKEN,
        Location.objects.count(),
        tuple(Location.objects.filter(partner_views__party=partners[-1]).order_by("id")),
        tariff_object(Tariff.objects.get()),
    )


def plant(size: Size, *, now: datetime) -> Seed:
    """Write everything.

    Statistics are brought up to date at the end, as an installation's are after its first minute.
    """
    operator = Party.objects.create(role="CPO", country_code="BE", party_id="YRD", name="Yardgate Depots")
    partners = tuple(_partner(number) for number in range(PARTNERS))
    CredentialsToken.objects.create(
        platform=Platform.objects.get(parties=partners[0]),
        kind=CredentialsToken.Kind.SESSION,
        hash=hash_token(TOKEN),
    )
    tariff = _tariff(now)
    put_tariff(party=operator, tariff=tariff, time_zone=ZONE, now=now)
    depot = _depot(operator)
    places = _places(depot, size.locations, now)
    _grants(places, size.shared, partners, depot, now)
    for place in places[: size.shared]:
        republish(location=place, now=now)
    _show(places[size.shared :], partners[0], now)
    put_token(own_party=operator, party=partners[0], token=card(partners[0], CARD, now), now=now)
    seed = Seed(operator, partners, TOKEN, size.locations, tuple(places[: size.shared]), tariff)
    _sessions(seed, places, size.sessions, now)
    # Only now: what was published so far is not owed to anybody.
    for partner in partners:
        for module in MODULES:
            Endpoint.objects.create(
                platform=Platform.objects.get(parties=partner),
                module=module,
                role="RECEIVER",
                url="http://127.0.0.1:9",
            )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return seed


def _partner(number: int) -> Party:
    platform = Platform.objects.create(
        name=f"Partner {number}", status=Platform.Status.CONNECTED, version="2.2.1",
        requests_per_second=NO_LIMIT, max_requests_per_second=NO_LIMIT,
    )  # fmt: skip
    write_outbound_token(platform, f"token-for-{number}")
    platform.save()
    return Party.objects.create(
        platform=platform, role="EMSP", country_code="NL", party_id=f"B{number:02}", name=platform.name
    )


def card(party: Party, uid: str, last_updated: datetime) -> v221.Token:
    """A card that its owner lets us accept without asking."""
    return v221.Token(
        country_code=party.country_code,
        party_id=party.party_id,
        uid=uid,
        type=v221.TokenType.RFID,
        contract_id=f"{party.country_code}-{party.party_id}-C00000042-7",
        issuer=party.name,
        valid=True,
        whitelist=v221.WhitelistType.ALWAYS,
        last_updated=last_updated,
    )


def _tariff(now: datetime) -> v221.Tariff:
    def component(type_: str, price: str, step_size: int = 1) -> v221.PriceComponent:
        return v221.PriceComponent(
            type=v221.TariffDimensionType(type_), price=Decimal(price), vat=Decimal(21), step_size=step_size
        )

    return v221.Tariff(
        country_code="BE",
        party_id="YRD",
        id="GUEST-NIGHT",
        currency="EUR",
        elements=(
            v221.TariffElement(
                price_components=(component("ENERGY", "0.45"),),
                restrictions=v221.TariffRestrictions(start_time="06:00", end_time="21:00"),
            ),
            v221.TariffElement(
                price_components=(component("ENERGY", "0.30"), component("PARKING_TIME", "3.00", 60),
                                  component("FLAT", "0.50"))
            ),
        ),
        last_updated=now,
    )  # fmt: skip


def _depot(operator: Party) -> Depot:
    return Depot.objects.create(
        operator=operator, code="gent-noord", name="Gent Noord", fleet_name="De Lijn", time_zone=ZONE,
        address="Wiedauwkaai 72", city="Gent", postal_code="9000", country="BEL",
        latitude=Decimal("51.07"), longitude=Decimal("3.73"),
    )  # fmt: skip


def _places(depot: Depot, count: int, now: datetime) -> list[Location]:
    places = Location.objects.bulk_create(
        Location(
            depot=depot, name=f"Gent Noord, guest bays {number}", parking_type=v221.ParkingType.PARKING_LOT.value,
            directions="Enter by gate 2 and follow the green line to the bays.", facilities=["WIFI"],
        )
        for number in range(count)
    )  # fmt: skip
    bays = EVSE.objects.bulk_create(
        EVSE(
            location=place, evse_id=f"BE*YRD*E{place.pk:04}{bay:02}", bay_label=f"B{bay}",
            station_identity=f"GENT-{place.pk:04}-{bay:02}", capabilities=["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
            device_status=v221.Status.AVAILABLE.value, device_status_at=now - timedelta(hours=1), is_online=True,
        )
        for place in places
        for bay in range(EVSES)
    )  # fmt: skip
    Connector.objects.bulk_create(
        Connector(
            evse=bay, ocpi_id=str(number), standard=v221.ConnectorType.IEC_62196_T2_COMBO.value,
            format=v221.ConnectorFormat.CABLE.value, power_type=v221.PowerType.DC.value, max_voltage=920,
            max_amperage=400, max_electric_power=150_000,
        )
        for bay in bays
        for number in range(1, CONNECTORS + 1)
    )  # fmt: skip
    return places


def _grants(
    places: list[Location], shared: int, partners: tuple[Party, ...], depot: Depot, now: datetime
) -> None:
    # Open now, and no edge within hours: the clock must not interrupt a measurement.
    here = now.astimezone(ZoneInfo(ZONE))
    opens, closes = (here - timedelta(hours=6)).hour, (here + timedelta(hours=12)).hour
    schedule = Schedule.objects.create(depot=depot, name="guests")
    Window.objects.create(
        schedule=schedule, weekdays=[1, 2, 3, 4, 5, 6, 7],
        opens=here.time().replace(opens, 0, 0, 0), closes=here.time().replace(closes, 0, 0, 0),
    )  # fmt: skip
    tariff = Tariff.objects.get()
    Grant.objects.bulk_create(
        Grant(party=party, location=place, schedule=schedule, tariff=tariff)
        for number, place in enumerate(places)
        for party in (partners if number < shared else partners[:1])
    )


def _show(places: list[Location], party: Party, now: datetime) -> None:
    """The views of the many Locations, as `republish` makes them, with one INSERT for all."""
    like = PartnerView.objects.filter(party=party).order_by("id")[0]
    shown = read_publication(bytes(like.publication))
    rows = []
    for place in Location.objects.filter(pk__in=[each.pk for each in places]).select_related(
        "depot__operator"
    ):
        facts = location_facts(place)
        document = location_document(
            facts=facts, publication=shown, viewer=party.pk, dialect=SPECIFIED, previous=None, now=now
        )
        rows.append(
            PartnerView(
                party=party, own_party=place.depot.operator, location=place, publication=like.publication,
                document=codec.encode(document), last_updated=document.last_updated,
                next_edge_at=valid_until(facts, shown, now),
            )
        )  # fmt: skip
    PartnerView.objects.bulk_create(rows, batch_size=200)


def _sessions(seed: Seed, places: list[Location], count: int, now: datetime) -> None:
    """One finished charge by the verbs themselves, and others like it at other bays, ready to be sealed."""
    started_at = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    bays = list(
        EVSE.objects.filter(location__in=places)
        .select_related("location__depot__operator")
        .prefetch_related("connectors")
        .order_by("id")[:count]
    )
    first = _charge(seed, bays[0], started_at)
    readings = list(MeterReading.objects.filter(session=first).values_list("at", "energy_wh"))
    copied = {
        field.attname: getattr(first, field.attname)
        for field in Session._meta.concrete_fields
        if field.attname not in ("id", "evse_id", "location_id", "cdr_location", "created_at")
    }
    others = Session.objects.bulk_create(
        Session(
            **copied, id=uuid.uuid4(), evse=bay, location=bay.location, created_at=now,
            cdr_location=codec.encode(cdr_location(evse=bay, connector=bay.connectors.all()[0])),
        )
        for bay in bays[1:]
    )  # fmt: skip
    MeterReading.objects.bulk_create(
        MeterReading(session=other, at=at, energy_wh=energy_wh)
        for other in others
        for at, energy_wh in readings
    )


def _charge(seed: Seed, bay: EVSE, started_at: datetime) -> Session:
    """Five hours with a reading every quarter of an hour: 20 charging periods."""
    quarter = timedelta(minutes=15)
    token = card(seed.reader, CARD, started_at)
    session = open_session(
        facts=OpenSession(
            own_party=seed.operator, party=seed.reader, location=bay.location, evse=bay, connector_id="1",
            status=v221.SessionStatus.PENDING,
            cdr_token=v221.CdrToken(
                country_code=token.country_code, party_id=token.party_id, uid=token.uid, type=token.type,
                contract_id=token.contract_id,
            ),
            token_group="", auth_method=v221.AuthMethod.WHITELIST, authorization_reference="APP-77812",
            tariffs=(seed.tariff,), currency="EUR", time_zone=ZONE,
            cdr_location=cdr_location(evse=bay, connector=bay.connectors.all()[0]),
            started_at=started_at, meter_start_wh=None, must_end_by=None, grant_ref="1/v1", decision_ref="d-bench",
        ),
        now=started_at,
    )  # fmt: skip
    activate_session(session=session, started_at=started_at, meter_start_wh=1_000_000, now=started_at)
    readings = [
        Reading(started_at + quarter * number, 1_000_000 + 2_500 * number) for number in range(1, PERIODS)
    ]
    add_readings(session=session, readings=readings, now=started_at + quarter * PERIODS)
    return complete_session(
        session=session, ended_at=started_at + quarter * PERIODS, meter_stop_wh=1_000_000 + 2_500 * PERIODS,
        end_reason="Local", now=started_at + quarter * PERIODS,
    )  # fmt: skip
