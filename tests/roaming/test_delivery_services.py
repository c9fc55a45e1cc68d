"""What is owed, to whom, and what an operator can do about it."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from ocpi.headers import PartyId
from roaming.delivery import services, wake
from roaming.delivery.models import Attempt, Lane, Obligation
from roaming.models import Endpoint, Party, Platform
from tests.factories import PartyFactory, PlatformFactory
from tests.roaming.deliveries import FACTS, facts, own_party

__all__ = ["facts"]

pytestmark = pytest.mark.django_db(transaction=True)

State = Obligation.State


def a_party(
    party_id: str = "EMS", *, modules: tuple[str, ...] = ("sessions", "cdrs"), **values: object
) -> Party:
    """A partner's party whose platform offers these modules as RECEIVER."""
    platform = PlatformFactory(**values)
    for module in modules:
        Endpoint.objects.create(platform=platform, module=module, role="RECEIVER", url="http://127.0.0.1:9/x")
    return PartyFactory(platform=platform, country_code="NL", party_id=party_id)


def owe(*parties: Party, key: str = "B1", fields: tuple[str, ...] = ("status",), whole: bool = False) -> int:
    return services.owe_state(
        own_party=own_party(), parties=parties, kind="test_bay", object_key=key, changed_fields=fields,
        whole=whole, now=timezone.now(),
    )  # fmt: skip


def owe_cdr(party: Party, key: str = "CDR-1") -> bool:
    FACTS.cdrs[key] = b"{}"
    return services.owe_ledger(
        own_party=own_party(), party=party, kind="test_bill", object_key=key, now=timezone.now()
    )


def owe_result(party: Party, **values: object) -> bool:
    given = {
        "url": "http://127.0.0.1:9/r?id=7",
        "body": b"{}",
        "expires_at": timezone.now() + timedelta(seconds=30),
        "correlation_id": "c-1",
    }
    return services.owe_once(
        own_party=own_party(), party=party, kind="test_result", object_key="r-1", now=timezone.now(),
        **(given | values),
    )  # fmt: skip


def test_a_change_is_owed_to_each_party_once() -> None:
    parties = [a_party("EMS"), a_party("TNM"), a_party("ABC")]
    assert owe(*parties) == 3
    rows = Obligation.objects.order_by("party_id").values_list(
        "party", "state", "wanted_version", "confirmed_version", "changed_fields", "force_put", "lane__name"
    )
    assert list(rows) == [(party.pk, "PENDING", 1, 0, ["status"], True, "live") for party in parties]
    assert Lane.objects.count() == 3


def test_more_changes_are_one_delivery_with_all_changed_members() -> None:
    party = a_party()
    owe(party)
    Obligation.objects.update(state=State.ACKED, confirmed_version=1, changed_fields=[], force_put=False)
    owe(party, fields=("status",))
    owe(party, fields=("status", "physical_reference"))
    row = Obligation.objects.get()
    assert (row.state, row.wanted_version, row.confirmed_version) == ("PENDING", 3, 1)
    assert (row.changed_fields, row.force_put) == (["physical_reference", "status"], False)


@pytest.mark.parametrize(("fields", "whole"), [(("status",), True), ((), False)])
def test_a_change_that_no_patch_can_tell_goes_as_a_whole(fields: tuple[str, ...], whole: bool) -> None:
    party = a_party()
    owe(party)
    Obligation.objects.update(state=State.ACKED, confirmed_version=1, changed_fields=[], force_put=False)
    owe(party, fields=fields, whole=whole)
    assert Obligation.objects.get().force_put is True


@pytest.mark.parametrize("status", [s for s in Platform.Status if s != Platform.Status.CONNECTED])
def test_a_platform_that_is_not_connected_is_not_owed_a_state(status: str) -> None:
    assert owe(a_party(status=status)) == 0
    assert Obligation.objects.count() == 0


def test_a_platform_without_the_module_is_not_owed_a_state() -> None:
    assert owe(a_party(modules=("cdrs",))) == 0
    Endpoint.objects.update(module="sessions", role="SENDER")
    assert owe(*Party.objects.filter(platform__isnull=False)) == 0
    assert Obligation.objects.count() == 0


def test_a_party_that_was_given_up_is_not_owed_a_state() -> None:
    party = a_party()
    Party.objects.filter(pk=party.pk).update(is_active=False)
    assert owe(party) == 0


def test_a_party_of_ours_is_owed_nothing() -> None:
    assert owe(own_party()) == 0
    assert owe_cdr(own_party()) is False
    assert Obligation.objects.count() == 0


def test_a_cdr_is_owed_once_and_whatever_the_connection() -> None:
    party = a_party(modules=(), status=Platform.Status.SUSPENDED)
    assert owe_cdr(party) is True
    assert owe_cdr(party) is False
    row = Obligation.objects.get()
    assert (row.shape, row.state, row.wanted_version, row.lane.name) == ("LEDGER", "PENDING", 1, "cdr")


def test_a_result_keeps_its_bytes_its_url_and_the_commands_correlation() -> None:
    party = a_party()
    expires_at = timezone.now() + timedelta(seconds=30)
    assert owe_result(party, body=b'{"result":"ACCEPTED"}', expires_at=expires_at) is True
    assert owe_result(party, body=b'{"result":"FAILED"}') is False
    row = Obligation.objects.get()
    assert (row.url, bytes(row.body), row.expires_at) == (
        "http://127.0.0.1:9/r?id=7", b'{"result":"ACCEPTED"}', expires_at,
    )  # fmt: skip
    assert (row.correlation_id, row.lane.name, row.shape) == ("c-1", "result", "SHORT_LIVED")


def test_what_is_rolled_back_is_not_owed() -> None:
    party = a_party()
    with transaction.atomic():
        owe(party)
        transaction.set_rollback(True)
    assert (Obligation.objects.count(), Lane.objects.count()) == (0, 0)


def test_a_parked_state_is_owed_again_when_the_object_changes() -> None:
    party = a_party()
    owe(party)
    later = timezone.now() + timedelta(hours=1)
    Obligation.objects.update(state=State.PARKED, attempts=4, crashes=2, next_at=later)
    owe(party)
    row = Obligation.objects.get()
    assert (row.state, row.attempts, row.crashes) == ("PENDING", 0, 0)
    assert row.next_at < timezone.now()


def test_a_change_does_not_shorten_the_back_off() -> None:
    party = a_party()
    owe(party)
    later = timezone.now() + timedelta(minutes=5)
    Obligation.objects.update(attempts=3, next_at=later)
    owe(party)
    row = Obligation.objects.get()
    assert (row.next_at, row.attempts) == (later, 3)


def test_the_age_of_what_is_owed_starts_with_the_first_change() -> None:
    party = a_party()
    since = timezone.now() - timedelta(hours=1)
    owe(party)
    Obligation.objects.update(owed_since=since)
    owe(party)
    assert Obligation.objects.get().owed_since == since
    Obligation.objects.update(state=State.ACKED)
    owe(party)
    assert Obligation.objects.get().owed_since > since


def test_one_statement_owes_to_20_partners(django_assert_num_queries) -> None:
    parties = [a_party(f"A{number:02}") for number in range(20)]
    our, now = own_party(), timezone.now()
    owe(*parties)
    with transaction.atomic(), django_assert_num_queries(1):
        services.owe_state(
            own_party=our,
            parties=parties,
            kind="test_bay",
            object_key="B2",
            changed_fields=["status"],
            now=now,
        )


def test_writers_of_the_same_objects_at_the_same_time_count_every_change() -> None:
    parties = [a_party(f"A{number:02}") for number in range(5)]
    errors: list[Exception] = []

    def write(order: list[Party]) -> None:
        try:
            for _ in range(20):
                owe(*order)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(order,)) for order in (parties, parties[::-1], parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(Obligation.objects.values_list("wanted_version", flat=True)) == [60] * 5
    assert Lane.objects.count() == 5


# --- wake-ups


def test_a_burst_of_commits_sends_few_wake_ups(settings, monkeypatch) -> None:
    sent: list[str] = []
    ready = threading.Event()

    class Broker:
        def send_task(self, name: str, **_: object) -> None:
            sent.append(name)
            ready.set()

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(wake, "current_app", Broker())
    party = a_party()
    for _ in range(30):
        owe(party)
    assert ready.wait(5)
    assert 1 <= len(sent) <= 10
    assert set(sent) == {"roaming.tasks.drain_lanes"}


def test_nobody_is_woken_before_the_commit(settings, monkeypatch) -> None:
    woken: list[bool] = []
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(wake._waker, "wake", lambda: woken.append(True))
    party = a_party()
    with transaction.atomic():
        owe(party)
        assert woken == []
    assert woken == [True]


def test_a_broker_that_is_away_costs_nothing(settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    began = timezone.now()
    assert owe(a_party()) == 1
    assert timezone.now() - began < timedelta(seconds=2)


# --- the operator


def parked_cdr(
    reason: str = "refused: HTTP 200, OCPI 2001: no such tariff", key: str = "CDR-1"
) -> Obligation:
    party = Party.objects.filter(platform__isnull=False).first() or a_party()
    owe_cdr(party, key)
    Obligation.objects.filter(object_key=key).update(state=State.PARKED, last_error=reason, crashes=3)
    return Obligation.objects.get(object_key=key)


def test_a_replay_is_the_same_row_due_now() -> None:
    row = parked_cdr()
    services.replay(row, by="An Peeters")
    again = Obligation.objects.get()
    assert (again.pk, again.state, again.crashes) == (row.pk, "PENDING", 0)
    assert again.next_at < timezone.now()
    assert list(Attempt.objects.values_list("obligation", "outcome", "worker")) == [
        (row.pk, "REPLAYED", "An Peeters")
    ]
    assert Attempt.objects.get().ended_at is not None


@pytest.mark.parametrize("state", [State.ACKED, State.SERVED, State.CANCELLED, State.EXPIRED])
def test_what_is_done_is_not_replayed(state: str) -> None:
    row = parked_cdr()
    Obligation.objects.update(state=state)
    with pytest.raises(ValueError, match="is not sent again"):
        services.replay(row)
    assert Obligation.objects.get().state == state
    assert Attempt.objects.count() == 0


def test_a_result_is_not_replayed() -> None:
    owe_result(a_party())
    with pytest.raises(ValueError, match="is not sent again"):
        services.replay(Obligation.objects.get())


def test_all_of_one_reason_are_replayed() -> None:
    parked_cdr("refused: unknown token", "CDR-1")
    parked_cdr("refused: no such tariff", "CDR-2")
    parked_cdr("refused: Unknown token", "CDR-3")
    assert services.replay_all("unknown token") == 2
    rows = Obligation.objects.order_by("object_key").values_list("object_key", "state")
    assert list(rows) == [("CDR-1", "PENDING"), ("CDR-2", "PARKED"), ("CDR-3", "PENDING")]


def test_a_cdr_is_cancelled_by_two_persons() -> None:
    row = parked_cdr()
    for confirmed_by in ("", "An Peeters"):
        with pytest.raises(ValueError, match="two persons"):
            services.cancel(row, reason="paid by hand", by="An Peeters", confirmed_by=confirmed_by)
    assert Obligation.objects.get().state == State.PARKED
    services.cancel(row, reason="paid by hand", by="An Peeters", confirmed_by="Jo Claes")
    assert (row.state, row.last_error) == ("CANCELLED", "paid by hand (An Peeters, Jo Claes)")
    assert Attempt.objects.get().worker == "An Peeters, Jo Claes"


def test_what_the_partner_has_cannot_be_cancelled_or_parked() -> None:
    row = parked_cdr()
    Obligation.objects.update(state=State.ACKED)
    with pytest.raises(ValueError, match="nothing was changed"):
        services.cancel(row, reason="x", by="An Peeters", confirmed_by="Jo Claes")
    with pytest.raises(ValueError, match="nothing was changed"):
        services.park(row, reason="x")
    assert Obligation.objects.get().state == State.ACKED


def test_a_delivery_is_parked_by_hand() -> None:
    owe_cdr(a_party())
    row = Obligation.objects.get()
    services.park(row, reason="the partner asks us to wait", by="An Peeters")
    assert (row.state, row.last_error) == ("PARKED", "the partner asks us to wait (An Peeters)")


def test_what_a_partner_has_fetched_is_served() -> None:
    party = a_party(cdr_mode="pull_only")
    for key in ("CDR-1", "CDR-2", "CDR-3"):
        owe_cdr(party, key)
    served = services.mark_served(party=party, kind="test_bill", object_keys=["CDR-1", "CDR-3"])
    assert served == 2
    rows = Obligation.objects.order_by("object_key").values_list("state", flat=True)
    assert list(rows) == ["SERVED", "PENDING", "SERVED"]


def test_a_partner_that_comes_back_is_told_every_state_as_a_whole() -> None:
    party = a_party()
    owe(party, key="B1")
    owe(party, key="B2")
    owe_cdr(party)
    Obligation.objects.update(state=State.ACKED, confirmed_version=1, force_put=False)
    assert services.resend_states(platform=party.platform, now=timezone.now()) == 2
    rows = Obligation.objects.order_by("object_key").values_list("object_key", "state", "force_put")
    assert list(rows) == [("B1", "PENDING", True), ("B2", "PENDING", True), ("CDR-1", "ACKED", False)]


def test_lanes_are_unblocked_by_hand() -> None:
    party = a_party()
    owe(party)
    owe_cdr(party)
    Lane.objects.update(breaker="AUTH_BLOCKED", failures=7, setbacks=3, rate=1.0, blocked_reason="HTTP 401")
    Endpoint.objects.update(off_until=timezone.now() + timedelta(hours=1), off_reason="HTTP 404")
    assert services.unblock(platform=party.platform) == 2
    rows = Lane.objects.values_list("breaker", "failures", "setbacks", "rate", "blocked_reason")
    assert list(rows) == [("CLOSED", 0, 0, None, "")] * 2
    assert set(Endpoint.objects.values_list("off_until", "off_reason")) == {(None, "")}


def test_routing_headers_name_the_party_that_acts() -> None:
    assert (own_party().ocpi_id, a_party("TNM").ocpi_id) == (PartyId("BE", "YRD"), PartyId("NL", "TNM"))
