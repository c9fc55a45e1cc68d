"""A grant with tariffs for cheap, fast and green charging: shown at the connector, and chosen by the driver."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from access.models import Grant
from access.services import change_grant
from charging.commands import Order, start_session
from charging.models import Authorization
from charging.transactions import Begin, started
from locations.models import EVSE, Location, PartnerView
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import Session
from sessions.stored import changes_of
from tariffs.models import Tariff, TariffView
from tariffs.services import put_tariff
from tests.charging.conftest import OPEN, token_of

pytestmark = pytest.mark.django_db

GREEN, FAST = v221.TariffType.PROFILE_GREEN, v221.TariffType.PROFILE_FAST


def tariff_of(grant: Grant, name: str, type_: v221.TariffType, **members: Any) -> Tariff:
    """The grant's own tariff again, for one profile."""
    own = codec.decode_bytes(v221.Tariff, bytes(grant.tariff.document))
    document = msgspec.structs.replace(own, id=name, type=type_, **members)
    put_tariff(party=grant.tariff.party, tariff=document, now=OPEN - timedelta(hours=2))
    return Tariff.objects.get(ocpi_id=name)


@pytest.fixture
def grant(gent: Location) -> Grant:
    """Randstad Taxi at Gent Noord, with a green and a fast tariff beside its own."""
    grant = Grant.objects.get()
    profiles = [tariff_of(grant, "TAXI-GREEN", GREEN), tariff_of(grant, "TAXI-FAST", FAST)]
    return change_grant(grant=grant, profile_tariffs=profiles, now=OPEN - timedelta(hours=1))


def shown(party: Party) -> set[tuple[str, ...]]:
    document = codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get(party=party).document))
    return {connector.tariff_ids for evse in document.evses for connector in evse.connectors}


def test_a_connector_names_one_tariff_per_type_and_the_partner_may_read_them(
    grant: Grant, taxi: Party
) -> None:
    """TAR-25, SES-22: and it is told of each before the Location that names it."""
    names = ("GENT-TAXI", "TAXI-FAST", "TAXI-GREEN")
    assert shown(taxi) == {names}
    seen = TariffView.objects.filter(party=taxi).values_list("tariff__ocpi_id", flat=True)
    assert tuple(sorted(seen)) == names
    assert Obligation.objects.filter(party=taxi, kind="tariff").count() == 3


def test_a_tariff_that_is_taken_from_the_grant_is_taken_from_the_connector(grant: Grant, taxi: Party) -> None:
    change_grant(grant=grant, profile_tariffs=[], now=OPEN)
    assert shown(taxi) == {("GENT-TAXI",)}
    assert list(TariffView.objects.values_list("tariff__ocpi_id", flat=True)) == ["GENT-TAXI"]


def test_an_edit_that_says_nothing_of_profile_tariffs_keeps_them(grant: Grant, taxi: Party) -> None:
    change_grant(grant=grant, now=OPEN)
    assert len(next(iter(shown(taxi)))) == 3


def test_tariffs_that_cannot_be_offered_together_change_nothing(grant: Grant, taxi: Party) -> None:
    second = tariff_of(grant, "TAXI-WIND", GREEN)
    before = shown(taxi), Grant.objects.get().version
    with pytest.raises(ValueError, match="both for PROFILE_GREEN"):
        change_grant(grant=grant, profile_tariffs=[*grant.profile_tariffs.all(), second], now=OPEN)
    assert (shown(taxi), Grant.objects.get().version) == before


def open_with(order: Order, bay: EVSE, profile: v221.ProfileType | None) -> Session:
    token = msgspec.structs.replace(token_of(order.party), default_profile_type=profile)
    request = v221.StartSession(
        response_url=order.response_url, token=token, location_id=bay.location.ocpi_id, evse_uid=bay.uid
    )
    reply = start_session(order=order, request=request, now=OPEN)
    assert reply.response.result is v221.CommandResponseType.ACCEPTED
    return Session.objects.get()


def chosen(session: Session) -> list[str]:
    return [change.tariff_id for change in changes_of(session)]


def frozen(session: Session) -> list[str]:
    return [each.id for each in codec.decode_bytes(list[v221.Tariff], bytes(session.tariffs))]


def capable(bay: EVSE) -> EVSE:
    bay.capabilities = ["CHARGING_PREFERENCES_CAPABLE"]
    bay.save()
    return bay


def test_a_session_freezes_all_tariffs_of_its_grant_and_takes_that_of_its_token(
    grant: Grant, order: Order, bay: EVSE
) -> None:
    """TOK-24, TAR-27: Token GREEN uses the PROFILE_GREEN tariff."""
    session = open_with(order, capable(bay), v221.ProfileType.GREEN)
    assert frozen(session) == ["GENT-TAXI", "TAXI-GREEN", "TAXI-FAST"]
    assert chosen(session) == ["TAXI-GREEN"]


@pytest.mark.parametrize("profile", [None, v221.ProfileType.REGULAR, v221.ProfileType.CHEAP])
def test_without_a_preference_that_has_a_tariff_the_grants_own_one_bills(
    grant: Grant, order: Order, bay: EVSE, profile: v221.ProfileType | None
) -> None:
    """TOK-24, TAR-25."""
    assert chosen(open_with(order, capable(bay), profile)) == []


def test_a_bay_that_takes_no_preferences_takes_none_from_a_token(
    grant: Grant, order: Order, bay: EVSE
) -> None:
    """TOK-24: where the charge point can."""
    assert chosen(open_with(order, bay, v221.ProfileType.GREEN)) == []


def test_a_card_brings_its_preference_too(grant: Grant, taxi: Party, bay: EVSE) -> None:
    """TOK-24."""
    card = msgspec.structs.replace(
        token_of(taxi, "04A2B3C4", v221.TokenType.RFID), default_profile_type=v221.ProfileType.FAST
    )
    Authorization.objects.create(
        station_identity="GENT-01",
        id_tag=card.uid,
        party=taxi,
        token=codec.encode(card),
        auth_method="WHITELIST",
        created_at=OPEN,
        expires_at=OPEN + timedelta(minutes=5),
    )
    capable(bay)
    answer = started(begin=Begin("GENT-01", 1, card.uid, OPEN, 1000), now=OPEN)
    assert answer.status == "Accepted"
    assert chosen(Session.objects.get()) == ["TAXI-FAST"]


def test_a_tariff_that_is_not_valid_yet_is_no_tariff_of_this_session(
    grant: Grant, order: Order, bay: EVSE
) -> None:
    """TAR-26: it would send the charge to review."""
    tariff_of(grant, "TAXI-GREEN", GREEN, start_date_time=OPEN + timedelta(days=1))
    session = open_with(order, capable(bay), v221.ProfileType.GREEN)
    assert (frozen(session), chosen(session)) == (["GENT-TAXI", "TAXI-FAST"], [])


def test_two_drivers_beside_each_other_have_a_tariff_each(grant: Grant, order: Order, bay: EVSE) -> None:
    """TAR-25, TOK-24."""
    open_with(order, capable(bay), v221.ProfileType.GREEN)
    other = capable(EVSE.objects.get(station_identity="GENT-02"))
    token = msgspec.structs.replace(
        token_of(order.party, "driver-18"), default_profile_type=v221.ProfileType.FAST
    )
    request = v221.StartSession(
        response_url=order.response_url, token=token, location_id=other.location.ocpi_id, evse_uid=other.uid
    )
    start_session(order=replace(order, correlation_id="c-2"), request=request, now=OPEN)
    assert [chosen(each) for each in Session.objects.order_by("created_at")] == [
        ["TAXI-GREEN"],
        ["TAXI-FAST"],
    ]
