"""Fences around Locations of other operators behind the hub: passes, windows, groups, receipts."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from access.fenced import FencedLocation, Pass, PassWindow
from access.foreign import PassFence, fence_of
from access.models import Decision
from access.passes import change_pass, set_pass_status
from roaming.hub.fences import Refused, fence
from roaming.models import HubDocument, Party
from tests.factories import OwnPartyFactory, PartyFactory

pytestmark = pytest.mark.django_db

# Wednesday 11 March 2026 in Brussels: 21:00, and 12:00.
NIGHT = datetime(2026, 3, 11, 20, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 11, 11, 0, tzinfo=UTC)


@pytest.fixture
def owner() -> Party:
    return PartyFactory(role="CPO", country_code="DE", party_id="CPO")


@pytest.fixture
def taxi() -> Party:
    return PartyFactory(country_code="NL", party_id="EMS")


def fenced(owner: Party, location_id: str = "LOC1", **values: Any) -> FencedLocation:
    return FencedLocation.objects.create(
        owner=owner, location_id=location_id, name="Depot Berlin", time_zone="Europe/Brussels", **values
    )


def granted(fence: FencedLocation, party: Party, **values: Any) -> Pass:
    made = change_pass(granted=Pass(fence=fence, party=party, **values))
    PassWindow.objects.create(
        granted=made, weekdays=[1, 2, 3, 4, 5, 6, 7], opens=time(20, 0), closes=time(5, 0)
    )
    return made


def asked(
    party: Party, owner: Party, now: datetime, location_id: str = "loc1", group: str | None = None
) -> Refused | None:
    return fence().refusal(
        party=party,
        owner=owner,
        location_id=location_id,
        evse_uid="E1",
        token_group=group,
        command="START_SESSION",
        now=now,
    )


def test_the_installation_fences_with_passes() -> None:
    assert isinstance(fence(), PassFence)


def test_a_location_without_a_fence_is_the_agreements_alone(owner: Party, taxi: Party) -> None:
    fenced(owner, "LOC2")
    assert asked(taxi, owner, NOON) is None
    assert fence().may_see(party=taxi, owner=owner, location_id="LOC1", now=NOON)
    assert not Decision.objects.exists()


def test_without_a_pass_the_location_does_not_exist(owner: Party, taxi: Party) -> None:
    fenced(owner)
    refused = asked(taxi, owner, NIGHT)
    receipt = Decision.objects.get()
    assert refused == Refused("Unknown Location.", receipt.ref)
    assert (receipt.outcome, receipt.reason, receipt.party, receipt.location) == (
        "DENY",
        "NOT_GRANTED",
        taxi,
        None,
    )
    assert (receipt.inputs["operator"], receipt.inputs["location"]) == ("DE-CPO", "LOC1")
    assert not fence().may_see(party=taxi, owner=owner, location_id="LOC1", now=NIGHT)


def test_a_pass_opens_its_windows_only(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi)
    assert asked(taxi, owner, NIGHT) is None
    refused = asked(taxi, owner, NOON)
    receipt = Decision.objects.order_by("-pk")[0]
    assert refused == Refused("Opens 20:00 (Europe/Brussels).", receipt.ref)
    assert receipt.retry_at == datetime(2026, 3, 11, 19, 0, tzinfo=UTC)
    # It is seen all day: who plans for tonight must find it.
    assert fence().may_see(party=taxi, owner=owner, location_id="LOC1", now=NOON)


def test_the_last_start_is_before_the_end_of_the_window(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi, min_useful_minutes=20)
    assert asked(taxi, owner, datetime(2026, 3, 12, 3, 39, tzinfo=UTC)) is None
    refused = asked(taxi, owner, datetime(2026, 3, 12, 3, 40, tzinfo=UTC))
    assert refused is not None
    assert refused.text == "Closes 05:00 (Europe/Brussels), too short to start. Opens 20:00."


def test_a_pass_without_windows_opens_nothing(owner: Party, taxi: Party) -> None:
    change_pass(granted=Pass(fence=fenced(owner), party=taxi))
    assert asked(taxi, owner, NIGHT) is not None


def test_a_closed_date_is_closed(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi, closed_dates=[date(2026, 3, 11)])
    assert asked(taxi, owner, NIGHT) is not None
    assert asked(taxi, owner, NIGHT.replace(day=12)) is None


def test_a_pass_for_groups_is_for_their_tokens(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi, token_groups=["TAXI-A"])
    assert asked(taxi, owner, NIGHT, group="TAXI-A") is None
    refused = asked(taxi, owner, NIGHT, group="TAXI-B")
    assert refused is not None
    assert refused.text == "Not available to this customer group."


def test_a_pass_is_for_one_party(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi)
    other = PartyFactory(country_code="FR", party_id="VAN")
    assert asked(other, owner, NIGHT) is not None
    assert not fence().may_see(party=other, owner=owner, location_id="LOC1", now=NIGHT)


def test_the_same_party_in_another_role_has_the_same_pass(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi)
    as_other = Party.objects.create(
        platform=taxi.platform, role="OTHER", country_code="NL", party_id="EMS", name="Taxi"
    )
    assert asked(as_other, owner, NIGHT) is None


def test_a_fence_may_be_around_a_whole_cpo(owner: Party, taxi: Party) -> None:
    """Also around Locations that it publishes later; one with a fence of its own follows that."""
    whole = fenced(owner, "")
    single = fenced(owner, "LOC7")
    granted(single, taxi)
    assert asked(taxi, owner, NIGHT, "LOC-NEW") is not None
    assert asked(taxi, owner, NIGHT, "LOC7") is None
    assert (fence_of(owner=owner, location_id="loc7"), fence_of(owner=owner, location_id="X")) == (
        single,
        whole,
    )


def test_a_closed_fence_is_closed_to_everybody(owner: Party, taxi: Party) -> None:
    closed = fenced(owner, is_closed=True)
    granted(closed, taxi)
    refused = asked(taxi, owner, NIGHT)
    assert refused is not None
    assert refused.text == "Access is suspended."


def test_a_suspended_pass_refuses_and_hides_until_it_is_resumed(owner: Party, taxi: Party) -> None:
    made = granted(fenced(owner), taxi)
    set_pass_status(granted=made, status=Pass.Status.SUSPENDED)
    assert asked(taxi, owner, NIGHT) is not None
    assert not fence().may_see(party=taxi, owner=owner, location_id="LOC1", now=NIGHT)
    assert set_pass_status(granted=made, status=Pass.Status.ACTIVE).version == 3
    assert asked(taxi, owner, NIGHT) is None


def test_an_ended_pass_stays_ended(owner: Party, taxi: Party) -> None:
    made = granted(fenced(owner), taxi)
    set_pass_status(granted=made, status=Pass.Status.ENDED)
    with pytest.raises(ValueError, match="has ended for good"):
        set_pass_status(granted=made, status=Pass.Status.ACTIVE)
    made.refresh_from_db()
    assert (made.status, made.version) == ("ENDED", 2)
    assert asked(taxi, owner, NIGHT) == Refused("Unknown Location.", Decision.objects.get().ref)


def test_a_pass_counts_while_it_is_valid(owner: Party, taxi: Party) -> None:
    granted(fenced(owner), taxi, valid_from=NIGHT, valid_to=datetime(2026, 3, 12, 0, 0, tzinfo=UTC))
    seen = [
        fence().may_see(party=taxi, owner=owner, location_id="LOC1", now=now)
        for now in (NOON, NIGHT, datetime(2026, 3, 12, 0, 0, tzinfo=UTC))
    ]
    assert seen == [False, True, False]
    assert asked(taxi, owner, NIGHT) is None
    assert asked(taxi, owner, datetime(2026, 3, 12, 1, 0, tzinfo=UTC)) is not None


def test_kept_locations_are_hidden_from_whom_they_are_fenced(owner: Party, taxi: Party) -> None:
    hub = OwnPartyFactory(role="HUB", party_id="HUB")
    free = PartyFactory(role="CPO", country_code="FR", party_id="CPO")
    for of, key in ((owner, "LOC1"), (owner, "LOC2"), (owner, "LOC3"), (free, "LOC1")):
        HubDocument.objects.create(
            recipient=hub, owner=of, module="locations", object_key=key, document=b"{}", last_updated=NOON
        )
    assert set(fence().hidden_locations(party=taxi, now=NIGHT)) == set()
    fenced(owner, "")
    granted(fenced(owner, "LOC2"), taxi)
    assert set(fence().hidden_locations(party=taxi, now=NIGHT)) == {(owner.pk, "LOC1"), (owner.pk, "LOC3")}
