"""Real-time authorization over a real socket: what is asked, and what each kind of answer means."""

import time
from typing import Any

import pytest

from demo.http import Reply
from demo.partner import Partner
from ocpi import v221
from roaming.models import Endpoint, Party
from tests.factories import MORNING, OwnPartyFactory
from tokens.authorization import UNKNOWN_TOKEN, RealtimeAnswer, authorize_realtime
from tokens.models import Token
from tokens.whitelist import UNREACHABLE

HERE = v221.LocationReferences(location_id="GENT-NOORD-GUEST", evse_uids=("UID-1", "UID-2"))


def ask(
    party: Party,
    uid: str = "04A1",
    *,
    type: v221.TokenType = v221.TokenType.RFID,
    location: v221.LocationReferences | None = HERE,
) -> RealtimeAnswer:
    return authorize_realtime(
        own_party=OwnPartyFactory(),
        party=party,
        token_uid=uid,
        token_type=type,
        location=location,
        now=MORNING,
    )


def answering(randstad: Partner, **reply: Any) -> None:
    """Let the partner answer each question with this reply."""
    tokens = randstad.store._tokens

    def answer(received, segments, partner):
        return Reply(**reply) if received.method == "POST" else tokens(received, segments, partner)

    randstad.store._tokens = answer


def test_an_allowed_token_comes_with_all_that_session_and_cdr_need(party: Party, randstad: Partner) -> None:
    """TOK-15, TOK-20: the question as the chapter has it; the card need not be known here."""
    randstad.add_token("04A1", last_updated="2026-03-11T08:00:00Z")
    randstad.authorizations["04A1"] = {
        "authorization_reference": "AUTH-7",
        "info": {"language": "en", "text": "Welcome"},
        "location": {"location_id": "GENT-NOORD-GUEST", "evse_uids": ["UID-2"]},
    }
    answer = ask(party)
    token = v221.Token(
        country_code="NL",
        party_id="EMS",
        uid="04A1",
        type=v221.TokenType.RFID,
        contract_id="NL-EMS-C04A1",
        issuer="Randstad Taxi",
        valid=True,
        whitelist=v221.WhitelistType.ALWAYS,
        last_updated=MORNING,
    )
    assert answer == RealtimeAnswer(
        outcome="ALLOWED",
        token=token,
        authorization_reference="AUTH-7",
        evse_uids=("UID-2",),
        info=v221.DisplayText(language="en", text="Welcome"),
    )
    (request,) = randstad.received("POST")
    assert (request.path, request.query) == ("/ocpi/emsp/2.2.1/tokens/04A1/authorize", {})
    assert request.json == {"location_id": "GENT-NOORD-GUEST", "evse_uids": ["UID-1", "UID-2"]}
    assert request.headers["ocpi-to-party-id"] == "EMS"
    assert request.headers["ocpi-from-party-id"] == "YRD"
    assert Token.objects.count() == 0


def test_the_type_is_stated_unless_it_is_a_card(party: Party, randstad: Partner) -> None:
    """TOK-15, HTP-10: uid percent-encoded, exactly one slash at the joint (HTP-09); no body without a place."""
    Endpoint.objects.filter(module="tokens").update(url=randstad.endpoint("tokens") + "/")
    ask(party, "A B/1", type=v221.TokenType.APP_USER, location=None)
    (request,) = randstad.received("POST")
    assert request.path.endswith("/2.2.1/tokens/A%20B%2F1/authorize")
    assert (request.query, request.body) == ({"type": "APP_USER"}, b"")


@pytest.mark.parametrize("allowed", [word for word in v221.AllowedType if word != "ALLOWED"])
def test_any_other_word_than_allowed_refuses(party: Party, randstad: Partner, allowed: str) -> None:
    """TOK-16: a refusal of the driver, not an error."""
    randstad.add_token("04A1")
    randstad.authorizations["04A1"] = {"allowed": allowed}
    answer = ask(party)
    assert (answer.outcome, answer.authorization_reference, answer.evse_uids) == (allowed, None, ())


@pytest.mark.parametrize(
    "reply", [{"http_status": 404}, {"http_status": 404, "code": 2004}, {"http_status": 200, "code": 2004}]
)
def test_a_card_that_the_owner_does_not_know(party: Party, randstad: Partner, reply: dict[str, int]) -> None:
    """TOK-17, DIS-51: 404, 2004 or both."""
    answering(randstad, **reply)
    assert ask(party) == RealtimeAnswer(UNKNOWN_TOKEN)


def test_2002_is_answered_once_with_the_place(party: Party, randstad: Partner) -> None:
    """TOK-18: and never twice."""
    randstad.add_token("04A1")
    randstad.fail("code", on="/authorize", times=1, status=2002)
    assert ask(party).outcome == "ALLOWED"
    assert [request.json["location_id"] for request in randstad.received("POST")] == [HERE.location_id] * 2
    randstad.forget()
    randstad.fail("code", on="/authorize", status=2002)
    assert ask(party).outcome == "NOT_ALLOWED"
    assert len(randstad.received("POST")) == 2
    randstad.forget()
    assert ask(party, location=None).outcome == "NOT_ALLOWED"
    assert len(randstad.received("POST")) == 1


@pytest.mark.parametrize(
    ("place", "outcome"),
    [
        ({"location_id": "GENT-NOORD-GUEST"}, "ALLOWED"),
        ({"location_id": "gent-noord-guest", "evse_uids": ["uid-1"]}, "ALLOWED"),
        ({"location_id": "GENT-NOORD-GUEST", "evse_uids": ["UID-9"]}, "NOT_ALLOWED"),
        ({"location_id": "ANTWERPEN"}, "NOT_ALLOWED"),
    ],
)
def test_an_answer_for_other_bays_does_not_allow_these(
    party: Party, randstad: Partner, place: dict[str, Any], outcome: str
) -> None:
    """TOK-19."""
    randstad.add_token("04A1")
    randstad.authorizations["04A1"] = {"location": place}
    answer = ask(party)
    assert answer.outcome == outcome
    assert answer.evse_uids == (tuple(place.get("evse_uids", ())) if outcome == "ALLOWED" else ())


@pytest.mark.parametrize(
    "changes", [{"uid": "04B2"}, {"type": "APP_USER"}, {"party_id": "FRE"}, {"contract_id": None}]
)
def test_an_answer_about_something_else_is_no_verdict(
    party: Party, randstad: Partner, changes: dict[str, Any]
) -> None:
    """O10: ALLOWED for another uid, type or owner, or for no token at all."""
    token = randstad.add_token("04A1") | changes
    randstad.authorizations["04A1"] = {"token": token}
    assert ask(party) == RealtimeAnswer(UNREACHABLE)


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("drop", {}), ("http", {"status": 500}), ("http", {"status": 401}), ("http", {"status": 429}),
        ("code", {"status": 3000}), ("code", {"status": 4002}), ("bad_json", {}), ("html", {}),
    ],
)  # fmt: skip
def test_no_usable_answer_is_unreachable(
    party: Party, randstad: Partner, fault: str, how: dict[str, int]
) -> None:
    """TOK-10, TOK-11: the whitelist decides then."""
    randstad.add_token("04A1")
    randstad.fail(fault, on="/authorize", **how)
    assert ask(party) == RealtimeAnswer(UNREACHABLE)


def test_nobody_there(party: Party, randstad: Partner) -> None:
    randstad.stop()
    assert ask(party) == RealtimeAnswer(UNREACHABLE)
    Endpoint.objects.all().delete()
    assert ask(party) == RealtimeAnswer(UNREACHABLE)


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_the_driver_waits_for_the_budget_and_no_longer(
    party: Party, randstad: Partner, settings: Any, fault: str
) -> None:
    """O10: however the partner delays, the reader gets its answer."""
    settings.REALTIME_AUTHORIZATION_SECONDS = 0.3
    randstad.add_token("04A1")
    randstad.fail(fault, on="/authorize", seconds=0.2 if fault == "drip" else 1.0)
    began = time.monotonic()
    assert ask(party) == RealtimeAnswer(UNREACHABLE)
    assert time.monotonic() - began < 0.9


def test_another_refusal_of_the_question_does_not_fall_back_on_the_cache(
    party: Party, randstad: Partner
) -> None:
    """The owner is there and did not say yes."""
    randstad.fail("code", on="/authorize", status=2001)
    assert ask(party).outcome == "NOT_ALLOWED"
