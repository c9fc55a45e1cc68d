"""What is special about one partner, switch by switch, off and on, as the partner itself sees it on the wire."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from demo.partner import Partner
from locations.models import EVSE, Location, PartnerView
from locations.services import publish_view, report_status
from locations.wire import cdr_location
from ocpi import codec, v221
from roaming.delivery.drain import Drainer
from roaming.dialect import NACS
from roaming.models import Obligation, Party, Platform
from roaming.quirks import QUIRKS, change_quirks
from roaming.targets import target
from tariffs.models import Tariff, TariffView
from tariffs.services import put_tariff, set_visible
from tests.factories import (
    MORNING,
    ConnectorFactory,
    EVSEFactory,
    LocationFactory,
    OwnPartyFactory,
    PartyFactory,
    connect,
)
from tests.locations.building import S, publication
from tests.partners import PartnerClient
from tests.tariffs.building import component, element, tariff
from tokens.authorization import authorize_realtime
from tokens.services import pull_tokens

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/ocpi/emsp/2.2.1"
PLACE = ("BE", "YRD", "GENT-NOORD-GUEST")


@pytest.fixture
def randstad() -> Iterator[Partner]:
    with Partner() as running:
        yield running


def connected(running: Partner, party_id: str) -> Party:
    party = PartyFactory(party_id=party_id, platform__name=party_id, platform__requests_per_second=1000)
    connect(party, url=f"{running.url}{BASE}")
    running.accepted.add(f"token-for-NL-{party_id}")
    return party


@pytest.fixture
def party(randstad: Partner) -> Party:
    OwnPartyFactory()
    return connected(randstad, "EMS")


@pytest.fixture
def bay(party: Party) -> EVSE:
    """A bay with a CCS connector, shown and told, and a tariff that ends at midnight."""
    location: Location = LocationFactory(ocpi_id=PLACE[2])
    bay: EVSE = EVSEFactory(location=location, station_identity="GENT-001")
    night = tariff(
        element(component("ENERGY", "0.30"), start_time="20:00", end_time="00:00"),
        element(component("ENERGY", "0.45")),
    )
    put_tariff(party=location.depot.operator, tariff=night, time_zone="Europe/Brussels", now=MORNING)
    set_visible(party=party, tariffs=Tariff.objects.all(), now=MORNING)
    publish_view(party=party, location=location, publication=publication(), now=timezone.now())
    drain()
    return bay


def drain() -> None:
    # What was just told rests for a moment; here nobody waits for it.
    Obligation.objects.filter(state="PENDING").update(next_at=timezone.now() - timedelta(seconds=1))
    with Drainer(clock=timezone.now, jitter=lambda: 0.0, concurrency=1) as drainer:
        drainer.drain()


def switch(party: Party, **changes: Any) -> bool:
    assert party.platform is not None
    changed = change_quirks(platform=party.platform, changes=changes, now=timezone.now())
    drain()
    return changed


def everything() -> list[Any]:
    """What a change of quirks may touch."""
    return [
        [{name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()} for row in rows]
        for rows in (
            Platform.objects.order_by("pk").values(*QUIRKS),
            PartnerView.objects.order_by("pk").values(),
            TariffView.objects.order_by("pk").values(),
            Obligation.objects.order_by("pk").values("pk", "wanted_version", "state"),
        )
    ]  # fmt: skip


def hours_end(randstad: Partner) -> str:
    return str(randstad.store.locations[PLACE]["opening_times"]["regular_hours"][0]["period_end"])


def price_end(randstad: Partner) -> str:
    return str(randstad.store.tariffs["BE", "YRD", "GENT-NIGHT"]["elements"][0]["restrictions"]["end_time"])


def shown_evses(randstad: Partner) -> dict[str, tuple[str, list[str]]]:
    """Status and connector standards by uid, as the partner holds them."""
    return {
        each["uid"]: (each["status"], [plug["standard"] for plug in each["connectors"]])
        for each in randstad.store.locations[PLACE]["evses"]
    }


class TestMidnight:
    def test_each_way_to_write_it_reaches_the_partner(
        self, bay: EVSE, party: Party, randstad: Partner
    ) -> None:
        """DIS-43, DIS-44: as specified 23:59 in hours and 00:00 in tariffs; else everywhere the same."""
        seen = {"": (hours_end(randstad), price_end(randstad))}
        for word in ("23:59", "00:00", ""):
            assert switch(party, midnight_as=word) is True
            seen[word] = hours_end(randstad), price_end(randstad)
        assert seen == {"": ("23:59", "00:00"), "23:59": ("23:59", "23:59"), "00:00": ("00:00", "00:00")}

    def test_only_what_differs_is_told(self, bay: EVSE, party: Party, randstad: Partner) -> None:
        """LOC-05, TAR-02: a document that stays equal keeps bytes and stamp."""
        randstad.requests.clear()
        place = PartnerView.objects.values("document", "last_updated").get()
        switch(party, midnight_as="23:59")
        assert [(each.method, each.path) for each in randstad.requests] == [
            ("PUT", f"{BASE}/tariffs/BE/YRD/GENT-NIGHT")
        ]
        assert PartnerView.objects.values("document", "last_updated").get() == place
        randstad.requests.clear()
        assert switch(party, midnight_as="23:59") is False
        assert randstad.requests == []

    def test_lists_and_pushes_agree(self, bay: EVSE, party: Party, randstad: Partner) -> None:
        """SYN-03: whoever pulls reads the bytes that were pushed."""
        switch(party, midnight_as="00:00")
        client = PartnerClient(party, "token-C-of-NL-EMS")
        told = {
            "locations": randstad.store.locations[PLACE],
            "tariffs": randstad.store.tariffs["BE", "YRD", "GENT-NIGHT"],
        }
        for module, held in told.items():
            listed = client.get(f"/ocpi/2.2.1/sender/{module}").data
            assert listed == [json.loads(json.dumps(held, default=float))], module

    def test_another_partner_is_not_touched(self, bay: EVSE, party: Party, randstad: Partner) -> None:
        with Partner("Nordlicht Mobil", "NL", "NLM") as nordlicht:
            other = connected(nordlicht, "NLM")
            publish_view(party=other, location=bay.location, publication=publication(), now=timezone.now())
            drain()
            nordlicht.requests.clear()
            switch(party, midnight_as="00:00")
            assert (hours_end(randstad), hours_end(nordlicht)) == ("00:00", "23:59")
            assert nordlicht.requests == []


class TestNacs:
    @pytest.fixture
    def nacs(self, bay: EVSE, party: Party) -> EVSE:
        """A second plug at the bay, and a bay with that plug alone: both NACS."""
        ConnectorFactory(evse=bay, ocpi_id="2", standard=NACS)
        alone: EVSE = EVSEFactory(location=bay.location, station_identity="GENT-002", plug__standard=NACS)
        publish_view(party=party, location=bay.location, publication=publication(), now=timezone.now())
        drain()
        return alone

    def test_it_is_left_out_and_a_bay_without_another_plug_with_it(
        self, nacs: EVSE, bay: EVSE, randstad: Partner
    ) -> None:
        """DIS-57, LOC-01: no word that OCPI 2.2.1 does not have, and no EVSE without a connector."""
        assert shown_evses(randstad) == {bay.uid: ("INOPERATIVE", ["IEC_62196_T2_COMBO"])}

    def test_it_is_called_tesla_s_where_the_partner_takes_that(
        self, nacs: EVSE, bay: EVSE, party: Party, randstad: Partner
    ) -> None:
        switch(party, nacs_as="TESLA_S")
        assert shown_evses(randstad) == {
            bay.uid: ("INOPERATIVE", ["IEC_62196_T2_COMBO", "TESLA_S"]),
            nacs.uid: ("INOPERATIVE", ["TESLA_S"]),
        }

    def test_a_bay_that_is_left_out_later_is_removed_and_stays_so(
        self, nacs: EVSE, party: Party, randstad: Partner
    ) -> None:
        """LOC-07: what a partner has seen does not vanish without a word, and no status brings it back."""
        switch(party, nacs_as="TESLA_S")
        switch(party, nacs_as="LEAVE_OUT")
        assert shown_evses(randstad)[nacs.uid] == ("REMOVED", ["TESLA_S"])
        randstad.requests.clear()
        at = timezone.now() + timedelta(seconds=1)
        report_status(station_identity="GENT-002", ocpp_connector=1, status=S.OUTOFORDER, at=at, now=at)
        drain()
        assert randstad.requests == []
        assert shown_evses(randstad)[nacs.uid] == ("REMOVED", ["TESLA_S"])


class TestPatch:
    @pytest.mark.parametrize(("is_off", "method"), [(False, "PATCH"), (True, "PUT")])
    def test_a_status_goes_as_the_partner_takes_it(
        self, is_off: bool, method: str, bay: EVSE, party: Party, randstad: Partner
    ) -> None:
        """LOC-12, OBJ-07: PATCH as specified; PUT of the whole EVSE to a partner that takes none."""
        switch(party, patch_not_supported=is_off)
        randstad.requests.clear()
        at = timezone.now()
        for status in (S.OUTOFORDER, S.REMOVED):
            report_status(station_identity="GENT-001", ocpp_connector=1, status=status, at=at, now=at)
            drain()
            at += timedelta(seconds=1)
        path = f"{BASE}/locations/{'/'.join(PLACE)}/{bay.uid}"
        assert [(each.method, each.path) for each in randstad.requests] == [(method, path)] * 2
        members = set(randstad.requests[-1].json)
        assert ("connectors" in members, "status" in members) == (is_off, True)


class TestSlash:
    @pytest.mark.parametrize("ends_with_slash", [False, True])
    def test_what_we_call_ends_as_the_partner_wants_it(
        self, ends_with_slash: bool, bay: EVSE, party: Party, randstad: Partner
    ) -> None:
        """DIS-03: pushes, the token list and real-time authorization; the query comes after the slash."""
        switch(party, trailing_slash=ends_with_slash)
        randstad.requests.clear()
        at = timezone.now()
        report_status(station_identity="GENT-001", ocpp_connector=1, status=S.OUTOFORDER, at=at, now=at)
        drain()
        pull_tokens(platform=party.platform, now=at)
        authorize_realtime(
            own_party=OwnPartyFactory(), party=party, token_uid="04A1", token_type=v221.TokenType.APP_USER,
            location=None, now=at,
        )  # fmt: skip
        end = "/" if ends_with_slash else ""
        assert [each.path for each in randstad.requests] == [
            f"{BASE}/locations/{'/'.join(PLACE)}/{bay.uid}{end}",
            f"{BASE}/tokens{end}",
            f"{BASE}/tokens/04A1/authorize{end}",
        ]
        assert (randstad.requests[1].query, randstad.requests[2].query) == (
            {"limit": "1000"},
            {"type": "APP_USER"},
        )


@given(
    slash=st.booleans(), segments=st.lists(st.text(min_size=1, max_size=5), max_size=3), ends=st.booleans()
)
def test_a_target_has_one_slash_at_its_end_or_what_was_announced(
    slash: bool, segments: list[str], ends: bool
) -> None:
    endpoint = f"https://partner.example/ocpi{'/' if ends else ''}"
    path = target(f"{endpoint}?key=1", segments, {"limit": "5"}, slash=slash)
    assert path.endswith("?key=1&limit=5")
    bare = path.partition("?")[0]
    assert "//" not in bare.removeprefix("https://")
    assert bare.endswith("/") == (slash or (ends and not segments))


@pytest.mark.parametrize(("cap", "limit"), [(None, "1000"), (50, "50"), (5000, "1000")])
def test_no_longer_pages_are_asked_for_than_the_partner_takes(
    cap: int | None, limit: str, party: Party, randstad: Partner
) -> None:
    """Its own cap is for it to state (X-Limit); this is for one that refuses a larger limit."""
    change_quirks(platform=party.platform, changes={"page_size_cap": cap}, now=MORNING)
    pull_tokens(platform=party.platform, now=MORNING)
    assert [each.query["limit"] for each in randstad.received("GET", f"{BASE}/tokens")] == [limit]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"midnight_as": "24:00"}, ValidationError),
        ({"nacs_as": "CCS"}, ValidationError),
        ({"page_size_cap": 0}, ValidationError),
        ({"midnight_as": "00:00", "nacs_as": "CCS"}, ValidationError),
        ({"status": "SUSPENDED"}, KeyError),
    ],
)
def test_a_value_that_a_quirk_does_not_have_changes_nothing(
    changes: dict[str, Any], error: type[Exception], bay: EVSE, party: Party, randstad: Partner
) -> None:
    randstad.requests.clear()
    before = everything()
    with pytest.raises(error):
        switch(party, **changes)
    drain()
    assert everything() == before
    assert randstad.requests == []


def test_all_quirks_are_off_for_a_new_partner() -> None:
    fresh = Platform()
    assert {name: getattr(fresh, name) for name in QUIRKS} == {
        "accept_raw_token": False, "trailing_slash": False, "patch_not_supported": False, "page_size_cap": None,
        "midnight_as": "", "nacs_as": "LEAVE_OUT", "cdr_mode": "push_and_pull", "on_ambiguous": "resend",
    }  # fmt: skip


def test_a_nacs_connector_stands_in_a_cdr_as_tesla_s(bay: EVSE) -> None:
    """CDR-01, DIS-57: a CDR must name a standard, and OCPI 2.2.1 has none that is nearer."""
    plug = ConnectorFactory(evse=bay, ocpi_id="2", standard=NACS)
    assert codec.encode(cdr_location(evse=bay, connector=plug)).count(b'"TESLA_S"') == 1
