"""A card whose owner leaves the choice to us: asked for at each tap, or taken from what we were told."""

from collections.abc import Iterator

import pytest

from charging.authorize import tap
from charging.models import Authorization
from demo.partner import Partner
from locations.models import Location
from ocpi import v221
from roaming.models import Endpoint, Party
from roaming.secrets import write_outbound_token
from tests.charging.conftest import OPEN
from tests.factories import token_object
from tokens.services import put_token

pytestmark = pytest.mark.django_db
CARD = "04A2B3C4D5E680"


@pytest.fixture
def randstad(gent: Location, taxi: Party) -> Iterator[Partner]:
    """The partner of the taxi's card, which says by now that the card is blocked."""
    with Partner() as running:
        platform = taxi.platform
        assert platform is not None
        write_outbound_token(platform, "token-of-ours")
        running.accepted.add("token-of-ours")
        platform.approved_hosts = [running.url.removeprefix("http://")]
        platform.save()
        Endpoint.objects.create(
            platform=platform, module="tokens", role="SENDER", url=running.endpoint("tokens")
        )
        running.add_token(CARD)
        running.authorizations[CARD] = {"allowed": "BLOCKED"}
        card = token_object(uid=CARD, whitelist=v221.WhitelistType.ALLOWED)
        put_token(own_party=gent.depot.operator, party=taxi, token=card, now=OPEN)
        yield running


def test_by_default_the_cache_answers_and_nobody_is_asked(randstad: Partner) -> None:
    """TOK-12: the driver starts at once."""
    assert tap(station_identity="GENT-01", id_tag=CARD, now=OPEN).status == "Accepted"
    assert Authorization.objects.get().auth_method == "WHITELIST"
    assert randstad.received("POST") == []


def test_where_we_ask_the_owners_word_of_now_counts(randstad: Partner, settings) -> None:
    """TOK-12: the other setting; a no leaves nothing behind."""
    settings.REALTIME_WHEN_ALLOWED = True
    assert tap(station_identity="GENT-01", id_tag=CARD, now=OPEN).status == "Blocked"
    assert not Authorization.objects.exists()
    randstad.authorizations[CARD] = {"allowed": "ALLOWED"}
    assert tap(station_identity="GENT-01", id_tag=CARD, now=OPEN).status == "Accepted"
    assert Authorization.objects.get().auth_method == "AUTH_REQUEST"
    assert len(randstad.received("POST", "/authorize")) == 2


def test_where_we_ask_and_nobody_answers_the_cache_does(randstad: Partner, settings) -> None:
    """TOK-12: asking is our choice, so silence is no refusal."""
    settings.REALTIME_WHEN_ALLOWED = True
    randstad.stop()
    assert tap(station_identity="GENT-01", id_tag=CARD, now=OPEN).status == "Accepted"
    assert Authorization.objects.get().auth_method == "WHITELIST"
