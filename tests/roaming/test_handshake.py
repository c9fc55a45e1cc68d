"""The Credentials module when we go to partners (CRD-28 to CRD-36), and what operators do with a connection."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from demo.http import authorization
from demo.partner import Partner
from roaming import own
from roaming.handshake import (
    HandshakeError,
    announce_changes,
    announce_due_changes,
    invite_platform,
    register_with,
    resume_platform,
    rotate_credentials,
    suspend_platform,
    unregister,
)
from roaming.models import CredentialsToken, Obligation, Party, Platform
from roaming.secrets import read_outbound_token
from roaming.tasks import announce_changes as announce_task
from tests.factories import OwnPartyFactory
from tests.partner_platform import connect
from tests.roaming.deliveries import owe_bay, owe_cdr
from tests.roaming.support import snapshot

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(settings):
    settings.OUTBOUND_TIMEOUT_SECONDS = 2


def register(partner, token_a=None, **how):
    return register_with(
        versions_url=partner.versions_url,
        token_a=token_a or partner.invite(),
        name=partner.name,
        now=timezone.now(),
        **how,
    )


def refused(act):
    """Run what must be refused; return the text, after checking that nothing changed."""
    before = snapshot()
    with pytest.raises(HandshakeError) as refusal:
        act()
    assert snapshot() == before
    return str(refusal.value)


def ask(url, token):
    return Partner().call("GET", url, token=token).http_status


def steps(partner):
    return [(str(each), each.token) for each in partner.requests]


class TestRegistration:
    def test_the_whole_order(self, yardgate, partner):
        """CRD-28, CRD-30, CRD-31, CRD-03: versions and details with A, POST with our B; the partner calls back with B
        before it answers, and afterwards only C is used."""
        token_a = partner.invite()
        platform = register(partner, token_a)
        base = "/ocpi/emsp"
        assert steps(partner) == [
            (f"GET {base}/versions", token_a),
            (f"GET {base}/2.2.1", token_a),
            (f"POST {base}/2.2.1/credentials", token_a),
        ]
        posted = partner.requests[2].json
        assert (posted["url"], [each["party_id"] for each in posted["roles"]]) == (
            f"{yardgate}/ocpi/versions", ["YRD"]
        )  # fmt: skip
        assert [(answer.http_status, answer.code) for answer in partner.callbacks] == [(200, 1000)] * 2
        assert posted["token"] == partner.token
        assert platform.status == Platform.Status.CONNECTED
        assert {read_outbound_token(platform)} == partner.accepted
        rotate_credentials(platform=platform, now=timezone.now())
        assert token_a not in {token for _, token in steps(partner)[3:]}

    def test_the_partner_can_work_with_b_afterwards(self, yardgate, partner):
        """CRD-30: what opened our versions during the handshake opens everything after it."""
        register(partner)
        for path in ("/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials"):
            assert ask(yardgate + path, partner.token) == 200

    def test_b_opens_versions_only_until_the_answer(self, yardgate, partner):
        """CRD-30, T6: a token that is still in the air opens no data."""
        seen = []
        answered = partner._credentials_reply

        def reply(received):
            token_b = received.json["token"]
            paths = ("/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials")
            seen.extend(ask(yardgate + path, token_b) for path in paths)
            return answered(received)

        partner._credentials_reply = reply
        register(partner)
        assert seen == [200, 200, 401]

    def test_what_is_agreed_from_then_on(self, yardgate, partner):
        """T13, T15: other roles and hosts need an operator."""
        platform = register(partner)
        assert platform.allowed_roles == [["EMSP", "NL", "EMS"]]
        assert platform.approved_hosts == [f"127.0.0.1:{partner.port}"]
        partner.credentials_override["roles"] = [partner.credentials_role | {"party_id": "FRE"}]
        assert partner.rotate().code == 2001

    @pytest.mark.parametrize("status", [200, 201])
    def test_http_200_and_201_are_success(self, yardgate, partner, status):
        """CRD-32."""
        answered = partner._credentials_reply

        def reply(received):
            answer = answered(received)
            answer.http_status = status
            return answer

        partner._credentials_reply = reply
        assert register(partner).status == "CONNECTED"

    def test_odd_slashes(self, yardgate, partner):
        """HTP-09: a partner that ends its URLs with a slash."""
        partner.ends_urls_with_slash = True
        platform = register(partner)
        rotate_credentials(platform=platform, now=timezone.now())
        assert not any("//" in each.path for each in partner.requests)

    def test_an_invited_partner_may_be_registered_with(self, yardgate, partner):
        """The platform of that name is used; the token A that it never used is over."""
        now = timezone.now()
        token_a = invite_platform(name=partner.name, roles=[("EMSP", "NL", "EMS")], now=now).token_a
        register(partner)
        assert Platform.objects.count() == 1
        assert ask(f"{yardgate}/ocpi/versions", token_a) == 401


# Each is (how the partner fails, how many calls it sees).
FAILURES = {
    "CRD-28 versions fail": (lambda p: p.fail("http", on="/versions", status=500), 1),
    "CRD-28 token A is wrong": (lambda p: p.accepted.clear(), 1),
    "CRD-28 details fail": (lambda p: p.fail("bad_json", on="GET /ocpi/emsp/2.2.1"), 2),
    "VER-11 only 2.1.1": (lambda p: p.versions.__setitem__(0, "2.1.1"), 1),
    "CRD-29 no tokens endpoint": (lambda p: p.offered.remove(("tokens", "SENDER")), 2),
    "CRD-29 no credentials endpoint": (lambda p: p.offered.remove(("credentials", "SENDER")), 2),
    "CRD-32 2000": (lambda p: p.fail("code", on="POST", status=2000), 3),
    "CRD-32 3001": (lambda p: p.fail("code", on="POST", status=3001), 3),
    "CRD-32 3003": (lambda p: p.fail("code", on="POST", status=3003), 3),
    "CRD-32 405": (lambda p: p.fail("http", on="POST", status=405), 3),
    "CRD-32 500": (lambda p: p.fail("http", on="POST", status=500), 3),
    "CRD-32 timeout": (lambda p: p.fail("slow", on="POST", seconds=2.5), 3),
    "CRD-32 the answer is lost": (lambda p: p.fail("drop_after_storing", on="POST"), 3),
    "CRD-32 the answer is no JSON": (lambda p: p.fail("html", on="POST"), 3),
    "O4 redirect": (lambda p: p.fail("redirect", on="POST", target="http://169.254.169.254/"), 3),
    "CRD-02 their token is none": (lambda p: p.credentials_override.update(token="t" * 65), 3),
    "CRD-04 they have no roles": (lambda p: p.credentials_override.update(roles=[]), 3),
}
# Success that we cannot accept: we take our registration back with a DELETE.
UNACCEPTABLE = {
    "T15 their URL is elsewhere": lambda p: p.credentials_override.update(url="http://evil.example/versions"),
    "CRD-08 they claim our own party": lambda p: p.credentials_override.update(
        roles=[
            {"role": "CPO", "country_code": "be", "party_id": "yrd", "business_details": {"name": "Impostor"}}
        ]
    ),
    "CRD-08 they claim another platform's party": lambda p: setattr(p, "party_id", "FRE"),
}


class TestFailedRegistration:
    @pytest.mark.parametrize("fault", FAILURES)
    def test_nothing_is_kept(self, yardgate, partner, fault):
        """CRD-28, CRD-29, CRD-32: reported, no row left, B is dead; it works once all is repaired."""
        spoil, calls = FAILURES[fault]
        token_a = partner.invite()
        spoil(partner)
        refused(lambda: register(partner, token_a))
        partner.wait_until(lambda: len(partner.requests) >= calls, 3)
        assert len(partner.requests) == calls
        posted = [each.json["token"] for each in partner.received("POST") if each.body]
        assert [ask(f"{yardgate}/ocpi/versions", token_b) for token_b in posted] == [401] * len(posted)
        healed = Partner(partner.name, port=partner.port)
        partner.stop()
        with healed:
            assert register(healed).status == "CONNECTED"

    @pytest.mark.parametrize("fault", UNACCEPTABLE)
    def test_a_success_that_we_cannot_accept_is_taken_back(self, yardgate, partner, fault):
        """CRD-08, CRD-32, T15: so that both sides agree that there is no connection."""
        with Partner("Freie Fahrt", "NL", "FRE") as other:
            connect(other, yardgate)
        UNACCEPTABLE[fault](partner)
        refused(lambda: register(partner))
        assert str(partner.requests[-1]) == "DELETE /ocpi/emsp/2.2.1/credentials"
        assert (partner.accepted, partner.token) == (set(), "")

    @pytest.mark.parametrize(
        "url",
        [
            "http://169.254.169.254/versions",
            "http://localhost.:{port}/ocpi/emsp/versions",
            "http://[::ffff:7f00:1]:{port}/",
        ],
    )
    def test_addresses_inside_are_not_called(self, yardgate, partner, settings, url):
        """O1."""
        settings.OUTBOUND_ALLOW_PRIVATE = False
        address = url.format(port=partner.port)
        refused(lambda: register_with(versions_url=address, token_a="A", name="Inside", now=timezone.now()))
        assert partner.requests == []

    def test_hosts_agreed_beforehand(self, yardgate, partner):
        """O3: an operator may name the hosts; a versions URL elsewhere is not called."""
        refused(lambda: register(partner, approved_hosts=["ocpi.randstad.example"]))
        assert partner.requests == []

    def test_a_connected_platform_is_not_registered_again(self, yardgate, partner):
        register(partner)
        partner.forget()
        assert "CONNECTED: unregister it first" in refused(lambda: register(partner))
        assert "POST" not in {each.method for each in partner.requests}

    def test_without_a_party_of_ours(self, yardgate, partner):
        """CRD-04: our object needs a role."""
        Party.objects.all().delete()
        before = snapshot()
        with pytest.raises(Exception, match="no party yet"):
            register(partner)
        assert (snapshot(), partner.received("POST")) == (before, [])

    def test_an_invitation_at_the_same_time_wins(self, yardgate, partner):
        """CRD-27: what an operator decided meanwhile is not overwritten; the partner is told to forget us."""
        invited = []
        answered = partner._credentials_reply

        def invite_meanwhile(received):
            if received.method == "POST":
                now = timezone.now()
                invited.append(invite_platform(name=partner.name, roles=[("EMSP", "NL", "EMS")], now=now))
                connection.close()
            return answered(received)

        partner._credentials_reply = invite_meanwhile
        with pytest.raises(HandshakeError, match="3001"):
            register(partner)
        assert Platform.objects.get().status == "INVITED"
        assert ask(f"{yardgate}/ocpi/versions", invited[0].token_a) == 200

    def test_a_handshake_that_was_cut_off(self, yardgate, partner):
        """CRD-32: a crash leaves a token that opens versions, and that for minutes only."""
        dead = threading.Event()
        answered = partner._credentials_reply

        def die(received):
            row = CredentialsToken.objects.get()
            # This thread belongs to the partner, and so nobody else closes what it opened.
            connection.close()
            if timedelta() < row.expires_at - timezone.now() < timedelta(minutes=6):
                dead.set()
            return answered(received)

        partner._credentials_reply = die
        register(partner)
        assert dead.is_set()


class TestRotation:
    def test_both_tokens_change(self, yardgate, partner):
        """CRD-33, CRD-34: the announced token opens our versions before the answer; then the old pair is over."""
        platform = connect(partner, yardgate)
        former, ours = partner.token, read_outbound_token(platform)
        partner.forget()
        partner.callbacks.clear()
        rotate_credentials(platform=platform, now=timezone.now())
        assert steps(partner) == [("PUT /ocpi/emsp/2.2.1/credentials", ours)]
        assert [(answer.http_status, answer.code) for answer in partner.callbacks] == [(200, 1000)] * 2
        assert read_outbound_token(platform) != ours
        assert [ask(f"{yardgate}/ocpi/versions", token) for token in (former, partner.token)] == [401, 200]
        rotate_credentials(platform=platform, now=timezone.now())

    @pytest.mark.parametrize("kind", [name for name in FAILURES if "CRD-32" in name or "CRD-0" in name])
    def test_failure_keeps_the_old_pair(self, yardgate, partner, kind):
        """CRD-33, DIS-09: the announced token is dead, the old ones work."""
        platform = connect(partner, yardgate)
        former = partner.token
        FAILURES[kind][0](partner)
        for fault in partner.faults:
            fault.on = "PUT"
        refused(lambda: rotate_credentials(platform=platform, now=timezone.now()))
        assert ask(f"{yardgate}/ocpi/2.2.1/credentials", former) == 200
        assert CredentialsToken.objects.filter(revoked_at=None).count() == 1

    def test_a_partner_that_is_down(self, yardgate, partner):
        platform = connect(partner, yardgate)
        partner.stop()
        assert "(refused)" in refused(lambda: rotate_credentials(platform=platform, now=timezone.now()))

    def test_an_answer_that_goes_beyond_what_was_agreed(self, yardgate, partner, caplog):
        """T13, T15: the new tokens count, other roles and hosts do not."""
        platform = connect(partner, yardgate)
        partner.credentials_override = {
            "url": "http://evil.example/versions", "roles": [partner.credentials_role | {"party_id": "FRE"}]
        }  # fmt: skip
        rotate_credentials(platform=platform, now=timezone.now())
        assert {read_outbound_token(platform)} == partner.accepted
        assert (platform.versions_url, platform.parties.get().party_id) == (partner.versions_url, "EMS")
        assert "handshake.change_not_agreed" in caplog.text

    def test_who_is_not_connected_has_nothing_to_rotate(self, yardgate):
        platform = invite_platform(name="Taxi", roles=[("EMSP", "NL", "EMS")], now=timezone.now()).platform
        refused(lambda: rotate_credentials(platform=platform, now=timezone.now()))


class TestAnnouncement:
    def test_partners_are_told_what_changed(self, yardgate, partner, settings):
        """CRD-35: another endpoint, another party: a PUT to each that knows us otherwise, and no second one."""
        connect(partner, yardgate)
        partner.forget()
        assert announce_changes(now=timezone.now()) == {}
        settings.OCPI_INTERFACES = dict(list(settings.OCPI_INTERFACES.items())[:-1])
        assert announce_changes(now=timezone.now()) == {"Randstad Taxi": "told"}
        assert [each.method for each in partner.requests] == ["PUT"]
        assert announce_changes(now=timezone.now()) == {}
        OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
        assert announce_changes(now=timezone.now()) == {"Randstad Taxi": "told"}
        assert [each["party_id"] for each in partner.registered["roles"]] == ["YR2", "YRD"]

    def test_one_that_fails_is_told_later(self, yardgate, partner):
        """CRD-35, HTP-14."""
        with Partner("Freie Fahrt", "DE", "FRE") as other:
            for each in (partner, other):
                connect(each, yardgate)
            OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
            partner.fail("code", on="PUT", status=3000, times=1)
            outcomes = announce_changes(now=timezone.now())
            assert outcomes["Freie Fahrt"] == "told"
            assert outcomes["Randstad Taxi"].startswith("the partner refused our credentials: HTTP 200, 3000")
            assert announce_changes(now=timezone.now()) == {"Randstad Taxi": "told"}

    def test_the_timetable_tells_each_partner_in_the_course_of_an_hour(self, yardgate, partner):
        """CRD-35, PAG-14 in spirit: not all at once, once when all went well, and only when something has changed."""
        platform = connect(partner, yardgate)
        partner.forget()
        now = timezone.now()
        assert announce_due_changes(now=now) == {}
        OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
        assert announce_due_changes(now=now) == {}
        platform.refresh_from_db()
        due = platform.announce_after
        assert now <= due <= now + timedelta(hours=1)
        assert announce_due_changes(now=due - timedelta(seconds=1)) == {}
        assert partner.requests == []
        assert announce_due_changes(now=due) == {"Randstad Taxi": "told"}
        assert [each.method for each in partner.requests] == ["PUT"]
        assert announce_due_changes(now=due + timedelta(hours=5)) == {}
        platform.refresh_from_db()
        assert platform.announce_after is None

    def test_a_partner_that_fails_is_told_again_an_hour_later_and_not_before(self, yardgate, partner):
        """CRD-35, HTP-14: no hammering."""
        platform = connect(partner, yardgate)
        partner.forget()
        OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
        now = timezone.now()
        announce_due_changes(now=now)
        due = now + timedelta(hours=1)
        partner.fail("code", on="PUT", status=3000, times=1)
        (outcome,) = announce_due_changes(now=due).values()
        assert outcome.startswith("the partner refused our credentials")
        for minutes in (1, 30, 59):
            assert announce_due_changes(now=due + timedelta(minutes=minutes)) == {}
        platform.refresh_from_db()
        assert due + timedelta(hours=1) <= platform.announce_after <= due + timedelta(minutes=72)
        assert announce_due_changes(now=platform.announce_after) == {"Randstad Taxi": "told"}

    def test_the_task_is_the_same_by_the_clock(self, yardgate, partner):
        connect(partner, yardgate)
        OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
        announce_task()
        Platform.objects.update(announce_after=timezone.now())
        announce_task()
        assert [each["party_id"] for each in partner.registered["roles"]] == ["YR2", "YRD"]

    def test_the_announcement_is_stable(self, yardgate):
        assert own.announcement() == own.announcement()


class TestEnd:
    def test_unregistering(self, yardgate, partner):
        """CRD-36: DELETE with the current token; afterwards theirs is dead here."""
        platform = connect(partner, yardgate)
        ours, theirs = read_outbound_token(platform), partner.token
        partner.forget()
        unregister(platform=platform, now=timezone.now())
        assert steps(partner) == [("DELETE /ocpi/emsp/2.2.1/credentials", ours)]
        assert ask(f"{yardgate}/ocpi/versions", theirs) == 401
        platform.refresh_from_db()
        assert platform.status == "UNREGISTERED"

    @pytest.mark.parametrize("status", [401, 404, 405])
    def test_a_partner_that_knows_us_no_more(self, yardgate, partner, status):
        """DIS-08: counts as told."""
        platform = connect(partner, yardgate)
        partner.fail("http", on="DELETE", status=status)
        unregister(platform=platform, now=timezone.now())
        platform.refresh_from_db()
        assert platform.status == "UNREGISTERED"

    @pytest.mark.parametrize(
        ("kind", "how"), [("code", {"status": 3000}), ("drop", {}), ("http", {"status": 500})]
    )
    def test_a_partner_that_cannot_be_told(self, yardgate, partner, kind, how):
        """CRD-36: nothing changes; the operator decides."""
        platform = connect(partner, yardgate)
        partner.fail(kind, on="DELETE", **how)
        refused(lambda: unregister(platform=platform, now=timezone.now()))
        assert ask(f"{yardgate}/ocpi/versions", partner.token) == 200

    def test_an_invitation_is_withdrawn(self, yardgate):
        invitation = invite_platform(name="Taxi", roles=[("EMSP", "NL", "EMS")], now=timezone.now())
        unregister(platform=invitation.platform, now=timezone.now())
        assert ask(f"{yardgate}/ocpi/versions", invitation.token_a) == 401

    def test_registering_again(self, yardgate, partner):
        """CRD-26."""
        first = register(partner)
        unregister(platform=first, now=timezone.now())
        assert register(partner).pk == first.pk


class TestSuspension:
    def test_out_and_in_again(self, yardgate, partner):
        """T19: at once, with the tokens it had."""
        platform = connect(partner, yardgate)
        suspend_platform(platform=platform, now=timezone.now())
        assert ask(f"{yardgate}/ocpi/versions", partner.token) == 401
        assert resume_platform(platform=platform, now=timezone.now()) == 0
        assert ask(f"{yardgate}/ocpi/versions", partner.token) == 200

    def test_who_comes_back_is_sent_every_state_that_it_knew_as_a_whole(self, yardgate, partner):
        """SYN-02, T19: changes were not owed meanwhile; a sealed thing and another partner are left alone."""
        platform = connect(partner, yardgate)
        party = platform.parties.get()
        with Partner("Freie Fahrt", "DE", "FRE") as other:
            stranger = connect(other, yardgate).parties.get()
            for each in (party, stranger):
                owe_bay(each, f"B-{each.party_id}", "CHARGING")
            owe_cdr(party, "CDR-1")
            Obligation.objects.update(state="ACKED", confirmed_version=1, force_put=False)
            suspend_platform(platform=platform, now=timezone.now())
            owe_bay(party, "B-EMS", "AVAILABLE")
            assert not Obligation.objects.filter(state="PENDING").exists()
            assert resume_platform(platform=platform, now=timezone.now()) == 1
        (row,) = Obligation.objects.filter(state="PENDING")
        assert (row.object_key, row.force_put, row.wanted_version) == ("B-EMS", True, 2)

    def test_only_what_fits(self, yardgate, partner):
        platform = connect(partner, yardgate)
        assert "is CONNECTED, not SUSPENDED" in refused(
            lambda: resume_platform(platform=platform, now=timezone.now())
        )
        suspend_platform(platform=platform, now=timezone.now())
        assert "is SUSPENDED, not CONNECTED" in refused(
            lambda: suspend_platform(platform=platform, now=timezone.now())
        )
        assert "unregister it first" in refused(
            lambda: invite_platform(name=platform.name, roles=[("EMSP", "NL", "EMS")], now=timezone.now())
        )

    def test_a_suspended_partner_can_be_left(self, yardgate, partner):
        platform = connect(partner, yardgate)
        suspend_platform(platform=platform, now=timezone.now())
        unregister(platform=platform, now=timezone.now())
        assert partner.requests[-1].method == "DELETE"


def test_no_token_is_written_to_a_log(yardgate, partner, caplog):
    """T21: neither side's, in no form."""
    caplog.set_level("DEBUG")
    platform = connect(partner, yardgate)
    tokens = {partner.token, *partner.accepted}
    rotate_credentials(platform=platform, now=timezone.now())
    tokens |= {partner.token, *partner.accepted}
    partner.fail("code", on="PUT", status=2001)
    with pytest.raises(HandshakeError):
        rotate_credentials(platform=platform, now=timezone.now())
    ours = "\n".join(
        record.getMessage() for record in caplog.records if record.name.split(".")[0] in ("roaming", "ocpi")
    )
    assert ours.count("handshake.") >= 3
    assert not [token for token in tokens if token in ours or authorization(token) in ours]
