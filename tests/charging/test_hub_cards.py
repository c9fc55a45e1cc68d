"""A card that nobody is known to own, asked about over a hub: the hub finds its owner, the owner's grant decides."""

from datetime import timedelta
from typing import Any

import pytest

from access.models import Decision, Grant
from access.services import change_grant, set_grant_status
from charging.authorize import tap
from charging.models import Authorization
from locations.models import EVSE
from roaming.models import Party, Platform
from sessions.models import Session
from tests.charging.conftest import BEFORE, OPEN
from tests.roaming.hubs import HubPlatform, connected, rhine, routing_of
from tests.roaming.test_hub_clients import announce
from tokens.models import Token

__all__ = ["rhine"]

pytestmark = pytest.mark.django_db

CARD = "04A2B3C4D5E680"


@pytest.fixture
def hub(db: None, rhine: HubPlatform) -> Party:
    """NL-RHB, which we ask openly about unknown cards."""
    party = connected(rhine)
    Platform.objects.filter(pk=party.platform_id).update(asks_openly=True)
    party.platform.refresh_from_db()
    return party


@pytest.fixture
def taxi(hub: Party) -> Party:
    """NL-EMS is behind the hub here; the depot's file gives it a grant."""
    return announce(hub)


def tapped(**values: Any) -> str:
    at = values.get("at", OPEN + timedelta(minutes=1))
    return tap(station_identity="GENT-01", id_tag=CARD, now=at).status


def asked(rhine: HubPlatform) -> list[dict[str, str]]:
    return [routing_of(each) for each in rhine.received("POST", f"/tokens/{CARD}/authorize")]


def nothing_kept() -> bool:
    return not (Authorization.objects.exists() or Token.objects.exists() or Session.objects.exists())


OPENLY = {"ocpi-from-country-code": "BE", "ocpi-from-party-id": "YRD"}


def test_an_open_question_names_us_and_no_addressee(bay: EVSE, taxi: Party, rhine: HubPlatform) -> None:
    """HUB-49: both TO headers are absent, FROM is there; the owner in the answer is who charges."""
    rhine.add_token(CARD)
    rhine.store.tokens[CARD] |= {"country_code": "NL", "party_id": "EMS"}
    assert (tapped(), asked(rhine)) == ("Accepted", [OPENLY])
    kept = Authorization.objects.get()
    assert (kept.party, kept.auth_method) == (taxi, "AUTH_REQUEST")


def test_the_place_is_stated(bay: EVSE, taxi: Party, rhine: HubPlatform) -> None:
    """HUB-49, TOK-18: a hub that has to choose knows where the driver stands."""
    tapped()
    [request] = rhine.received("POST", "/authorize")
    assert request.json == {"location_id": bay.location.ocpi_id, "evse_uids": [bay.uid]}


@pytest.mark.parametrize("owner", [("NL", "XXX"), ("NL", "RHB"), ("BE", "YRD")])
def test_an_answer_in_the_name_of_who_has_no_grant_is_none(
    bay: EVSE, taxi: Party, rhine: HubPlatform, hub: Party, owner: tuple[str, str]
) -> None:
    """HUB-49, O10: of a stranger, of the hub itself, of ourselves."""
    rhine.add_token(CARD, country_code=owner[0], party_id=owner[1])
    assert (tapped(), asked(rhine), nothing_kept()) == ("Invalid", [OPENLY], True)


def test_an_owner_behind_the_hub_without_a_grant_is_refused(
    bay: EVSE, taxi: Party, rhine: HubPlatform, hub: Party
) -> None:
    """HUB-49."""
    announce(hub, party_id="FRE", country_code="DE")
    rhine.add_token(CARD, country_code="DE", party_id="FRE")
    assert (tapped(), nothing_kept()) == ("Invalid", True)


def test_the_grant_of_the_owner_decides_not_that_of_another(
    bay: EVSE, taxi: Party, rhine: HubPlatform, hub: Party
) -> None:
    """HUB-49: both have grants, the owner's is only for its shift workers."""
    other = announce(hub, party_id="FRE", country_code="DE")
    grant = Grant.objects.get()
    change_grant(grant=copy_of(grant, party=other, token_groups=["shift-3"]), now=OPEN)
    rhine.add_token(CARD, country_code="DE", party_id="FRE")
    assert (tapped(), nothing_kept()) == ("Blocked", True)
    assert Decision.objects.order_by("pk").last().party == other


def copy_of(grant: Grant, **changes: Any) -> Grant:
    values = {
        field.attname: getattr(grant, field.attname)
        for field in Grant._meta.concrete_fields
        if not field.primary_key
    }
    values.pop("party_id")
    return Grant(**values | changes)


@pytest.mark.parametrize("reply", ["unknown", "blocked", "away"])
def test_without_a_yes_nobody_charges(bay: EVSE, taxi: Party, rhine: HubPlatform, reply: str) -> None:
    """HUB-49, TOK-20: the hub's 404 with 2004, a BLOCKED, or no answer."""
    if reply == "blocked":
        rhine.add_token(CARD, country_code="NL", party_id="EMS", valid=False)
    elif reply == "away":
        rhine.stop()
    assert tapped() == ("Blocked" if reply == "blocked" else "Invalid")
    assert nothing_kept()


def test_a_hub_is_not_asked_for_a_start_that_nobody_behind_it_may_make(
    bay: EVSE, taxi: Party, rhine: HubPlatform
) -> None:
    """HUB-49: outside the window, and with the grant suspended."""
    rhine.add_token(CARD, country_code="NL", party_id="EMS")
    assert tapped(at=BEFORE) == "Blocked"
    set_grant_status(grant=Grant.objects.get(), status=Grant.Status.SUSPENDED, now=OPEN)
    tapped()
    assert (asked(rhine), nothing_kept()) == ([], True)


def test_without_the_switch_the_party_itself_is_asked(
    bay: EVSE, taxi: Party, rhine: HubPlatform, hub: Party
) -> None:
    """HUB-01: over the same hub, with TO."""
    Platform.objects.update(asks_openly=False)
    rhine.add_token(CARD, country_code="NL", party_id="EMS")
    addressed = OPENLY | {"ocpi-to-country-code": "NL", "ocpi-to-party-id": "EMS"}
    assert (tapped(), asked(rhine)) == ("Accepted", [addressed])


def test_a_party_that_is_not_connected_is_not_asked(
    bay: EVSE, taxi: Party, rhine: HubPlatform, hub: Party
) -> None:
    """HCI-14."""
    Platform.objects.update(asks_openly=False)
    rhine.add_token(CARD, country_code="NL", party_id="EMS")
    announce(hub, status="OFFLINE", last_updated="2026-03-11T09:00:00Z")
    assert (tapped(), rhine.requests, nothing_kept()) == ("Invalid", [], True)
