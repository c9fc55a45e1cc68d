"""Who is calling: the Authorization header, kinds of tokens, parties, and what a call may cost."""

import base64
import re
import statistics
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ocpi.headers import authorization
from roaming import rawsql
from roaming.auth import LAST_USED_PRECISION, Caller
from roaming.models import CredentialsToken, Party, Platform
from roaming.secrets import hash_token, new_token
from tests.factories import OwnPartyFactory, PartyFactory, connect
from tests.ocpi import probe

LIST = "/ocpi/2.2.1/sender/tariffs"
VERSIONS, DETAILS, CREDENTIALS = "/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials"
TOKEN = "example-token"
Kind = CredentialsToken.Kind

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ours(settings):
    settings.ROOT_URLCONF = "tests.ocpi.probe"
    OwnPartyFactory()


@pytest.fixture
def party():
    """NL-EMS on its platform, which calls us with `example-token`."""
    found = PartyFactory(country_code="NL", party_id="EMS")
    connect(found, token=TOKEN)
    return found


@pytest.fixture
def seen(monkeypatch):
    """The callers that the list view was called by."""
    callers: list[Caller] = []
    answered = probe.ListView.page

    def page(self, caller, query, now):
        callers.append(caller)
        return answered(self, caller, query, now)

    monkeypatch.setattr(probe.ListView, "page", page)
    return callers


def ask(path=LIST, value=authorization(TOKEN), method="GET", address="198.51.100.7", **headers):
    sent = {} if value is None else {"Authorization": value}
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    client = Client(raise_request_exception=False, REMOTE_ADDR=address)
    return client.generic(method, path, b"", headers=sent | given)


def without_time(response):
    return response.status_code, re.sub(rb'"timestamp":"[^"]+"', b"", response.content)


def issue(platform, kind, token, **fields):
    return CredentialsToken.objects.create(platform=platform, kind=kind, hash=hash_token(token), **fields)


class TestHeader:
    @pytest.mark.parametrize(
        "value",
        [
            authorization(TOKEN),
            "token ZXhhbXBsZS10b2tlbg==",
            "TOKEN ZXhhbXBsZS10b2tlbg==",
            "Token ZXhhbXBsZS10b2tlbgo=",
        ],
    )
    def test_forms_that_are_read(self, party, value):
        """AUT-01, AUT-03, AUT-09: the scheme in any case; the line feed of the specification's own sample."""
        assert ask(value=value).status_code == 200

    @pytest.mark.parametrize(
        "value",
        [
            None, "", " ", "Token", "Token ", "Bearer ZXhhbXBsZS10b2tlbg==", "Basic ZXhhbXBsZS10b2tlbg==",
            "ZXhhbXBsZS10b2tlbg==", "Token  ZXhhbXBsZS10b2tlbg==", "Token\tZXhhbXBsZS10b2tlbg==", "Token example-token",
            "Token ZXhhbXBsZS10b2tlbg", "Token ZXhhbXBsZS10b2tlbg=", "Token ZXhhbXBsZS10b2tlbg== x",
            "Token " + base64.b64encode(b"ZXhhbXBsZS10b2tlbg==").decode(), "Token " + base64.b64encode(b"\xff\xfe").decode(),
            "Token " + base64.b64encode(b"example-token\x00").decode(), "Token " + base64.b64encode(b" example-token").decode(),
            "Token ZXhhbXBsZS10b2tlbg==, Token ZXhhbXBsZS10b2tlbg==", "Token \u00e9\u00e9\u00e9\u00e9", "Token " + "A" * 10_000,
            "Token " + base64.b64encode(b"Example-token").decode(), "Token " + base64.b64encode(b"example-tokem").decode(),
        ],
    )  # fmt: skip
    def test_everything_else_is_a_401(self, party, value):
        """AUT-05, AUT-06, AUT-09, T1 to T3: one answer, byte for byte, with WWW-Authenticate; never a 5xx."""
        response = ask(value=value)
        assert without_time(response) == without_time(
            ask(value="Token " + base64.b64encode(b"wrong").decode())
        )
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Token")
        assert b'"status_code":2000' in response.content
        assert party.platform.inbound_tokens.get().last_used_at is None

    @pytest.mark.parametrize(
        "path", [LIST, f"{LIST}/T01", "/ocpi/2.2.1/receiver/tokens/NL/EMS/X", VERSIONS, DETAILS, CREDENTIALS]
    )
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "BREW"])
    def test_every_endpoint_refuses_strangers(self, party, path, method):
        """AUT-05, B7: also a method that does not exist, or words in the query that look harmless."""
        for suffix in ("", "/", "?x=/ocpi/versions", "?credentials"):
            assert ask(path + suffix, None, method).status_code == 401

    def test_raw_tokens_are_a_matter_of_the_partner(self, party):
        """AUT-04, T2: per connection, off by default; Base64 is still understood when it is on."""
        assert ask(value="Token example-token").status_code == 401
        Platform.objects.update(accept_raw_token=True)
        assert ask(value="Token example-token").status_code == 200
        assert ask().status_code == 200

    def test_raw_is_not_tried_for_everyone(self, party):
        """T2: one partner's switch opens nothing for another."""
        other = PartyFactory(country_code="DE", party_id="FRE", platform__accept_raw_token=True)
        connect(other, token="token-of-freie-fahrt")
        assert ask(value="Token example-token").status_code == 401
        assert ask(value="Token token-of-freie-fahrt").status_code == 200

    def test_damaged_and_wrong_take_the_same_path(self, party):
        """R401, T5: one look-up by keyed hash, whatever is wrong."""
        for value in (None, "Token !", "Token " + base64.b64encode(b"wrong").decode()):
            with CaptureQueriesContext(connection) as queries:
                ask(value=value)
            assert len(queries) == 1

    def test_time_tells_nothing_about_a_token(self, party):
        """T5: a token that begins like the right one is refused no slower than any other."""

        def seconds(token, number):
            begun = time.perf_counter()
            ask(value=authorization(token), address=f"198.51.100.{number}")
            return time.perf_counter() - begun

        # In turns, so that a machine that is busy for a while is busy for both.
        pairs = [(seconds("example-tokem", each), seconds("zzzzzzzzzzzzz", each)) for each in range(100)]
        assert abs(statistics.median(near - far for near, far in pairs)) < 0.005


class TestKinds:
    @pytest.mark.parametrize(
        ("kind", "opened"),
        [(Kind.REGISTRATION, [VERSIONS, DETAILS, CREDENTIALS]), (Kind.CALLBACK, [VERSIONS, DETAILS])],
    )
    def test_tokens_of_a_handshake(self, party, kind, opened):
        """AUT-07, CRD-30, T6: A opens versions and credentials, B versions only."""
        token = new_token()
        issue(party.platform, kind, token)
        for path in (VERSIONS, DETAILS, CREDENTIALS, LIST, "/ocpi/2.2.1/receiver/tokens/NL/EMS/X"):
            expected = 200 if path in opened else 401
            assert ask(path, authorization(token)).status_code == expected, path

    def test_tokens_that_are_over(self, party):
        """CRD-12, T7: revoked and expired ones open nothing."""
        now = timezone.now()
        issue(party.platform, Kind.SESSION, "revoked", revoked_at=now)
        issue(party.platform, Kind.SESSION, "expired", expires_at=now - timedelta(seconds=1))
        issue(party.platform, Kind.SESSION, "in-grace", expires_at=now + timedelta(minutes=1))
        answers = [
            ask(value=authorization(token)).status_code for token in ("revoked", "expired", "in-grace")
        ]
        assert answers == [401, 401, 200]

    def test_suspended_platforms(self, party):
        """T19: from one call to the next."""
        assert ask().status_code == 200
        Platform.objects.update(status=Platform.Status.SUSPENDED)
        assert [ask(path).status_code for path in (LIST, VERSIONS, CREDENTIALS)] == [401] * 3
        Platform.objects.update(status=Platform.Status.CONNECTED)
        assert ask().status_code == 200

    def test_a_token_of_ours_for_them_opens_nothing(self, party):
        """T9: what we present to a partner is no key here."""
        assert ask(value=authorization("token-for-NL-EMS")).status_code == 401

    def test_one_token_one_platform(self, party, seen):
        """AUT-08."""
        other = PartyFactory(country_code="DE", party_id="FRE")
        connect(other, token="token-of-freie-fahrt")
        ask()
        ask(value=authorization("token-of-freie-fahrt"))
        assert [caller.platform for caller in seen] == [party.platform, other.platform]
        assert [caller.parties for caller in seen] == [(party,), (other,)]


class TestParties:
    def second(self, party, **fields):
        return PartyFactory(
            platform=party.platform, country_code="BE", party_id="EMS", name="Taxi Gent", **fields
        )

    def test_one_party_on_each_side_needs_no_headers(self, party, seen):
        """HUB-04, B5."""
        assert ask().status_code == 200
        assert (seen[0].party, seen[0].own_party.ocpi_id) == (party, ("BE", "YRD"))
        assert (seen[0].token, seen[0].token_kind) == (TOKEN, "C")

    def test_headers_in_any_case(self, party, seen):
        """HUB-07, HTP-11."""
        headers = {
            "ocpi-TO-Party-Id": "yrd", "OCPI-to-country-code": "be", "ocpi-from-party-id": "Ems",
            "OCPI-FROM-COUNTRY-CODE": "nl",
        }  # fmt: skip
        assert ask(**headers).status_code == 200
        assert seen[0].party == party

    def test_the_acting_party_must_be_named_where_there_are_several(self, party, seen):
        """B5, HUB-09: 2001 without, the named one with it."""
        second = self.second(party)
        response = ask()
        assert (response.status_code, b'"status_code":2001' in response.content) == (200, True)
        assert ask(**{"OCPI-from-party-id": "EMS", "OCPI-from-country-code": "BE"}).status_code == 200
        assert [(caller.party, caller.parties) for caller in seen] == [(second, (second, party))]

    def test_two_roles_of_one_party_are_one_party(self, party, seen):
        """CRD-05."""
        PartyFactory(platform=party.platform, country_code="NL", party_id="EMS", role="NSP")
        assert ask().status_code == 200
        assert seen[0].party == party

    def test_given_up_parties_do_not_act(self, party, seen):
        self.second(party, is_active=False)
        assert ask().status_code == 200
        assert ask(**{"OCPI-from-party-id": "EMS", "OCPI-from-country-code": "BE"}).status_code == 401
        assert [caller.parties for caller in seen] == [(party,)]

    @pytest.mark.parametrize("sender", [("DE", "XXX"), ("NL", "EM2"), ("BE", "YRD")])
    def test_nobody_acts_for_others(self, party, seen, sender):
        """HUB-09, B4: not a party of this platform: 401, no effect; also when it is ours."""
        headers = {"OCPI-from-country-code": sender[0], "OCPI-from-party-id": sender[1]}
        assert ask(**headers).status_code == 401
        assert seen == []

    @pytest.mark.parametrize("target", [("ZZ", "ZZZ"), ("NL", "EMS")])
    def test_parties_that_are_not_ours(self, party, seen, target):
        """HUB-05: 2001, nothing is read."""
        response = ask(**{"OCPI-to-country-code": target[0], "OCPI-to-party-id": target[1]})
        assert (response.status_code, b'"status_code":2001' in response.content) == (200, True)
        assert seen == []

    def test_the_addressed_party_must_be_named_where_there_are_several(self, party, seen):
        """HUB-06: no answer is for the whole platform."""
        OwnPartyFactory(party_id="YR2", name="Yardgate Brussels")
        assert b'"status_code":2001' in ask().content
        assert ask(**{"OCPI-to-country-code": "BE", "OCPI-to-party-id": "YR2"}).status_code == 200
        assert [caller.own_party.party_id for caller in seen] == ["YR2"]

    @pytest.mark.parametrize(
        "headers",
        [
            {"OCPI-to-party-id": "YRD"},
            {"OCPI-from-country-code": "NL"},
            {"OCPI-from-country-code": "NLD", "OCPI-from-party-id": "EMS"},
            {"OCPI-from-country-code": "N\u2160", "OCPI-from-party-id": "EMS"},
        ],
    )
    def test_damaged_headers(self, party, seen, headers):
        """HUB-08: half a pair is 2001, not a guess."""
        response = ask(**headers)
        assert (response.status_code, b'"status_code":2001' in response.content) == (200, True)
        assert seen == []

    def test_configuration_modules_ignore_them(self, party):
        """VER-13, HUB-54: stray headers, and none at all where there are several parties."""
        self.second(party)
        assert ask(VERSIONS).status_code == 200
        assert ask(CREDENTIALS, **{"OCPI-to-party-id": "ZZZ", "OCPI-from-party-id": "ZZZ"}).status_code == 200

    def test_an_installation_without_a_party_says_so(self, party):
        """STS-06: a foreseen fault of ours."""
        Party.objects.filter(platform=None).delete()
        assert b'"status_code":3000' in ask().content


class TestUse:
    def test_use_is_noted_once_a_minute(self, party):
        """A read stays a read: one statement, and three more once a minute."""
        counts = []
        for _ in range(3):
            with CaptureQueriesContext(connection) as queries:
                ask()
            counts.append(len(queries))
        assert counts == [4, 1, 1]
        token = party.platform.inbound_tokens.get()
        party.platform.refresh_from_db()
        assert token.last_used_at == party.platform.last_seen_at
        CredentialsToken.objects.update(last_used_at=token.last_used_at - LAST_USED_PRECISION)
        ask()
        assert party.platform.inbound_tokens.get().last_used_at > token.last_used_at

    def test_the_first_use_of_a_newer_token_ends_the_grace_of_the_older(self, party):
        """T16: until then both are valid."""
        old = party.platform.inbound_tokens.get()
        old.expires_at = timezone.now() + timedelta(hours=1)
        old.save()
        issue(party.platform, Kind.SESSION, "newer")
        assert ask().status_code == 200
        assert ask(value=authorization("newer")).status_code == 200
        assert [ask().status_code, ask(value=authorization("newer")).status_code] == [401, 200]

    def test_views_get_all_they_need(self, party, seen):
        """Fields that the one query left out are loaded when asked for."""
        ask()
        assert seen[0].platform.name == party.platform.name
        assert seen[0].platform.on_ambiguous == "resend"
        assert seen[0].platform.approved_hosts == party.platform.approved_hosts


@pytest.mark.django_db(transaction=True)
def test_a_pooler_may_hand_us_another_server(party):
    """The statement that was prepared is gone: the call is answered all the same."""
    assert ask().status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert [ask().status_code, ask(value=authorization("wrong")).status_code] == [200, 401]
    # What else was prepared on this connection is gone as well: later tests must not count on it.
    rawsql._prepared.clear()


def test_no_token_is_kept_in_the_clear(party):
    """T20, T21, S4: neither of theirs nor of ours is in any column of the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT row(t.*)::text FROM roaming_credentialstoken t")
        rows = str(cursor.fetchall())
        cursor.execute("SELECT row(p.*)::text FROM roaming_platform p")
        rows += str(cursor.fetchall())
    for secret in (TOKEN, "token-for-NL-EMS"):
        assert secret not in rows
        assert secret.encode().hex() not in rows
