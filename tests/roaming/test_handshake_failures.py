"""A handshake that breaks at any step, on either side: never half a registration (CRD-14 to CRD-17, 24, 29, 32, 33).

Each table has one row per way to fail. After each the rows of platforms, parties, tokens and endpoints are what they
were, no token that was in the air opens anything, the tokens of before work; and once the partner is repaired the same
thing succeeds.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.utils import timezone

from demo.http import Answer, Reply, Request
from demo.partner import BASE, OFFERED, Partner
from roaming import throttle
from roaming.handshake import HandshakeError, register_with, rotate_credentials
from roaming.models import Party, Platform
from tests.partner_platform import connect, invite
from tests.roaming.deliveries import OddPartner
from tests.roaming.support import snapshot

pytestmark = pytest.mark.django_db(transaction=True)

Spoil = Callable[[OddPartner], object]
VERSIONS, DETAILS = f"GET {BASE}/versions", f"GET {BASE}/2.2.1"
CREDENTIALS = f"{BASE}/2.2.1/credentials"
ELSEWHERE = "http://evil.example/ocpi"


@pytest.fixture(autouse=True)
def quick(settings) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 1


@pytest.fixture
def partner() -> Iterator[OddPartner]:
    """Randstad Taxi, whose answers a test may change."""
    with OddPartner() as running:
        yield running


def answers(on: str, **changes: object) -> Spoil:
    """Change the reply to one kind of request, which is done all the same."""

    def edit(received: Request, reply: Reply) -> Reply | None:
        return replace(reply, **changes) if str(received).rstrip("/") == on else None

    return lambda partner: setattr(partner, "edit", edit)


def fails(kind: str, on: str, **how: object) -> Spoil:
    """Misbehave as `demo.http` can."""
    return lambda partner: partner.fail(kind, on=on, **how)


def offers(*entry: str) -> Spoil:
    """List one endpoint more."""
    return lambda partner: partner.extra_endpoints.append(dict(zip(("identifier", "role", "url"), entry)))


def hides(module: str, role: str) -> Spoil:
    """Leave one endpoint out."""
    return lambda partner: partner.offered.remove((module, role))


# What a partner's versions and details can be other than good; each with the code that we answer.
UNFETCHABLE: dict[str, tuple[Spoil, int]] = {
    "versions: 401": (answers(VERSIONS, http_status=401, code=2000), 3001),
    "versions: 404": (answers(VERSIONS, http_status=404, code=2000), 3001),
    "versions: 500": (fails("http", VERSIONS, status=500), 3001),
    "versions: code 2000": (answers(VERSIONS, code=2000), 3001),
    "versions: no JSON": (fails("bad_json", VERSIONS), 3001),
    "versions: a page for people": (fails("html", VERSIONS), 3001),
    "versions: an object": (answers(VERSIONS, data={"version": "2.2.1"}), 3001),
    "versions: null": (answers(VERSIONS, data=None), 3001),
    "versions: an empty list": (answers(VERSIONS, data=[]), 3002),
    "versions: entries without URL": (answers(VERSIONS, data=[{"version": "2.2.1"}]), 3002),
    "versions: only others": (lambda partner: partner.versions.__setitem__(0, "2.1.1"), 3002),
    "versions: hang up": (fails("drop", VERSIONS), 3001),
    "versions: slow": (fails("slow", VERSIONS, seconds=1.3), 3001),
    "versions: a byte now and then": (fails("drip", VERSIONS, seconds=0.2), 3001),
    "versions: without end": (fails("huge", VERSIONS), 3001),
    "versions: headers without end": (fails("endless_headers", VERSIONS), 3001),
    "versions: redirect": (fails("redirect", VERSIONS, target=ELSEWHERE), 3001),
    "versions: details on another host": (
        answers(VERSIONS, data=[{"version": "2.2.1", "url": f"{ELSEWHERE}/2.2.1"}]), 3001,
    ),
    "details: 401": (answers(DETAILS, http_status=401, code=2000), 3001),
    "details: 500": (fails("http", DETAILS, status=500), 3001),
    "details: code 3000": (answers(DETAILS, code=3000), 3001),
    "details: no JSON": (fails("bad_json", DETAILS), 3001),
    "details: a list": (answers(DETAILS, data=[]), 3001),
    "details: endpoints no list": (answers(DETAILS, data={"version": "2.2.1", "endpoints": {}}), 3001),
    "details: of another version": (answers(DETAILS, data={"version": "2.1.1", "endpoints": []}), 3001),
    "details: hang up": (fails("drop", DETAILS), 3001),
    "details: slow": (fails("slow", DETAILS, seconds=1.3), 3001),
    "details: redirect": (fails("redirect", DETAILS, target=ELSEWHERE), 3001),
    "details: no tokens endpoint": (hides("tokens", "SENDER"), 3003),
    "details: no endpoints": (answers(DETAILS, data={"version": "2.2.1", "endpoints": []}), 3003),
    "details: an endpoint on another host": (offers("cdrs", "SENDER", f"{ELSEWHERE}/cdrs"), 3001),
    "details: an endpoint with a password": (offers("cdrs", "SENDER", "http://me:secret@127.0.0.1/cdrs"), 3001),
}  # fmt: skip

# How a partner can take our own POST or PUT; each leaves us without credentials that we could use.
UNANSWERED: dict[str, Spoil] = {
    "2000": fails("code", CREDENTIALS, status=2000),
    "2001": fails("code", CREDENTIALS, status=2001),
    "3001": fails("code", CREDENTIALS, status=3001),
    "3002": fails("code", CREDENTIALS, status=3002),
    "3003": fails("code", CREDENTIALS, status=3003),
    "401": fails("http", CREDENTIALS, status=401),
    "405": fails("http", CREDENTIALS, status=405),
    "500": fails("http", CREDENTIALS, status=500),
    "502 after storing": lambda partner: setattr(partner, "edit", _stored_behind(502)),
    "refused after storing": fails("code_after_storing", CREDENTIALS, status=3000),
    "hang up": fails("drop", CREDENTIALS),
    "the answer is lost": fails("drop_after_storing", CREDENTIALS),
    "slow": fails("slow", CREDENTIALS, seconds=1.3),
    "a byte now and then": fails("drip", CREDENTIALS, seconds=0.2),
    "no JSON": fails("bad_json", CREDENTIALS),
    "a page for people": fails("html", CREDENTIALS),
    "without end": fails("huge", CREDENTIALS),
    "redirect": fails("redirect", CREDENTIALS, target=ELSEWHERE),
    "no data": lambda partner: setattr(partner, "edit", _credentials(None)),
    "a list": lambda partner: setattr(partner, "edit", _credentials([])),
    "no token": lambda partner: setattr(
        partner, "edit", _credentials({"url": partner.versions_url, "roles": []})
    ),
    "a token that is none": lambda partner: partner.credentials_override.update(token="with a space"),
    "no roles": lambda partner: partner.credentials_override.update(roles=[]),
    "no URL": lambda partner: partner.credentials_override.update(url=""),
}


def _credentials(data: object) -> Callable[[Request, Reply], Reply | None]:
    def edit(received: Request, reply: Reply) -> Reply | None:
        is_exchange = received.method in ("POST", "PUT") and received.path == CREDENTIALS
        return replace(reply, data=data) if is_exchange else None

    return edit


def _stored_behind(status: int) -> Callable[[Request, Reply], Reply | None]:
    """As a proxy that lost the answer of the server behind it."""

    def edit(received: Request, reply: Reply) -> Reply | None:
        return Reply(status, 2000, message="Bad Gateway") if received.path == CREDENTIALS else None

    return edit


def repair(partner: OddPartner) -> None:
    """Make everything that a row has spoilt good again."""
    partner.heal()
    partner.edit = None
    partner.extra_endpoints.clear()
    partner.credentials_override.clear()
    partner.offered[:] = OFFERED
    partner.versions[:] = ["2.2.1"]


def opens(yardgate: str, token: str) -> int:
    """HTTP status of our versions with a token; nobody is held up for all the wrong ones of these tables."""
    throttle.LOCAL.full_at.clear()
    return Partner().call("GET", f"{yardgate}/ocpi/versions", token=token).http_status


def verdict(answer: Answer) -> tuple[int, int]:
    return answer.http_status, answer.code


class TestTheyRegister:
    """A partner POSTs its credentials to us; we call back, and that fails."""

    def test_a_failed_call_back_keeps_nothing(self, yardgate, partner, subtests):
        """CRD-14 to CRD-17: 3001, 3002 or 3003 without credentials; A stays usable, and works once all is repaired."""
        for how, (spoil, code) in UNFETCHABLE.items():
            with subtests.test(how):
                token_a = invite(partner)
                before = snapshot()
                spoil(partner)
                answer = partner.register(f"{yardgate}/ocpi/versions", token_a)
                assert (verdict(answer), answer.data) == ((200, code), None)
                assert (snapshot(), opens(yardgate, token_a)) == (before, 200)
                repair(partner)
                assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 1000)
                assert verdict(partner.unregister()) == (200, 1000)

    def test_a_partner_that_is_not_there(self, yardgate, partner):
        """CRD-14, CRD-17."""
        token_a = invite(partner)
        before = snapshot()
        partner._learn(f"{yardgate}/ocpi/versions", token_a)
        partner.stop()
        assert verdict(partner._announce("POST", token_a)) == (200, 3001)
        assert (snapshot(), opens(yardgate, token_a)) == (before, 200)
        partner.start()
        assert verdict(partner._announce("POST", token_a)) == (200, 1000)


class TestTheyRotate:
    """A connected partner PUTs new credentials; we call back, and that fails."""

    def test_a_failed_call_back_keeps_the_old_pair(self, yardgate, partner, subtests):
        """CRD-24, CRD-17: the old tokens work in both directions; the PUT succeeds once all is repaired."""
        connect(partner, yardgate)
        for how, (spoil, code) in UNFETCHABLE.items():
            with subtests.test(how):
                # The first use of a new token ends the grace of the one before.
                assert opens(yardgate, partner.token) == 200
                before, accepted, token = snapshot(), set(partner.accepted), partner.token
                spoil(partner)
                answer = partner.rotate()
                assert (verdict(answer), answer.data) == ((200, code), None)
                assert (snapshot(), partner.accepted, partner.token) == (before, accepted, token)
                assert opens(yardgate, token) == 200
                repair(partner)
                assert verdict(partner.rotate()) == (200, 1000)


class TestWeRegister:
    """We go to a partner; each step of it fails."""

    def register(self, partner: OddPartner, token_a: str) -> Platform:
        return register_with(
            versions_url=partner.versions_url, token_a=token_a, name=partner.name, now=timezone.now()
        )

    def test_nothing_is_posted_to_who_cannot_be_understood(self, yardgate, partner, subtests):
        """CRD-28, CRD-29: no POST, no row; the same token A works once the partner is repaired."""
        for how, (spoil, _) in UNFETCHABLE.items():
            with subtests.test(how):
                token_a, before = partner.invite(), snapshot()
                spoil(partner)
                with pytest.raises(HandshakeError, match=r"^cannot register with"):
                    self.register(partner, token_a)
                assert (snapshot(), partner.received("POST")) == (before, [])
                repair(partner)
                assert self.register(partner, token_a).status == "CONNECTED"
                start_again(partner)

    def test_nothing_is_posted_without_a_credentials_endpoint(self, yardgate, partner):
        """CRD-29."""
        token_a, before = partner.invite(), snapshot()
        partner.offered.remove(("credentials", "SENDER"))
        with pytest.raises(HandshakeError, match=r"no credentials endpoint there$"):
            self.register(partner, token_a)
        assert (snapshot(), partner.received("POST")) == (before, [])

    def test_a_post_without_a_usable_answer(self, yardgate, partner, subtests):
        """CRD-32: B is dead, no row is left; with a new token A the registration succeeds."""
        for how, spoil in UNANSWERED.items():
            with subtests.test(how):
                token_a, before = partner.invite(), snapshot()
                spoil(partner)
                with pytest.raises(HandshakeError):
                    self.register(partner, token_a)
                assert snapshot() == before
                assert opens(yardgate, the_token_in(partner, "POST")) == 401
                repair(partner)
                assert self.register(partner, partner.invite()).status == "CONNECTED"
                start_again(partner)

    def test_a_call_back_that_comes_late(self, yardgate, partner):
        """CRD-32: it took our POST, said nothing, and calls back when we have given up: 401."""
        token_a, before = partner.invite(), snapshot()
        partner.fail("slow", on=CREDENTIALS, seconds=1.5)
        with pytest.raises(HandshakeError, match=r"did not answer \(timeout\)"):
            self.register(partner, token_a)
        assert partner.wait_until(lambda: partner.callbacks, 5)
        assert [answer.http_status for answer in partner.callbacks] == [401]
        assert (snapshot(), partner.token) == (before, "")

    def test_a_call_back_with_another_token(self, yardgate, partner, subtests):
        """CRD-30, CRD-32: only B opens our versions; the partner gives up, and so do we."""
        learn = partner._learn
        for wrong in ("nobodys-token", token_a := partner.invite()):
            with subtests.test(wrong):
                before = snapshot()
                partner._learn = lambda url, token: learn(url, wrong)
                with pytest.raises(HandshakeError, match="3001"):
                    self.register(partner, token_a)
                assert partner.callbacks.pop().http_status == 401
                assert (snapshot(), partner.callbacks) == (before, [])

    def test_a_partner_that_never_calls_back_is_registered_all_the_same(self, yardgate, partner):
        """CRD-32: HTTP 200 with 1000 is success; B is theirs from then on."""

        def learn_nothing(url: str, token: str) -> bool:
            partner.token = token
            return True

        partner._learn = learn_nothing
        assert self.register(partner, partner.invite()).status == "CONNECTED"
        assert (partner.callbacks, opens(yardgate, partner.token)) == ([], 200)


class TestWeRotate:
    """We PUT new credentials to a connected partner; that fails."""

    def test_the_old_pair_stays_in_force(self, yardgate, partner, subtests):
        """CRD-33: the announced token is dead and the former works here; the rotation succeeds once all is repaired."""
        platform = connect(partner, yardgate)
        for how, spoil in UNANSWERED.items():
            with subtests.test(how):
                before, former, accepted = snapshot(), partner.token, set(partner.accepted)
                partner.forget()
                spoil(partner)
                with pytest.raises(HandshakeError):
                    rotate_credentials(platform=platform, now=timezone.now())
                assert (snapshot(), opens(yardgate, former)) == (before, 200)
                assert opens(yardgate, the_token_in(partner, "PUT")) == 401
                repair(partner)
                # A partner that took the new tokens without our seeing it has to let the old one in again.
                partner.token, partner.accepted = former, accepted
                rotate_credentials(platform=platform, now=timezone.now())
                assert [opens(yardgate, token) for token in (former, partner.token)] == [401, 200]


def start_again(partner: OddPartner) -> None:
    """Neither side knows the other any more."""
    Party.objects.exclude(platform=None).delete()
    Platform.objects.all().delete()
    partner.forget()
    partner.callbacks.clear()
    partner.accepted.clear()
    partner.token = ""


def the_token_in(partner: OddPartner, method: str) -> str:
    """The token that we announced in our one call; a slow partner notes it when it has answered."""
    partner.wait_until(lambda: partner.received(method), 5)
    [call] = partner.received(method)
    return str(call.json["token"])
