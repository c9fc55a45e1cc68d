"""The Credentials module when partners come to us (CRD-01 to CRD-27), over real sockets in both directions."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.utils import timezone

from demo.partner import Partner
from roaming.handshake import HandshakeError, invite_platform, revoke_credentials
from roaming.models import CredentialsToken, Endpoint, Party, Platform
from roaming.secrets import read_outbound_token
from tests.factories import OwnPartyFactory
from tests.partner_platform import connect, invite
from tests.roaming.support import snapshot

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(settings):
    settings.OUTBOUND_TIMEOUT_SECONDS = 2


def credentials_url(yardgate):
    return f"{yardgate}/ocpi/2.2.1/credentials"


def verdict(answer):
    return answer.http_status, answer.code


class TestInvitation:
    def test_each_token_is_another(self, yardgate):
        """CRD-09, CRD-01: handed out once, kept as a hash; both work."""
        now = timezone.now()
        one = invite_platform(name="Randstad Taxi", roles=[("EMSP", "nl", "ems")], now=now)
        two = invite_platform(name="Freie Fahrt", roles=[("EMSP", "DE", "FRE")], now=now)
        assert one.token_a != two.token_a
        assert one.versions_url == f"{yardgate}/ocpi/versions"
        assert one.platform.allowed_roles == [["EMSP", "NL", "EMS"]]
        statuses = [
            Partner().call("GET", one.versions_url, token=each.token_a).http_status for each in (one, two)
        ]
        assert statuses == [200, 200]

    def test_a_new_invitation_replaces_the_old(self, yardgate, partner):
        """CRD-09."""
        first, second = invite(partner), invite(partner)
        statuses = [
            partner.call("GET", f"{yardgate}/ocpi/versions", token=each).http_status
            for each in (first, second)
        ]
        assert statuses == [401, 200]
        assert Platform.objects.count() == 1

    @pytest.mark.parametrize(
        ("name", "roles"),
        [
            ("", [("EMSP", "NL", "EMS")]),
            ("Randstad Taxi", []),
            ("Randstad Taxi", [("emsp", "NL", "EMS")]),
            ("Randstad Taxi", [("EMSP", "NLD", "EMS")]),
            ("Randstad Taxi", [("EMSP", "NL", "EM")]),
            ("Randstad Taxi", [("EMSP", "NL", "E\u017fS")]),
            ("Randstad Taxi", [("CPO", "BE", "YRD")]),
            ("Another", [("EMSP", "DE", "FRE")]),
            ("Freie Fahrt", [("EMSP", "DE", "FRE")]),
        ],
    )
    def test_invitations_that_are_refused(self, yardgate, name, roles):
        """CRD-08, TYP-11, T14: no name, no roles, no such role, ours, another platform's, already connected."""
        with Partner("Freie Fahrt", "DE", "FRE") as taken:
            connect(taken, yardgate)
        before = snapshot()
        with pytest.raises(HandshakeError):
            invite_platform(name=name, roles=roles, now=timezone.now())
        assert snapshot() == before


class TestRegistration:
    def test_a_whole_registration(self, yardgate, partner):
        """CRD-10, CRD-11, CRD-12, CRD-13: called back with B before our answer, C is new and works at once, A is dead."""
        token_a = invite(partner)
        answer = partner.register(f"{yardgate}/ocpi/versions", token_a)
        assert verdict(answer) == (200, 1000)
        (token_b,) = partner.accepted
        assert [(str(each), each.token) for each in partner.requests] == [
            ("GET /ocpi/emsp/versions", token_b),
            ("GET /ocpi/emsp/2.2.1", token_b),
        ]
        ours = answer.data
        assert ours["token"] not in (token_a, token_b)
        assert re.fullmatch(r"[!-~]{1,64}", ours["token"])
        assert ours == {
            "token": ours["token"],
            "url": f"{yardgate}/ocpi/versions",
            "roles": [
                {
                    "role": "CPO",
                    "business_details": {"name": "Yardgate Depots"},
                    "party_id": "YRD",
                    "country_code": "BE",
                }
            ],
        }
        assert partner.call("GET", f"{yardgate}/ocpi/versions", token=token_b).http_status == 401
        for path in ("/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials"):
            assert partner.call("GET", yardgate + path, token=token_a).http_status == 401
            assert verdict(partner.call("GET", yardgate + path)) == (200, 1000)

    def test_what_is_kept(self, yardgate, partner):
        """CRD-03, CRD-13: URL, version, endpoints, parties, and B encrypted."""
        platform = connect(partner, yardgate)
        assert (platform.status, platform.version, platform.versions_url) == (
            "CONNECTED", "2.2.1", partner.versions_url
        )  # fmt: skip
        assert platform.approved_hosts == [f"127.0.0.1:{partner.port}"]
        assert {read_outbound_token(platform)} == partner.accepted
        assert {(each.module, each.role): each.url for each in platform.endpoints.all()} == {
            (module, role): partner.endpoint(module) for module, role in partner.offered
        }
        party = platform.parties.get()
        assert (party.role, party.ocpi_id, party.name) == ("EMSP", ("NL", "EMS"), "Randstad Taxi")

    def test_our_object_lists_every_party_that_we_host(self, yardgate, partner):
        """CRD-07."""
        OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
        OwnPartyFactory(party_id="OLD", is_active=False)
        connect(partner, yardgate)
        assert [each["party_id"] for each in partner.registered["roles"]] == ["YR2", "YRD"]

    def test_a_hub_lists_itself_only(self, yardgate, partner):
        """CRD-06: whoever is connected, and whatever else is hosted."""
        OwnPartyFactory(role="HUB", party_id="HUB", name="Yardgate Hub")
        connect(partner, yardgate)
        assert [(each["role"], each["party_id"]) for each in partner.registered["roles"]] == [("HUB", "HUB")]

    def test_several_parties_on_one_platform(self, yardgate, partner):
        """CRD-05: all are usable."""
        roles = [("EMSP", "NL", "EMS"), ("EMSP", "BE", "EMS"), ("EMSP", "NL", "EM2")]
        token_a = invite_platform(name=partner.name, roles=roles, now=timezone.now()).token_a
        partner.credentials_override["roles"] = [
            partner.credentials_role | {"country_code": country, "party_id": party}
            for _, country, party in roles
        ]
        assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 1000)
        assert {(each.role, *each.ocpi_id) for each in Party.objects.exclude(platform=None)} == set(roles)

    def test_a_partner_that_does_not_encode(self, yardgate, partner):
        """AUT-04: the switch covers the whole handshake, in both directions."""
        token_a = invite(partner)
        Platform.objects.update(accept_raw_token=True)
        partner.encodes_token = False
        assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 1000)
        assert {each.headers["authorization"] for each in partner.requests} == {
            f"Token {token_b}" for token_b in partner.accepted
        }

    def test_get_returns_the_token_of_the_request(self, yardgate, partner):
        """CRD-21, T20, DIS-10: no other is known here."""
        connect(partner, yardgate)
        answer = partner.call("GET", credentials_url(yardgate))
        assert (verdict(answer), answer.data) == ((200, 1000), partner.registered)
        assert partner.registered["token"] == partner.token


# Each is (what is wrong, how the partner is changed, the code of our answer).
REFUSALS = {
    "CRD-02 token with a space": (lambda p: p.credentials_override.update(token="to ken"), 2001),
    "CRD-02 token of 65 characters": (lambda p: p.credentials_override.update(token="t" * 65), 2001),
    "CRD-02 empty token": (lambda p: p.credentials_override.update(token=""), 2001),
    "CRD-02 token that is not ASCII": (lambda p: p.credentials_override.update(token="tök"), 2001),
    "CRD-04 no roles": (lambda p: p.credentials_override.update(roles=[]), 2001),
    "CRD-04 roles missing": (lambda p: p.credentials_override.update(roles=None), 2001),
    "CRD-04 role without party": (lambda p: p.credentials_override.update(roles=[{"role": "EMSP"}]), 2001),
    "CRD-04 the same role twice": (
        lambda p: p.credentials_override.update(roles=[p.credentials_role] * 2),
        2001,
    ),
    "CRD-04 the same role in another case": (
        lambda p: p.credentials_override.update(
            roles=[p.credentials_role, p.credentials_role | {"party_id": "ems"}]
        ),
        2001,
    ),
    "CRD-03 no URL": (lambda p: p.credentials_override.update(url=None), 2001),
    "CRD-03 URL of 256 characters": (
        lambda p: p.credentials_override.update(url=p.url + "/" + "x" * 255),
        2001,
    ),
    "CRD-03 relative URL": (lambda p: p.credentials_override.update(url="/ocpi/versions"), 2001),
    "CRD-03 URL of the details": (lambda p: p.credentials_override.update(url=p.details_url), 3001),
    "O7 URL with a user": (
        lambda p: p.credentials_override.update(url=p.versions_url.replace("//", "//u:p@")),
        2001,
    ),
    "CRD-08 T12 a role that was not agreed": (lambda p: setattr(p, "role", "CPO"), 2001),
    "CRD-08 T12 somebody else's party": (lambda p: setattr(p, "party_id", "FRE"), 2001),
    "CRD-08 T12 our own party": (
        lambda p: p.credentials_override.update(
            roles=[
                p.credentials_role,
                p.credentials_role | {"role": "CPO", "country_code": "BE", "party_id": "YRD"},
            ]
        ),
        2001,
    ),
    "T14 a look-alike": (lambda p: setattr(p, "party_id", "EM\uff33"), 2001),
    "T14 the Kelvin sign": (lambda p: setattr(p, "party_id", "EM\u212a"), 2001),
    "T14 a space": (lambda p: setattr(p, "party_id", "EM "), 2001),
    "CRD-14 versions answer 401": (lambda p: p.fail("http", on="/versions", status=401), 3001),
    "CRD-14 bad JSON": (lambda p: p.fail("bad_json", on="/versions"), 3001),
    "CRD-14 the connection breaks": (lambda p: p.fail("drop", on="/versions"), 3001),
    "CRD-14 details fail": (lambda p: p.fail("http", on="GET /ocpi/emsp/2.2.1", status=500), 3001),
    "CRD-14 too slow": (lambda p: p.fail("slow", on="/versions", seconds=2.5), 3001),
    "O4 redirect": (lambda p: p.fail("redirect", on="/versions", target="http://169.254.169.254/"), 3001),
    "O5 drip": (lambda p: p.fail("drip", on="/versions", seconds=0.2), 3001),
    "O5 a body without end": (lambda p: p.fail("huge", on="/versions"), 3001),
    "O3 an endpoint on another host": (
        lambda p: p.extra_endpoints.append(
            {"identifier": "cdrs", "role": "RECEIVER", "url": "http://evil.example/"}
        ),
        3001,
    ),
    "CRD-15 only 2.1.1": (lambda p: p.versions.__setitem__(0, "2.1.1"), 3002),
    "CRD-16 no tokens endpoint": (lambda p: p.offered.remove(("tokens", "SENDER")), 3003),
}


def repair(partner):
    partner.credentials_override.clear()
    partner.extra_endpoints.clear()
    partner.heal()
    partner.role, partner.party_id, partner.versions = "EMSP", "EMS", ["2.2.1"]
    partner.offered = list(Partner().offered)


class TestRefusals:
    @pytest.mark.parametrize("fault", REFUSALS)
    def test_a_refused_registration_keeps_nothing(self, yardgate, partner, fault):
        """CRD-02 to CRD-04, CRD-08, CRD-14 to CRD-17, STS-03: A stays usable, and works once all is repaired."""
        spoil, code = REFUSALS[fault]
        token_a = invite(partner)
        before = snapshot()
        spoil(partner)
        answer = partner.register(f"{yardgate}/ocpi/versions", token_a)
        assert verdict(answer) == (200, code)
        assert (snapshot(), partner.accepted, answer.data) == (before, set(), None)
        if code == 2001:
            assert partner.requests == []
        repair(partner)
        assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 1000)

    def test_a_partner_that_is_down(self, yardgate, partner):
        """CRD-14, CRD-17."""
        token_a = invite(partner)
        partner.endpoints["credentials", "SENDER"] = credentials_url(yardgate)
        before = snapshot()
        partner.stop()
        assert verdict(partner._announce("POST", token_a)) == (200, 3001)
        assert snapshot() == before

    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "100.64.0.1", "[::ffff:7f00:1]", "0x7f.1", "2130706433",
         "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost."],
    )  # fmt: skip
    def test_addresses_inside_are_not_called(self, yardgate, partner, settings, host):
        """O1: 3001 with the text that an unreachable partner gets, nothing stored, nobody connected to."""
        token_a = invite(partner)
        before = snapshot()
        settings.OUTBOUND_ALLOW_PRIVATE = False
        partner.credentials_override["url"] = f"http://{host}:{partner.port}/ocpi/emsp/versions"
        answer = partner.register(f"{yardgate}/ocpi/versions", token_a)
        assert (verdict(answer), answer.json["status_message"]) == (
            (200, 3001), "the versions of your platform could not be fetched with the token given"
        )  # fmt: skip
        assert (snapshot(), partner.requests) == (before, [])

    def test_our_own_address(self, yardgate, partner):
        """O1: pointing us at ourselves leads nowhere."""
        token_a = invite(partner)
        before = snapshot()
        partner.credentials_override["url"] = f"{yardgate}/ocpi/versions"
        assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 3001)
        assert snapshot() == before

    @pytest.mark.parametrize("body", [b'{"token":', b"", b"\xff"])
    def test_bodies_that_are_no_json(self, yardgate, partner, body):
        """HTP-05."""
        token_a = invite(partner)
        before = snapshot()
        answer = partner.call("POST", credentials_url(yardgate), body, token=token_a)
        assert (verdict(answer), snapshot()) == ((400, 2000), before)

    def test_hosts_agreed_beforehand(self, yardgate, partner):
        """T15: an invitation may name the hosts; another one is 2001, and is not called."""
        role = [("EMSP", "NL", "EMS")]
        now = timezone.now()
        token_a = invite_platform(
            name=partner.name, roles=role, approved_hosts=["ocpi.randstad.example"], now=now
        ).token_a
        before = snapshot()
        assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 2001)
        assert (snapshot(), partner.requests) == (before, [])

    def test_a_party_of_another_platform_stays_there(self, yardgate, partner):
        """CRD-08: even when an operator invited a second platform before the first had registered."""
        token_a = invite(partner)
        with Partner("Impostor", "NL", "EMS") as other:
            connect(other, yardgate)
            before = snapshot()
            assert verdict(partner.register(f"{yardgate}/ocpi/versions", token_a)) == (200, 2001)
            assert snapshot() == before


class TestMethods:
    """CRD-18 to CRD-20: what is not allowed before or after a registration, whatever the body."""

    def test_registered_partners_do_not_post(self, yardgate, partner):
        """CRD-18, T10."""
        connect(partner, yardgate)
        before = snapshot()
        answer = partner.call("POST", credentials_url(yardgate), partner.credentials("x"))
        assert (verdict(answer), answer.headers["allow"]) == ((405, 2000), "GET, PUT, DELETE")
        assert snapshot() == before

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_strangers_with_a_token_a_do_not_change_anything(self, yardgate, partner, method):
        """CRD-19, CRD-20, T11, DIS-08."""
        token_a = invite(partner)
        before = snapshot()
        answer = partner.call(method, credentials_url(yardgate), partner.credentials("x"), token=token_a)
        assert (verdict(answer), answer.headers["allow"]) == ((405, 2000), "GET, POST")
        assert (snapshot(), partner.requests) == (before, [])

    def test_patch_is_no_method_of_this_module(self, yardgate, partner):
        """HTP-01."""
        connect(partner, yardgate)
        assert verdict(partner.call("PATCH", credentials_url(yardgate), {})) == (405, 2000)


class TestUpdate:
    def test_a_whole_update(self, yardgate, partner):
        """CRD-22, CRD-23: both fetched again with the new token, a new token comes back, the former is over."""
        platform = connect(partner, yardgate)
        former = partner.token
        partner.forget()
        partner.offered.remove(("cdrs", "RECEIVER"))
        answer = partner.rotate()
        assert verdict(answer) == (200, 1000)
        assert [(str(each), each.token) for each in partner.requests] == [
            ("GET /ocpi/emsp/versions", *partner.accepted),
            ("GET /ocpi/emsp/2.2.1", *partner.accepted),
        ]
        assert answer.data["token"] == partner.token != former
        assert verdict(partner.call("GET", credentials_url(yardgate))) == (200, 1000)
        assert partner.call("GET", credentials_url(yardgate), token=former).http_status == 401
        platform.refresh_from_db()
        assert {read_outbound_token(platform)} == partner.accepted
        assert not platform.endpoints.filter(module="cdrs").exists()

    def test_an_answer_that_got_lost(self, yardgate, partner):
        """T16: the former token works until the new one is used; the PUT can be repeated with it."""
        connect(partner, yardgate)
        former = partner.token
        lost = partner._announce("PUT", former).data["token"]
        assert verdict(partner.call("GET", credentials_url(yardgate), token=former)) == (200, 1000)
        assert verdict(partner._announce("PUT", former)) == (200, 1000)
        tokens = (former, lost, partner.token)
        assert [partner.call("GET", credentials_url(yardgate), token=each).http_status for each in tokens] == [
            200, 401, 200
        ]  # fmt: skip
        assert partner.call("GET", credentials_url(yardgate), token=former).http_status == 401

    def test_the_grace_is_an_hour(self, yardgate, partner):
        """T16."""
        platform = connect(partner, yardgate)
        partner.rotate()
        former = platform.inbound_tokens.order_by("pk")[1]
        left = former.expires_at - timezone.now()
        assert (former.kind, round(left.total_seconds() / 60)) == ("C", 60)

    @pytest.mark.parametrize("fault", [name for name, (_, code) in REFUSALS.items() if code >= 3000])
    def test_a_failed_fetch_keeps_both_tokens(self, yardgate, partner, fault):
        """CRD-24, CRD-17: 3001, 3002 or 3003; the old tokens stay in force in both directions."""
        spoil, code = REFUSALS[fault]
        connect(partner, yardgate)
        before, accepted, token = snapshot(), set(partner.accepted), partner.token
        spoil(partner)
        assert verdict(partner.rotate()) == (200, code)
        assert (snapshot(), partner.accepted, partner.token) == (before, accepted, token)
        repair(partner)
        assert verdict(partner.rotate()) == (200, 1000)

    @pytest.mark.parametrize(
        ("what", "spoil"),
        [
            ("T13 another party", lambda p: p.credentials_override.update(
                roles=[p.credentials_role, p.credentials_role | {"party_id": "FRE"}])),
            ("T13 another role", lambda p: setattr(p, "role", "CPO")),
            ("T15 another host", lambda p: p.credentials_override.update(url="http://evil.example/ocpi/versions")),
            ("T15 another port", lambda p: p.credentials_override.update(url=f"http://127.0.0.1:{p.port + 1}/versions")),
            ("T15 the same host by another name", lambda p: p.credentials_override.update(
                url=p.versions_url.replace("127.0.0.1", "localhost"))),
        ],
    )  # fmt: skip
    def test_a_stolen_token_cannot_divert_anything(self, yardgate, partner, caplog, what, spoil):
        """T13, T15, O6: 2001, nothing changes, nobody is called, and the operator is told."""
        connect(partner, yardgate)
        before = snapshot()
        partner.forget()
        spoil(partner)
        assert verdict(partner.rotate()) == (200, 2001)
        assert (snapshot(), partner.requests) == (before, [])
        assert "handshake.refused" in caplog.text

    def test_fewer_roles_are_given_up(self, yardgate, partner):
        """CRD-22: a party that is no longer listed acts no more, and keeps its history."""
        roles = [("EMSP", "NL", "EMS"), ("EMSP", "BE", "EMS")]
        token_a = invite_platform(name=partner.name, roles=roles, now=timezone.now()).token_a
        partner.credentials_override["roles"] = [
            partner.credentials_role, partner.credentials_role | {"country_code": "BE"}
        ]  # fmt: skip
        partner.register(f"{yardgate}/ocpi/versions", token_a)
        partner.credentials_override.clear()
        assert verdict(partner.rotate()) == (200, 1000)
        states = {party.country_code: party.is_active for party in Party.objects.exclude(platform=None)}
        assert states == {"NL": True, "BE": False}


class TestEnd:
    def test_delete(self, yardgate, partner):
        """CRD-25, T18: 1000 once, then 401; nothing is left that we could call."""
        platform = connect(partner, yardgate)
        token = partner.token
        assert verdict(partner.unregister()) == (200, 1000)
        for method in ("GET", "DELETE"):
            assert partner.call(method, credentials_url(yardgate), token=token).http_status == 401
        platform.refresh_from_db()
        assert (platform.status, platform.outbound_token) == ("UNREGISTERED", None)
        assert Endpoint.objects.count() == 0
        assert [party.is_active for party in platform.parties.all()] == [True]

    def test_a_full_cycle_twice(self, yardgate, partner):
        """CRD-26: with a new token A the partner is the same platform again, with the same parties."""
        first = connect(partner, yardgate)
        partner.unregister()
        second = connect(partner, yardgate)
        partner.unregister()
        third = connect(partner, yardgate)
        assert first.pk == second.pk == third.pk
        assert Party.objects.exclude(platform=None).count() == 1

    def test_the_end_can_be_repeated(self, yardgate, partner):
        platform = connect(partner, yardgate)
        revoke_credentials(platform=platform, now=timezone.now())
        before = snapshot()
        revoke_credentials(platform=platform, now=timezone.now())
        assert snapshot() == before


class TestRaces:
    def race(self, count, act):
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: act(), range(count)))

    def test_parallel_posts_with_one_token(self, yardgate, partner):
        """CRD-27, T8: exactly one is accepted, the others get 401 or 405; one token C exists."""
        token_a = invite(partner)
        partner.endpoints["credentials", "SENDER"] = credentials_url(yardgate)
        partner.accepted.add("B")
        answers = self.race(
            12,
            lambda: partner.call("POST", credentials_url(yardgate), partner.credentials("B"), token=token_a),
        )
        verdicts = sorted(verdict(answer) for answer in answers)
        assert verdicts[0] == (200, 1000)
        assert {http for http, _ in verdicts[1:]} <= {401, 405}
        assert CredentialsToken.objects.filter(revoked_at=None).count() == 1
        (winner,) = [answer.data["token"] for answer in answers if answer.code == 1000]
        assert verdict(partner.call("GET", credentials_url(yardgate), token=winner)) == (200, 1000)

    def test_parallel_puts(self, yardgate, partner):
        """T17: one wins, the others get 2001; never two new tokens."""
        connect(partner, yardgate)
        partner.accepted.add("B")
        partner.fail("slow", seconds=0.2)
        answers = self.race(
            6, lambda: partner.call("PUT", credentials_url(yardgate), partner.credentials("B"))
        )
        codes = sorted(answer.code for answer in answers)
        assert codes == [1000] + [2001] * 5
        assert CredentialsToken.objects.filter(revoked_at=None, expires_at=None).count() == 1

    def test_two_platforms_claim_one_party_at_once(self, yardgate, partner):
        """CRD-08: both were invited for it; one has it afterwards."""
        with Partner("Impostor", "NL", "EMS") as other:
            both = [(each, invite(each)) for each in (partner, other)]
            for each, _ in both:
                each.fail("slow", seconds=0.2)
            with ThreadPoolExecutor(2) as pool:
                answers = list(
                    pool.map(lambda pair: pair[0].register(f"{yardgate}/ocpi/versions", pair[1]), both)
                )
            assert sorted(answer.code for answer in answers) == [1000, 2001]
            assert Party.objects.exclude(platform=None).count() == 1
