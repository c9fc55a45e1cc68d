"""Pulling a partner's token list over a real socket."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from demo.partner import Partner
from ocpi import codec
from roaming.models import Endpoint, Party, Platform
from tests.factories import MORNING, OwnPartyFactory, PartyFactory, connect, token_object
from tokens.models import Pull, Token
from tokens.pull import PullReport
from tokens.services import pull_due_platforms, pull_tokens, put_token
from tokens.tasks import pull_tokens as pull_task

NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
LIST = "/ocpi/emsp/2.2.1/tokens"


def stamp(minute: int) -> str:
    return f"2026-03-11T09:{minute:02}:00Z"


def pulls(randstad: Partner) -> list[dict[str, str]]:
    return [request.query for request in randstad.received("GET", LIST)]


def test_a_list_of_250_is_read_page_by_page(party: Party, randstad: Partner) -> None:
    """TOK-07, PAG-12: auth, ids and routing headers on every page."""
    randstad.page_size = 100
    for number in range(250):
        randstad.add_token(f"04{number:012}", last_updated=stamp(number % 60))
    report = pull_tokens(platform=party.platform, now=NOW)
    assert report == PullReport(
        pages=3, received=250, stored=250, newest=datetime(2026, 3, 11, 9, 59, tzinfo=UTC)
    )
    assert Token.objects.filter(party=party).count() == 250
    requests = randstad.received("GET", LIST)
    assert [request.query.get("offset") for request in requests] == [None, "100", "200"]
    for request in requests:
        assert request.token == "token-for-NL-EMS"
        routing = [request.headers[f"ocpi-{name}"] for name in (
            "to-country-code", "to-party-id", "from-country-code", "from-party-id"
        )]  # fmt: skip
        assert routing == ["NL", "EMS", "BE", "YRD"]
        assert request.headers["x-request-id"] != request.headers["x-correlation-id"]
    assert len({request.headers["x-request-id"] for request in requests}) == 3


def test_the_next_pull_goes_on_ten_minutes_before_the_newest(party: Party, randstad: Partner) -> None:
    """TOK-07, SYN-04, fault 37: our own mark with an overlap."""
    randstad.add_token("04A1", last_updated=stamp(30))
    pull_tokens(platform=party.platform, now=NOW)
    party.platform.refresh_from_db()
    assert party.platform.tokens_pulled_until == datetime(2026, 3, 11, 9, 30, tzinfo=UTC)
    randstad.add_token("04A2", last_updated=stamp(25))
    report = pull_tokens(platform=party.platform, now=NOW)
    assert (report.received, report.stored) == (2, 1)
    assert [query.get("date_from") for query in pulls(randstad)] == [None, "2026-03-11T09:20:00Z"]
    full = pull_tokens(platform=party.platform, now=NOW, full=True)
    assert (full.received, full.stored, "date_from" in pulls(randstad)[-1]) == (2, 0, False)


def test_nothing_is_ever_deleted(party: Party, randstad: Partner) -> None:
    """TOK-07: a token that is missing from the list stays."""
    put_token(own_party=OwnPartyFactory(), party=party, token=token_object(), now=NOW)
    pull_tokens(platform=party.platform, now=NOW, full=True)
    assert Token.objects.get().uid == "04E1D2C3B4A580"


def test_broken_tokens_are_skipped_and_counted(party: Party, randstad: Partner) -> None:
    """HTP-13: three tokens, one without `valid`, one of the future: the sound ones are stored."""
    for uid in ("04A1", "04A2", "04A3"):
        randstad.add_token(uid, last_updated=stamp(1))
    randstad.store.tokens["04A2"].pop("valid")
    randstad.store.tokens["04A4"] = "no token at all"
    randstad.add_token("04A5", last_updated="2099-01-01T00:00:00Z")
    randstad.store._token_page = lambda *_: page(randstad)
    report = pull_tokens(platform=party.platform, now=NOW)
    assert (report.received, report.stored, report.broken, report.problem) == (5, 2, 3, "")
    assert sorted(Token.objects.values_list("uid", flat=True)) == ["04A1", "04A3"]
    pull = Pull.objects.get()
    assert (pull.received, pull.stored, pull.broken, pull.foreign) == (5, 2, 3, 0)


def page(randstad: Partner):
    from demo.http import Reply

    return Reply(data=list(randstad.store.tokens.values()))


def test_tokens_of_others_are_dropped_and_counted(party: Party, randstad: Partner) -> None:
    """OBJ-14, O9: also those of a party that we know, but on another platform."""
    connect(PartyFactory(country_code="DE", party_id="FRE", platform__name="Freie Fahrt"))
    randstad.add_token("04A1", last_updated=stamp(1))
    randstad.add_token("04A2", last_updated=stamp(1), country_code="DE", party_id="FRE")
    randstad.add_token("04A3", last_updated=stamp(1), country_code="ZZ")
    report = pull_tokens(platform=party.platform, now=NOW)
    assert (report.stored, report.foreign) == (1, 2)
    assert [(row.party, row.uid) for row in Token.objects.all()] == [(party, "04A1")]


def test_an_older_state_from_the_list_changes_nothing(party: Party, randstad: Partner) -> None:
    """DIS-28: a push came in while the list was read."""
    put_token(
        own_party=OwnPartyFactory(),
        party=party,
        token=token_object(uid="04A1", contract_id="NEW", last_updated=NOW),
        now=NOW,
    )
    randstad.add_token("04A1", last_updated=stamp(1), contract_id="OLD")
    assert pull_tokens(platform=party.platform, now=NOW).stored == 0
    assert Token.objects.get().contract_id == "NEW"


def test_of_one_token_twice_in_a_page_the_newer_counts(party: Party, randstad: Partner) -> None:
    randstad.add_token("04a1", last_updated=stamp(2), contract_id="NEW")
    randstad.add_token("04A1", last_updated=stamp(1), contract_id="OLD")
    assert pull_tokens(platform=party.platform, now=NOW).stored == 1
    assert Token.objects.get().contract_id == "NEW"


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("http", {"status": 500}), ("http", {"status": 401}), ("code", {"status": 3000}), ("bad_json", {}),
        ("html", {}), ("drop", {}), ("redirect", {"target": "http://127.0.0.1:1/"}),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_to_its_end_does_not_move_the_mark(
    party: Party, randstad: Partner, fault: str, how: dict[str, object]
) -> None:
    """What came before is kept; the next pull begins where this one began."""
    randstad.page_size = 2
    for number in range(5):
        randstad.add_token(f"04A{number}", last_updated=stamp(number))
    pages = randstad.store._token_page
    served = []

    def second_page_fails(received, partner):
        served.append(received)
        if len(served) == 1:
            randstad.fail(fault, on="/tokens", **how)
        return pages(received, partner)

    randstad.store._token_page = second_page_fails
    report = pull_tokens(platform=party.platform, now=NOW)
    assert (report.pages, report.stored, report.problem == "") == (1, 2, False)
    party.platform.refresh_from_db()
    assert party.platform.tokens_pulled_until is None
    assert Pull.objects.get().problem == report.problem
    randstad.heal()
    randstad.store._token_page = pages
    assert pull_tokens(platform=party.platform, now=NOW).stored == 3


def test_a_token_that_leaves_the_list_meanwhile_hides_no_other(party: Party, randstad: Partner) -> None:
    """PAG-13: one object fewer between two pages; all others are stored."""
    randstad.page_size = 2
    for number in range(6):
        randstad.add_token(f"04A{number}", last_updated=stamp(number))
    pages = randstad.store._token_page
    served = []

    def one_leaves(received, partner):
        served.append(received)
        if len(served) == 2:
            del randstad.store.tokens["04A0"]
        return pages(received, partner)

    randstad.store._token_page = one_leaves
    report = pull_tokens(platform=party.platform, now=NOW)
    assert [query.get("offset") for query in pulls(randstad)] == [None, "2", "1", "3"]
    assert (report.problem, report.stored) == ("", 6)
    assert sorted(Token.objects.values_list("uid", flat=True)) == [f"04A{number}" for number in range(6)]


def test_a_list_without_end_is_given_up(party: Party, randstad: Partner) -> None:
    """O9: a link that was followed before."""
    from demo.http import Reply

    link = {"Link": f'<{randstad.endpoint("tokens")}?cursor=1>; rel="next"'}
    randstad.store._token_page = lambda *_: Reply(data=[], headers=link)
    report = pull_tokens(platform=party.platform, now=NOW)
    assert (report.pages, len(pulls(randstad))) == (2, 2)
    assert "does not end" in report.problem


def test_our_token_goes_to_agreed_hosts_only(party: Party, randstad: Partner) -> None:
    """T15, O6, PAG-12: neither to an endpoint nor by a link elsewhere."""
    from demo.http import Reply

    with Partner("Freie Fahrt", "DE", "FRE") as elsewhere:
        link = {"Link": f'<{elsewhere.endpoint("tokens")}>; rel="next"'}
        randstad.store._token_page = lambda *_: Reply(data=[], headers=link)
        assert "another host" in pull_tokens(platform=party.platform, now=NOW).problem
        Endpoint.objects.filter(module="tokens").update(url=elsewhere.endpoint("tokens"))
        assert "not lie on a host agreed" in pull_tokens(platform=party.platform, now=NOW).problem
        assert elsewhere.received() == []


def test_each_operator_of_ours_asks_for_itself(party: Party, randstad: Partner) -> None:
    """HUB-01, HUB-06: FROM is the operator that asks, and what it is told is its own."""
    antwerp = OwnPartyFactory(party_id="ANT", name="Antwerp Depots")
    randstad.add_token("04A1", last_updated=stamp(1))
    report = pull_tokens(platform=party.platform, now=NOW)
    asked = [request.headers["ocpi-from-party-id"] for request in randstad.received("GET", LIST)]
    assert (asked, report.received, report.stored) == (["ANT", "YRD"], 2, 2)
    assert {(row.own_party, row.uid) for row in Token.objects.all()} == {
        (antwerp, "04A1"),
        (OwnPartyFactory(), "04A1"),
    }


def test_an_operator_that_is_new_here_reads_the_whole_list(party: Party, randstad: Partner) -> None:
    """TOK-07: what the others have read says nothing about what it has missed."""
    randstad.add_token("04A1", last_updated=stamp(1))
    randstad.add_token("04A2", last_updated=stamp(30))
    pull_tokens(platform=party.platform, now=NOW)
    party.platform.refresh_from_db()
    OwnPartyFactory(party_id="ANT", name="Antwerp Depots")
    report = pull_tokens(platform=party.platform, now=NOW)
    begins = [(request.headers["ocpi-from-party-id"], request.query.get("date_from")) for request in
              randstad.received("GET", LIST)[1:]]  # fmt: skip
    assert begins == [("ANT", None), ("YRD", "2026-03-11T09:20:00Z")]
    assert (report.received, report.stored) == (3, 2)


def test_where_no_operator_is_hosted_nobody_is_asked(party: Party, randstad: Partner) -> None:
    """CRD-07: a hub alone has no reader that a card could be held to."""
    Party.objects.filter(platform=None).update(role="HUB")
    report = pull_tokens(platform=party.platform, now=NOW)
    assert report.problem == "no operator is hosted here that could ask for tokens"
    assert randstad.received("GET", LIST) == []
    assert not Token.objects.exists()


def test_each_emsp_of_a_platform_is_asked_for(party: Party, randstad: Partner) -> None:
    """DIS-16: one list per party, each stored under its own owner."""
    second = PartyFactory(platform=party.platform, country_code="BE", party_id="EMS")
    randstad.add_token("04A1", last_updated=stamp(1))
    randstad.add_token("04A2", last_updated=stamp(1), country_code="BE")
    pull_tokens(platform=party.platform, now=NOW)
    asked = [request.headers["ocpi-to-country-code"] for request in randstad.received("GET", LIST)]
    assert asked == ["NL", "BE"]
    assert {(row.party, row.uid) for row in Token.objects.all()} == {(party, "04A1"), (second, "04A2")}


def test_platforms_are_pulled_when_their_time_has_come(party: Party, randstad: Partner) -> None:
    """TOK-08, PAG-14: after the handshake, then every hour or so; once a week all of it."""
    randstad.add_token("04A1", last_updated=stamp(1))
    assert pull_due_platforms(now=NOW) == 1
    assert pull_due_platforms(now=NOW + timedelta(minutes=59, seconds=59)) == 0
    next_at = Pull.objects.get().next_at
    assert timedelta(hours=1) <= next_at - NOW <= timedelta(minutes=70)
    assert pull_due_platforms(now=next_at) == 1
    assert pull_due_platforms(now=NOW + timedelta(days=8)) == 1
    assert ["date_from" in query for query in pulls(randstad)] == [False, True, False]


def test_a_platform_that_is_not_connected_is_left_alone(party: Party, randstad: Partner) -> None:
    """CRD-25."""
    Platform.objects.update(status=Platform.Status.SUSPENDED)
    pull_task()
    assert randstad.received() == []


def test_the_command_pulls_and_reports(party: Party, randstad: Partner) -> None:
    randstad.add_token("04A1", last_updated=stamp(1))
    out = StringIO()
    call_command("pull_tokens", "--full", stdout=out)
    assert out.getvalue() == "Randstad Taxi: 1 received, 1 new or changed, 0 broken, 0 foreign.\n"
    with pytest.raises(CommandError, match="no such connected platform"):
        call_command("pull_tokens", "--platform", "Nobody")
    randstad.stop()
    with pytest.raises(CommandError, match="1 of 1 lists could not be read"):
        call_command("pull_tokens", stdout=StringIO())


def test_a_pulled_token_is_kept_as_the_owner_wrote_it(party: Party, randstad: Partner) -> None:
    """TOK-01."""
    written = randstad.add_token("04A1", last_updated=stamp(1), group_id="TAXI-A", language="nl")
    pull_tokens(platform=party.platform, now=NOW)
    row = Token.objects.get()
    assert codec.parse(bytes(row.document)) == written
    assert (row.group_id, row.received_at) == ("TAXI-A", NOW)
    assert row.last_updated > MORNING
