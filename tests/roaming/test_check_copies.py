"""The nightly comparison with a partner over real sockets: what it says, what it costs, and when it stops asking."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from cdrs.models import CDR
from demo.http import Reply, Request
from ocpi import codec
from roaming.checks.models import Comparison, Finding
from roaming.checks.rounds import AGAIN_AFTER, Pace, compare_due, next_night, start_over
from roaming.delivery.compare import differing_members
from roaming.delivery.services import cancel, replay
from roaming.models import Attempt, Endpoint, Obligation, Party, Platform
from tests.cdrs.rows import sealed
from tests.roaming.deliveries import OddPartner, a_partner, drain, let_pass, other, partner
from tests.roaming.test_delivery_faults import RawReply
from tests.sessions.rows import bay

__all__ = ["other", "partner"]

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
HURRIED = Pace(between_seconds=0, sleep=lambda _: None)


@pytest.fixture
def party(partner: OddPartner) -> Party:
    return a_partner(partner)


def delivered(party: Party, count: int = 1) -> list[CDR]:
    """Charges that were billed, sent and acknowledged."""
    made = [sealed(party=party, evse=bay(number)) for number in range(1, count + 1)]
    let_pass(60)
    drain()
    assert Obligation.objects.filter(kind="cdr", state="ACKED").count() == count
    return made


def tonight(*, now: datetime | None = None) -> int:
    """One night: every round from its beginning to its end, without waiting; returns how many copies were asked for."""
    at = now or timezone.now()
    start_over(now=at)
    # One module of a platform at a time.
    return sum(compare_due(clock=lambda: at, pace=HURRIED) for _ in range(6))


def only_cdrs() -> None:
    """Let the other modules wait for another night."""
    Comparison.objects.exclude(module="cdrs").delete()
    Endpoint.objects.exclude(module="cdrs").delete()


def reads(partner: OddPartner, module: str = "cdrs") -> list[str]:
    return [each.path.rpartition("/")[2] for each in partner.received("GET", f"/{module}/")]


def answering(reply: Reply, module: str = "cdrs") -> Callable[[Request, Reply], Reply | None]:
    def edit(received: Request, _: Reply) -> Reply | None:
        return reply if received.method == "GET" and f"/{module}/" in received.path else None

    return edit


def the_delivery() -> Obligation:
    return Obligation.objects.get(kind="cdr")


def open_findings() -> list[tuple[str, str, str]]:
    rows = Finding.objects.filter(closed_at__isnull=True).order_by("pk")
    return [(each.kind, each.object_key, each.severity) for each in rows]


def comparison(module: str = "cdrs") -> Comparison:
    return Comparison.objects.get(module=module)


class TestCdrs:
    def test_a_copy_that_is_as_we_sent_it_is_fine(self, partner: OddPartner, party: Party) -> None:
        """CDR-04, delivery.md 4.11: the Location of the answer is read with our token and routing headers."""
        (cdr,) = delivered(party)
        tonight()
        (question,) = partner.received("GET", "/cdrs/")
        assert question.path.endswith(f"/cdrs/{cdr.ocpi_id}")
        assert question.headers["ocpi-to-party-id"] == "EMS"
        assert (the_delivery().state, open_findings()) == ("ACKED", [])
        row = comparison()
        assert (row.compared, row.differing, row.problem, row.began_at) == (1, 0, "", None)

    @pytest.mark.parametrize(
        ("changes", "member"),
        [
            ({"total_cost": {"excl_vat": 99}}, "total_cost"),
            ({"total_energy": 19}, "total_energy"),
            ({"id": "another"}, "id"),
            ({"end_date_time": "2026-11-20T21:00:01Z"}, "end_date_time"),
            ({"currency": "USD"}, "currency"),
            ({"credit": True}, ""),
        ],
    )
    def test_a_copy_that_says_something_else_is_contested(
        self, partner: OddPartner, party: Party, changes: dict[str, Any], member: str
    ) -> None:
        """delivery.md 4.11: id, total, energy, token and times; with the reason, an alert and a trace."""
        (cdr,) = delivered(party)
        partner.cdrs[cdr.ocpi_id].update(changes)
        tonight()
        row = the_delivery()
        if not member:
            # We never sent the member; what a partner adds is its own.
            assert (row.state, open_findings()) == ("ACKED", [])
            return
        assert (row.state, row.last_error) == ("CONTESTED", f"the copy of the partner differs in {member}")
        assert open_findings() == [("cdr_copy", str(row.pk), "ALERT")]
        assert member in Finding.objects.get().text
        assert (
            Attempt.objects.filter(obligation=row, outcome="CONTESTED", worker="nightly check").count() == 1
        )
        assert len(partner.received("POST", "/cdrs")) == 1

    def test_another_token_is_another_bill(self, partner: OddPartner, party: Party) -> None:
        (cdr,) = delivered(party)
        partner.cdrs[cdr.ocpi_id]["cdr_token"] |= {"contract_id": "NL-EMS-SOMEBODY"}
        tonight()
        assert the_delivery().last_error == "the copy of the partner differs in cdr_token"

    def test_another_notation_is_the_same_bill(self, partner: OddPartner, party: Party) -> None:
        """Case of ids, zeros, offsets, stamps, texts and unknown members are the partner's own."""
        (cdr,) = delivered(party)
        copy = partner.cdrs[cdr.ocpi_id]
        copy["id"] = copy["id"].upper()
        copy["cdr_token"]["uid"] = copy["cdr_token"]["uid"].lower()
        copy |= {
            "start_date_time": copy["start_date_time"].replace("Z", ".000+00:00"),
            "last_updated": "2026-12-01T00:00:00Z", "remark": "ours", "session_id": None, "stored_by": "us",
        }  # fmt: skip
        tonight()
        assert (the_delivery().state, open_findings()) == ("ACKED", [])

    def test_a_copy_that_is_gone_is_contested(self, partner: OddPartner, party: Party) -> None:
        """The partner says in OCPI's words that it does not know it."""
        delivered(party)
        partner.cdrs.clear()
        tonight()
        row = the_delivery()
        assert (row.state, row.last_error) == ("CONTESTED", "the copy of the partner is not there")
        assert open_findings() == [("cdr_copy", str(row.pk), "ALERT")]

    def test_what_is_sent_again_and_kept_closes_the_finding(self, partner: OddPartner, party: Party) -> None:
        """The operator replays; the same bytes; the next night is content."""
        (cdr,) = delivered(party)
        partner.cdrs.clear()
        tonight()
        replay(the_delivery(), by="olga")
        let_pass(60)
        drain()
        assert [each.body for each in partner.received("POST", "/cdrs")] == [bytes(cdr.body)] * 2
        tonight()
        assert (the_delivery().state, open_findings()) == ("ACKED", [])
        assert Finding.objects.get().closed_at is not None

    def test_what_two_persons_give_up_is_no_open_finding(self, partner: OddPartner, party: Party) -> None:
        """Settled with the partner by other means."""
        delivered(party)
        partner.cdrs.clear()
        tonight()
        cancel(the_delivery(), reason="credited by hand", by="fien", confirmed_by="an")
        tonight()
        assert (open_findings(), the_delivery().state) == ([], "CANCELLED")

    @pytest.mark.parametrize(
        "reply",
        [Reply(405, 2000), Reply(501, 3000), RawReply(b"<h1>Not Found</h1>", 404)],
        ids=["405", "501", "bare 404"],
    )
    def test_a_partner_without_single_objects_is_remembered_and_not_hammered(
        self, partner: OddPartner, party: Party, reply: Reply
    ) -> None:
        """delivery.md 4.11: one question, then none for a week; nothing is claimed about its copies."""
        delivered(party, 3)
        partner.edit = answering(reply)
        now = timezone.now()
        tonight(now=now)
        only_cdrs()
        for night in range(1, 7):
            compare_due(clock=lambda at=now + night * DAY + timedelta(hours=2): at, pace=HURRIED)
        assert len(reads(partner)) == 1
        assert "does not show single objects" in comparison().problem
        assert (Obligation.objects.filter(kind="cdr", state="ACKED").count(), open_findings()) == (3, [])
        partner.edit = None
        compare_due(clock=lambda: now + 8 * DAY + timedelta(hours=3), pace=HURRIED)
        assert len(reads(partner)) == 4

    @pytest.mark.parametrize(
        ("kind", "how"),
        [
            ("http", {"status": 500}), ("http", {"status": 503}), ("http", {"status": 429}), ("http", {"status": 401}),
            ("code", {"status": 3000}), ("drop", {}), ("bad_json", {}), ("html", {}),
        ],
    )  # fmt: skip
    def test_a_partner_that_is_not_well_is_left_alone_and_the_round_goes_on_where_it_was(
        self, partner: OddPartner, party: Party, kind: Any, how: dict[str, Any]
    ) -> None:
        """No verdict without a word: the same CDR is asked for again a quarter of an hour later."""
        cdrs = delivered(party, 3)
        now = timezone.now()
        start_over(now=now)
        only_cdrs()
        partner.fail(kind, on="GET", times=1, **how)
        for minutes in (0, 1, 14):
            compare_due(clock=lambda at=now + timedelta(minutes=minutes): at, pace=HURRIED)
        assert reads(partner) == [cdrs[0].ocpi_id]
        assert (open_findings(), comparison().compared, comparison().problem != "") == ([], 0, True)
        later = now + AGAIN_AFTER
        compare_due(clock=lambda: later, pace=HURRIED)
        assert reads(partner) == [cdrs[0].ocpi_id, *(each.ocpi_id for each in cdrs)]
        assert (comparison().compared, comparison().problem) == (3, "")

    def test_a_run_is_bounded_and_the_next_one_goes_on(self, partner: OddPartner, party: Party) -> None:
        """Resumable: each CDR once a night, however many runs that takes."""
        cdrs = delivered(party, 5)
        now = timezone.now()
        start_over(now=now)
        ticks: list[float] = []
        # After two questions the time of a run is over.
        slow = Pace(between_seconds=0.2, run_seconds=0.3)
        while comparison().next_at <= now and len(ticks) < 20:
            ticks.append(compare_due(clock=lambda: now, pace=slow))
        assert reads(partner) == [each.ocpi_id for each in cdrs]
        assert max(ticks) <= 3
        assert (comparison().compared, comparison().cursor) == (5, 0)

    def test_each_partner_is_asked_once_a_second_side_by_side(
        self, partner: OddPartner, other: OddPartner, party: Party
    ) -> None:
        """Two partners, three CDRs each: three steps, and a pause after each of them."""
        second = a_partner(other)
        delivered(party, 3)
        for number in range(11, 14):
            sealed(party=second, evse=bay(number))
        let_pass(60)
        drain()
        pauses: list[float] = []
        start_over(now=timezone.now())
        only_cdrs()
        compare_due(clock=timezone.now, pace=Pace(sleep=pauses.append))
        assert (len(reads(partner)), len(reads(other))) == (3, 3)
        assert len(pauses) == 3
        assert all(0.5 < pause <= 1 for pause in pauses)

    def test_five_weeks_are_looked_at_and_no_more(self, partner: OddPartner, party: Party) -> None:
        old, new = delivered(party, 2)
        ages = {old: timedelta(days=35, seconds=5), new: timedelta(days=35, seconds=-60)}
        now = timezone.now()
        for cdr, age in ages.items():
            Obligation.objects.filter(object_key=str(cdr.key)).update(acked_at=now - age)
        tonight(now=now)
        assert reads(partner) == [new.ocpi_id]

    def test_our_token_goes_to_agreed_hosts_only(
        self, partner: OddPartner, other: OddPartner, party: Party
    ) -> None:
        """O6: a place that was fine when it was named, on a host that is not agreed any more; or none at all."""
        delivered(party, 2)
        first, second = Obligation.objects.filter(kind="cdr").order_by("pk")
        Obligation.objects.filter(pk=first.pk).update(location_url=f"{other.endpoint('cdrs')}/1")
        Obligation.objects.filter(pk=second.pk).update(location_url="")
        tonight()
        assert (other.requests, reads(partner), open_findings()) == ([], [], [])

    def test_a_platform_that_is_not_connected_is_not_asked(self, partner: OddPartner, party: Party) -> None:
        """CRD-25."""
        delivered(party)
        Platform.objects.update(status=Platform.Status.SUSPENDED)
        assert tonight() == 0
        assert reads(partner) == []

    def test_two_workers_at_once_ask_once(self, partner: OddPartner, party: Party) -> None:
        """A round is claimed before it is worked on."""
        delivered(party, 2)
        now = timezone.now()
        start_over(now=now)
        inner: list[int] = []

        def meanwhile(_: float) -> None:
            inner.append(compare_due(clock=lambda: now, pace=HURRIED))

        only_cdrs()
        compare_due(clock=lambda: now, pace=Pace(sleep=meanwhile))
        assert (inner, len(reads(partner))) == ([0, 0], 2)

    def test_nights_are_spread_and_never_now(self) -> None:
        """PAG-14 in spirit: not all partners in one minute."""
        evening = datetime(2026, 11, 27, 21, 0, tzinfo=UTC)
        nights = {next_night(evening) for _ in range(50)}
        assert len(nights) == 50
        begin = datetime(2026, 11, 28, 1, 0, tzinfo=UTC)
        assert all(begin <= each <= begin + timedelta(hours=1) for each in nights)
        assert next_night(begin) >= begin + DAY


class TestStates:
    """The daily sample: a Session that was pushed, as the partner holds it."""

    @pytest.fixture
    def held(self, partner: OddPartner, party: Party) -> dict[str, Any]:
        """The partner's copy of the one session."""
        delivered(party)
        (copy,) = partner.sessions.values()
        return copy

    def test_the_same_is_left_alone(self, partner: OddPartner, held: dict[str, Any]) -> None:
        puts = len(partner.received("PUT"))
        tonight()
        let_pass(60)
        drain()
        assert len(reads(partner, "sessions")) == 1
        assert (len(partner.received("PUT")), open_findings()) == (puts, [])

    def test_what_differs_is_sent_again_as_a_whole_and_closed_the_next_night(
        self, partner: OddPartner, held: dict[str, Any]
    ) -> None:
        """delivery.md 4.11: PUT, no PATCH."""
        held["status"] = "ACTIVE"
        tonight()
        row = Obligation.objects.get(kind="session")
        assert (row.state, row.force_put) == ("PENDING", True)
        assert open_findings() == [("state_copy", str(row.pk), "NOTICE")]
        let_pass(60)
        drain()
        assert partner.received("PUT", "/sessions/")[-1].json["status"] == "COMPLETED"
        tonight()
        assert open_findings() == []

    def test_what_is_missing_is_sent_again(self, partner: OddPartner, held: dict[str, Any]) -> None:
        partner.sessions.clear()
        tonight()
        let_pass(60)
        drain()
        assert [each["status"] for each in partner.sessions.values()] == ["COMPLETED"]

    def test_what_still_differs_is_not_sent_night_after_night(
        self, partner: OddPartner, held: dict[str, Any]
    ) -> None:
        """Once; then a person must ask the partner."""
        puts = len(partner.received("PUT"))
        partner.edit = answering(Reply(data=held | {"kwh": 1}), "sessions")
        for _ in range(3):
            tonight()
            let_pass(60)
            drain()
        assert len(partner.received("PUT")) == puts + 1
        assert "also after it was sent again" in Finding.objects.get().text

    def test_a_state_that_is_on_its_way_is_not_looked_at(
        self, partner: OddPartner, held: dict[str, Any]
    ) -> None:
        Obligation.objects.filter(kind="session").update(wanted_version=99)
        tonight()
        assert reads(partner, "sessions") == []

    def test_old_sessions_may_be_forgotten(self, partner: OddPartner, held: dict[str, Any]) -> None:
        Obligation.objects.filter(kind="session").update(acked_at=timezone.now() - timedelta(days=3))
        tonight()
        assert reads(partner, "sessions") == []


def test_a_body_is_compared_as_what_it_says() -> None:
    """EVSEs stand where the partner likes; stamps are its own; the rest counts."""
    evses = [{"uid": name, "status": "AVAILABLE", "last_updated": "2026-01-01T00:00:00Z"} for name in "AB"]
    ours = codec.parse(codec.encode({"id": "L1", "evses": evses}))
    for order in itertools.permutations(evses):
        theirs = {"id": "l1", "evses": [each | {"last_updated": "2027-01-01T00:00:00Z"} for each in order]}
        assert differing_members(ours, theirs) == ()
    assert differing_members(ours, {"id": "L1", "evses": evses[:1]}) == ("evses",)
    assert differing_members(ours, {"id": "L1", "evses": [evses[0], evses[1] | {"status": "BLOCKED"}]}) == (
        "evses",
    )
    assert differing_members(ours, {"evses": evses}) == ("id",)
    assert differing_members(ours, "L1") == ("everything",)
