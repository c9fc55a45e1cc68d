"""A hub and the parties behind it: rows, clients that call as one of them, and the objects that they push."""

import json
from collections.abc import Mapping
from typing import Any

from django.test import Client

from ocpi.headers import PartyId, routing_headers
from roaming.hub.agreements import set_agreement
from roaming.models import Agreement, Party, Platform
from tests.factories import OwnPartyFactory, PartyFactory, PlatformFactory, connect
from tests.partners import PartnerClient

RECEIVER, SENDER = "/ocpi/2.2.1/receiver", "/ocpi/2.2.1/sender"
HUB = PartyId("BE", "HUB")
EIGHT, LATER, LAST = "2026-03-11T08:00:00Z", "2026-03-11T08:05:00Z", "2026-03-11T08:10:00Z"


def the_hub() -> Party:
    """BE-HUB, hosted here."""
    return OwnPartyFactory(role="HUB", country_code=HUB.country_code, party_id=HUB.party_id, name="Depot Hub")


def own(role: str, party_id: str) -> Party:
    """Another party hosted here."""
    return OwnPartyFactory(role=role, party_id=party_id, name=f"Yardgate {role}")


def member(
    role: str, country_code: str, party_id: str, *, platform: Platform | None = None, url: str = ""
) -> PartnerClient:
    """A party behind the hub on a platform of its own or a given one; its calls go to the hub unless told otherwise."""
    is_new = platform is None
    platform = platform or PlatformFactory(name=f"{role} {country_code}-{party_id}", requests_per_second=1000)
    party = PartyFactory(platform=platform, role=role, country_code=country_code, party_id=party_id)
    if is_new:
        token = connect(party, **({"url": url} if url else {}))
    else:
        first = platform.parties.exclude(pk=party.pk).order_by("pk")[0]
        token = f"token-C-of-{first.country_code}-{first.party_id}"
    return acting(party, token)


def acting(party: Party, token: str, *, to: PartyId = HUB) -> PartnerClient:
    """Calls in the name of a party, to the hub or to another party."""
    headers = routing_headers(to=to, from_=party.ocpi_id)
    return PartnerClient(party, token, Client(raise_request_exception=False, headers=headers))


def to(client: PartnerClient, party: Party) -> PartnerClient:
    """The same caller, addressing another party."""
    assert client.party is not None
    assert client.token is not None
    return acting(client.party, client.token, to=party.ocpi_id)


def agree(one: PartnerClient | Party, *others: PartnerClient | Party, modules: tuple[str, ...] = ()) -> None:
    """These may reach each other through the hub."""
    for other in others:
        rows = [each.party if isinstance(each, PartnerClient) else each for each in (one, other)]
        set_agreement(one=rows[0], other=rows[1], status=Agreement.Status.ACTIVE, modules=modules)


def connector(id_: str = "1", stamp: str = EIGHT, **members: Any) -> dict[str, Any]:
    """A plug of 150 kW."""
    return {
        "id": id_,
        "standard": "IEC_62196_T2_COMBO",
        "format": "CABLE",
        "power_type": "DC",
        "max_voltage": 920,
        "max_amperage": 400,
        "last_updated": stamp,
    } | members


def evse(uid: str = "BAY-1", stamp: str = EIGHT, **members: Any) -> dict[str, Any]:
    """A free bay."""
    return {
        "uid": uid,
        "status": "AVAILABLE",
        "connectors": [connector(stamp=stamp)],
        "last_updated": stamp,
    } | members


def location(owner: PartnerClient | Party, id_: str = "UTRECHT-1", **members: Any) -> dict[str, Any]:
    """Two bays in Utrecht."""
    return {
        **identity(owner),
        "id": id_,
        "publish": True,
        "name": "Utrecht, Europalaan",
        "address": "Europalaan 100",
        "city": "Utrecht",
        "country": "NLD",
        "coordinates": {"latitude": "52.06870", "longitude": "5.11040"},
        "evses": [evse("BAY-1"), evse("BAY-2")],
        "time_zone": "Europe/Amsterdam",
        "last_updated": EIGHT,
    } | members


def tariff(owner: PartnerClient | Party, id_: str = "DAY", **members: Any) -> dict[str, Any]:
    """0.45 per kWh."""
    component = {"type": "ENERGY", "price": 0.45, "step_size": 1}
    return {
        **identity(owner),
        "id": id_,
        "currency": "EUR",
        "elements": [{"price_components": [component]}],
        "last_updated": EIGHT,
    } | members


def token(owner: PartnerClient | Party, uid: str = "04E1D2C3B4A580", **members: Any) -> dict[str, Any]:
    """A card."""
    return {
        **identity(owner),
        "uid": uid,
        "type": "RFID",
        "contract_id": "NL-EMS-C00000042-7",
        "issuer": "Randstad Taxi",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": EIGHT,
    } | members


def period(start: str = EIGHT, volume: float = 1.5) -> dict[str, Any]:
    """Some energy."""
    return {"start_date_time": start, "dimensions": [{"type": "ENERGY", "volume": volume}]}


def session(
    owner: PartnerClient | Party, payer: PartnerClient | Party, id_: str = "S-1", **members: Any
) -> dict[str, Any]:
    """A charge that runs."""
    return {
        **identity(owner),
        "id": id_,
        "start_date_time": EIGHT,
        "kwh": 1.5,
        "cdr_token": {**identity(payer), "uid": "04E1D2C3", "type": "RFID", "contract_id": "C1"},
        "auth_method": "WHITELIST",
        "location_id": "UTRECHT-1",
        "evse_uid": "BAY-1",
        "connector_id": "1",
        "currency": "EUR",
        "charging_periods": [period()],
        "status": "ACTIVE",
        "last_updated": EIGHT,
    } | members


def cdr(
    owner: PartnerClient | Party, payer: PartnerClient | Party, id_: str = "CDR-1", **members: Any
) -> dict[str, Any]:
    """A charge of 12.10 without VAT."""
    return {
        **identity(owner),
        "id": id_,
        "start_date_time": EIGHT,
        "end_date_time": LATER,
        "cdr_token": {**identity(payer), "uid": "04E1D2C3", "type": "RFID", "contract_id": "C1"},
        "auth_method": "WHITELIST",
        "cdr_location": {
            "id": "UTRECHT-1",
            "address": "Europalaan 100",
            "city": "Utrecht",
            "country": "NLD",
            "coordinates": {"latitude": "52.06870", "longitude": "5.11040"},
            "evse_uid": "BAY-1",
            "evse_id": "NL*TNM*E1",
            "connector_id": "1",
            "connector_standard": "IEC_62196_T2_COMBO",
            "connector_format": "CABLE",
            "connector_power_type": "DC",
        },
        "currency": "EUR",
        "charging_periods": [period()],
        "total_cost": {"excl_vat": 12.1},
        "total_energy": 1.5,
        "total_time": 0.083,
        "last_updated": LATER,
    } | members


def identity(owner: PartnerClient | Party) -> dict[str, str]:
    """Whose something is, as objects say it."""
    party = owner.party if isinstance(owner, PartnerClient) else owner
    assert party is not None
    return {"country_code": party.country_code, "party_id": party.party_id}


def url(module: str, document: Mapping[str, Any], *parts: str) -> str:
    """Where an object is pushed to."""
    id_ = document.get("id") or document["uid"]
    return "/".join((RECEIVER, module, document["country_code"], document["party_id"], id_, *parts))


def pretty(document: Mapping[str, Any]) -> bytes:
    """The object as nobody but its owner would write it: with spaces, a number that a float would change, and more."""
    text = json.dumps(document | {"x_fleet": {"priority": 0.5}}, indent=1)
    return text.replace("0.5", "0.1000000000000000055").encode()
