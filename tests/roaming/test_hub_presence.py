"""Who is there: platforms that fall silent, come back, leave, and who is told of it; over real sockets."""

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from demo.partner import Partner as PartnerPlatform
from roaming.delivery.models import Lane, Obligation
from roaming.delivery.reasons import explain
from roaming.handshake import (
    invite_platform,
    resume_platform,
    revoke_credentials,
    suspend_platform,
    unregister,
)
from roaming.hub import presence
from roaming.hub.agreements import set_agreement
from roaming.hub.models import Agreement
from roaming.models import Endpoint, Party, Platform
from roaming.parties import add_own_party
from roaming.tasks import check_silent_platforms
from tests.factories import OwnPartyFactory, PartyFactory
from tests.partner_platform import connect, invite, yardgate
from tests.roaming.deliveries import TOKEN, drain, facts, in_background, let_pass, owe_bay, owe_cdr
from tests.roaming.hubs import ListeningPartner, agree, caller_of, connected, hub, nordlicht, routing_of, taxi

__all__ = ["facts", "hub", "nordlicht", "taxi", "yardgate"]

pytestmark = pytest.mark.django_db(transaction=True)

Presence = Party.Presence
SILENCE = timedelta(seconds=300)


def silent_since(party: Party, moment: datetime) -> None:
    """The last that was heard of a platform."""
    Platform.objects.filter(pk=party.platform_id).update(
        last_seen_at=moment, checked_at=None, connected_at=moment, created_at=moment
    )


def presence_of(party: Party) -> str:
    return str(Party.objects.get(pk=party.pk).presence)


def check() -> int:
    return presence.check_silent(clock=timezone.now)


def versions_asked(running: PartnerPlatform) -> int:
    return len(running.received("GET", "/versions"))


class TestCheck:
    def test_a_silent_platform_is_asked_for_its_versions_once(
        self, hub: Party, taxi: ListeningPartner
    ) -> None:
        """HCI-06, HUB-03: after 300 s; then it counts as heard, and is not asked again at once."""
        party = connected(taxi)
        silent_since(party, timezone.now() - SILENCE)
        assert [check(), check()] == [1, 0]
        [asked] = taxi.received("GET")
        assert (asked.path, asked.token, routing_of(asked)) == ("/ocpi/emsp/versions", TOKEN, {})
        assert presence_of(party) == "CONNECTED"

    def test_who_calls_us_is_not_asked(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-08: an inbound message begins the time anew."""
        party = connected(taxi)
        silent_since(party, timezone.now() - SILENCE)
        assert caller_of(party).get("/ocpi/versions").http_status == 200
        assert (check(), versions_asked(taxi)) == (0, 0)

    def test_who_was_heard_a_moment_less_ago_is_not_asked(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-06."""
        silent_since(connected(taxi), timezone.now() - SILENCE + timedelta(seconds=30))
        assert (check(), versions_asked(taxi)) == (0, 0)

    def test_only_connected_platforms_are_asked(self, hub: Party, taxi: ListeningPartner) -> None:
        for status in ("INVITED", "SUSPENDED", "UNREGISTERED"):
            party = PartyFactory(platform__status=status)
            silent_since(party, timezone.now() - 10 * SILENCE)
        assert (check(), versions_asked(taxi)) == (0, 0)

    def test_without_a_hub_nobody_is_asked_or_called_away(self, db: None, taxi: ListeningPartner) -> None:
        party = connected(taxi)
        silent_since(party, timezone.now() - SILENCE)
        presence.check_failed(platform=party.platform, now=timezone.now())
        assert (check(), versions_asked(taxi), presence_of(party)) == (0, 0, "CONNECTED")

    def test_one_that_hangs_keeps_no_other_back(
        self, hub: Party, taxi: ListeningPartner, nordlicht: ListeningPartner, settings: Any
    ) -> None:
        """HCI-07: all are asked at the same time, and each is judged when it has answered."""
        settings.OUTBOUND_TIMEOUT_SECONDS = 3.0
        hanging, lively = connected(taxi), connected(nordlicht)
        Party.objects.filter(pk=lively.pk).update(presence="OFFLINE")
        for party in (hanging, lively):
            silent_since(party, timezone.now() - SILENCE)
        taxi.fail("slow", on="/versions", seconds=30)
        began = time.monotonic()
        thread = in_background(check)
        while presence_of(lively) != "CONNECTED":
            assert time.monotonic() - began < 2.5
            time.sleep(0.02)
        assert presence_of(hanging) == "CONNECTED"
        thread.join()
        assert presence_of(hanging) == "OFFLINE"

    def test_two_rounds_at_once_ask_each_platform_once(self, hub: Party, taxi: ListeningPartner) -> None:
        silent_since(connected(taxi), timezone.now() - SILENCE)
        threads = [in_background(check) for _ in range(2)]
        for thread in threads:
            thread.join()
        assert versions_asked(taxi) == 1


class TestAwayAndBack:
    def test_a_failed_check_is_told_and_a_success_too(
        self, hub: Party, taxi: ListeningPartner, nordlicht: ListeningPartner
    ) -> None:
        """HCI-02, HCI-03, HCI-07, HUB-03, DIS-63: stop and start a peer; one PUT each, to who may know."""
        emsp, cpo = connected(taxi), connected(nordlicht)
        agree(emsp, cpo)
        drain()
        assert (taxi.heard, nordlicht.heard) == (
            [("DE/NLI", "CPO", "CONNECTED")], [("NL/EMS", "EMSP", "CONNECTED")]
        )  # fmt: skip
        nordlicht.stop()
        silent_since(cpo, timezone.now() - SILENCE)
        let_pass(2)
        check()
        drain()
        nordlicht.start()
        silent_since(cpo, timezone.now() - SILENCE)
        let_pass(2)
        check()
        drain()
        assert taxi.heard[1:] == [("DE/NLI", "CPO", "OFFLINE"), ("DE/NLI", "CPO", "CONNECTED")]
        stamps = [client["last_updated"] for _, client in taxi.told]
        assert stamps == sorted(set(stamps))
        assert {tuple(routing_of(each)) for each in taxi.received("PUT", "/hubclientinfo")} == {()}
        assert len(nordlicht.heard) == 1

    def test_any_message_brings_a_platform_back(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-07: also within the minute in which the use of its token was noted."""
        party = connected(taxi)
        client = caller_of(party)
        client.get("/ocpi/versions")
        Party.objects.filter(pk=party.pk).update(presence="OFFLINE")
        assert client.get("/ocpi/versions").http_status == 200
        assert presence_of(party) == "CONNECTED"

    def test_a_check_that_fails_after_the_platform_has_called_counts_for_nothing(
        self, hub: Party, taxi: ListeningPartner
    ) -> None:
        """HCI-07: its call came while we waited for its answer."""
        party = connected(taxi)
        asked_at = timezone.now()
        Platform.objects.filter(pk=party.platform_id).update(last_seen_at=timezone.now())
        presence.check_failed(platform=party.platform, now=asked_at)
        assert presence_of(party) == "CONNECTED"

    def test_who_is_away_is_asked_again_after_a_minute(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-07."""
        party = connected(taxi)
        Party.objects.filter(pk=party.pk).update(presence="OFFLINE")
        silent_since(party, timezone.now() - timedelta(seconds=50))
        assert check() == 0
        silent_since(party, timezone.now() - timedelta(seconds=61))
        assert (check(), presence_of(party)) == (1, "CONNECTED")

    def test_all_parties_of_a_platform_go_and_come_together(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-07; one that gave up its role stays SUSPENDED."""
        party = connected(taxi)
        second = PartyFactory(party_id="EM2", platform=party.platform)
        gone = PartyFactory(party_id="EM3", platform=party.platform, is_active=False, presence="SUSPENDED")
        presence.check_failed(platform=party.platform, now=timezone.now())
        assert [presence_of(each) for each in (party, second, gone)] == ["OFFLINE", "OFFLINE", "SUSPENDED"]
        silent_since(party, timezone.now() - SILENCE)
        check()
        assert [presence_of(each) for each in (party, second, gone)] == [
            "CONNECTED",
            "CONNECTED",
            "SUSPENDED",
        ]

    def test_who_has_no_agreement_is_not_told(
        self, hub: Party, taxi: ListeningPartner, nordlicht: ListeningPartner
    ) -> None:
        """HCI-02, HUB-28: nor who only plans to have one, of how the other is connected."""
        emsp, cpo = connected(taxi), connected(nordlicht)
        presence.check_failed(platform=cpo.platform, now=timezone.now())
        presence.set_presence(parties=[cpo], presence=Presence.CONNECTED, now=timezone.now())
        drain()
        assert (taxi.told, Obligation.objects.count()) == ([], 0)
        agree(emsp, cpo, "PLANNED")
        drain()
        presence.check_failed(platform=cpo.platform, now=timezone.now())
        drain()
        assert taxi.heard == [("DE/NLI", "CPO", "PLANNED")]

    def test_who_cannot_listen_is_owed_nothing(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-02: without the Receiver endpoint, or while it is away itself (HCI-09)."""
        emsp, cpo = connected(taxi), PartyFactory(role="CPO", party_id="NLI")
        Endpoint.objects.filter(module="hubclientinfo").delete()
        agree(emsp, cpo)
        Endpoint.objects.create(
            platform=emsp.platform,
            module="hubclientinfo",
            role="RECEIVER",
            url=taxi.endpoint("hubclientinfo"),
        )
        presence.check_failed(platform=emsp.platform, now=timezone.now())
        agree(emsp, cpo, "ENDED")
        assert (Obligation.objects.count(), drain(), taxi.told) == (0, 0, [])

    def test_the_change_of_an_agreement_is_told_to_both(
        self, hub: Party, taxi: ListeningPartner, nordlicht: ListeningPartner
    ) -> None:
        """HCI-02, HCI-04, HCI-05, HUB-28: planned, in force, ended; what is so already is not told again."""
        emsp, cpo = connected(taxi), connected(nordlicht)
        for status in ("PLANNED", "ACTIVE", "ACTIVE", "ENDED"):
            agree(emsp, cpo, status)
            drain()
            let_pass(2)
        assert [status for _, _, status in taxi.heard] == ["PLANNED", "CONNECTED", "SUSPENDED"]
        assert [status for _, _, status in nordlicht.heard] == ["PLANNED", "CONNECTED", "SUSPENDED"]

    def test_a_change_of_modules_alone_is_no_news(self, hub: Party, taxi: ListeningPartner) -> None:
        emsp, cpo = connected(taxi), PartyFactory(role="CPO", party_id="NLI")
        before = agree(emsp, cpo)
        drain()
        after = set_agreement(one=emsp, other=cpo, status=Agreement.Status.ACTIVE, modules=["locations"])
        assert (after.modules, after.changed_at, drain(), len(taxi.told)) == (
            ["locations"], before.changed_at, 0, 1
        )  # fmt: skip

    def test_a_new_party_of_ours_is_told_to_everybody(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-02; the same call again tells nothing."""
        connected(taxi)
        for _ in range(2):
            add_own_party(role="CPO", country_code="BE", party_id="YRD", name="Yardgate", now=timezone.now())
            drain()
            let_pass(2)
        assert taxi.heard == [("BE/YRD", "CPO", "CONNECTED")]


class TestDeliveries:
    def test_nothing_is_sent_to_who_is_away_and_money_waits(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-09, HCI-14: states are withdrawn, not queued; CDRs wait; what it missed goes when the party is back.

        What it had, and did not change, does not go again.
        """
        party = connected(taxi)
        owe_bay(party, "B0", "AVAILABLE")
        drain()
        taxi.forget()
        owe_bay(party, "B1", "AVAILABLE")
        presence.check_failed(platform=party.platform, now=timezone.now())
        owe_bay(party, "B2", "AVAILABLE")
        owe_cdr(party, "CDR-1")
        assert drain() == 0
        states = Obligation.objects.order_by("pk").values_list("object_key", "state")
        assert list(states) == [
            ("B0", "ACKED"), ("B1", "WITHHELD"), ("B2", "WITHHELD"), ("CDR-1", "PENDING")
        ]  # fmt: skip
        assert taxi.requests == []
        silent_since(party, timezone.now() - SILENCE)
        check()
        drain()
        sent = [each.path.rpartition("/2.2.1/")[2] for each in taxi.requests if "/versions" not in each.path]
        assert sorted(sent) == ["cdrs", "sessions/BE/YRD/B1", "sessions/BE/YRD/B2"]

    def test_what_was_withheld_a_moment_too_late_goes_out_all_the_same(
        self, hub: Party, taxi: ListeningPartner
    ) -> None:
        """HCI-14: a change that was noted by somebody who still saw the party away."""
        party = connected(taxi)
        owe_bay(party, "B1", "AVAILABLE")
        Obligation.objects.update(state="WITHHELD")
        assert drain() == 0
        check_silent_platforms()
        drain()
        assert list(taxi.sessions) == [("BE", "YRD", "B1")]

    def test_an_operator_reads_why_nothing_goes(self, hub: Party, taxi: ListeningPartner) -> None:
        party = connected(taxi)
        presence.check_failed(platform=party.platform, now=timezone.now())
        for state in ("PENDING", "WITHHELD"):
            words = explain(
                state=state, last_error="", attempts=0, breaker="CLOSED", platform_status="CONNECTED",
                presence=presence_of(party),
            )  # fmt: skip
            assert words == "Nothing is sent: the party is offline. It goes out when the party is back."

    def test_of_two_parties_on_one_platform_only_the_connected_one_gets_anything(
        self, hub: Party, taxi: ListeningPartner
    ) -> None:
        """HCI-14, P6: what waits for one does not hold up the other, in one lane."""
        party = connected(taxi)
        away = PartyFactory(party_id="EM2", platform=party.platform, presence="OFFLINE")
        for each in (away, party):
            owe_cdr(each, f"CDR-{each.party_id}")
        drain()
        [sent] = taxi.requests
        assert routing_of(sent)["ocpi-to-party-id"] == "EMS"
        assert drain() == 0

    def test_a_lane_and_the_hub_share_one_check(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-07: a lane whose probe fails makes the platform OFFLINE, and then asks no more by itself."""
        party = connected(taxi)
        owe_cdr(party, "CDR-1")
        Lane.objects.update(breaker="OPEN", failures=5, setbacks=1)
        taxi.stop()
        drain()
        assert presence_of(party) == "OFFLINE"
        let_pass(3600)
        assert drain() == 0
        taxi.start()
        taxi.accepted.add(TOKEN)
        silent_since(party, timezone.now() - SILENCE)
        check()
        drain()
        assert (versions_asked(taxi), len(taxi.cdrs)) == (1, 1)

    def test_what_the_hub_said_is_not_said_late(self, hub: Party, taxi: ListeningPartner) -> None:
        """HCI-09, HUB-23: who was away catches up by GET."""
        emsp, cpo = connected(taxi), PartyFactory(role="CPO", party_id="NLI")
        agree(emsp, cpo)
        presence.check_failed(platform=emsp.platform, now=timezone.now())
        presence.set_presence(parties=[cpo], presence=Presence.OFFLINE, now=timezone.now())
        presence.set_presence(parties=[emsp], presence=Presence.CONNECTED, now=timezone.now())
        drain()
        assert taxi.told == []


class TestComingAndGoing:
    """The four states by handshakes over the wire (HCI-04, HCI-05, HCI-10)."""

    @pytest.fixture
    def listener(self, hub: Party, nordlicht: ListeningPartner) -> ListeningPartner:
        nordlicht.party = connected(nordlicht)  # type: ignore[attr-defined]
        return nordlicht

    def status(self, listener: ListeningPartner) -> list[str]:
        let_pass(2)
        drain()
        return [status for _, role, status in listener.heard if role == "EMSP"]

    def test_a_party_from_its_invitation_to_its_end(
        self, yardgate: str, listener: ListeningPartner, taxi: ListeningPartner
    ) -> None:
        """HCI-04, HCI-05, HCI-10, CRD-06: PLANNED, CONNECTED, SUSPENDED; the hub's own object has the HUB role only."""
        token_a = invite(taxi)
        party = Party.objects.get(party_id="EMS")
        assert (party.presence, party.is_active) == ("PLANNED", False)
        agree(listener.party, party)  # type: ignore[attr-defined]
        assert self.status(listener) == ["PLANNED"]
        taxi.register(f"{yardgate}/ocpi/versions", token_a)
        assert [role["role"] for role in taxi.registered["roles"]] == ["HUB"]
        assert self.status(listener) == ["PLANNED", "CONNECTED"]
        taxi.unregister()
        assert self.status(listener) == ["PLANNED", "CONNECTED", "SUSPENDED"]
        assert Party.objects.filter(pk=party.pk).exists()

    def test_a_role_that_is_given_up_is_suspended(
        self, yardgate: str, listener: ListeningPartner, taxi: ListeningPartner
    ) -> None:
        """HCI-10: by PUT credentials; and CONNECTED when it is taken up again."""
        nsp = {"role": "NSP", "country_code": "NL", "party_id": "EMS", "business_details": {"name": "Taxi"}}
        roles = [("EMSP", "NL", "EMS"), ("NSP", "NL", "EMS")]
        invitation = invite_platform(name=taxi.name, roles=roles, now=timezone.now())
        both = [nsp, taxi.credentials_role]
        taxi.credentials_override = {"roles": both}
        taxi.register(f"{yardgate}/ocpi/versions", invitation.token_a)
        agree(listener.party, Party.objects.get(role="EMSP", party_id="EMS"))  # type: ignore[attr-defined]
        for kept in ([nsp], both):
            self.status(listener)
            taxi.credentials_override = {"roles": kept}
            assert taxi.rotate().code == 1000
        assert self.status(listener) == ["CONNECTED", "SUSPENDED", "CONNECTED"]
        assert presence_of(Party.objects.get(role="NSP")) == "CONNECTED"

    def test_a_platform_that_an_operator_suspends_is_offline_to_others(
        self, yardgate: str, listener: ListeningPartner, taxi: ListeningPartner
    ) -> None:
        """HCI-04: SUSPENDED would mean gone for good."""
        platform = connect(taxi, yardgate)
        agree(listener.party, platform.parties.get())  # type: ignore[attr-defined]
        self.status(listener)
        suspend_platform(platform=platform, now=timezone.now())
        assert self.status(listener) == ["CONNECTED", "OFFLINE"]
        resume_platform(platform=platform, now=timezone.now())
        assert self.status(listener) == ["CONNECTED", "OFFLINE", "CONNECTED"]

    def test_unregistering_from_our_side_tells_others(
        self, yardgate: str, listener: ListeningPartner, taxi: ListeningPartner
    ) -> None:
        """HCI-05, HCI-10; also one-sided."""
        platform = connect(taxi, yardgate)
        agree(listener.party, platform.parties.get())  # type: ignore[attr-defined]
        self.status(listener)
        unregister(platform=platform, now=timezone.now())
        revoke_credentials(platform=platform, now=timezone.now())
        assert self.status(listener) == ["CONNECTED", "SUSPENDED"]

    def test_an_invitation_for_others_takes_the_planned_back(
        self, hub: Party, taxi: ListeningPartner
    ) -> None:
        """HCI-04, HCI-05: who was told of it keeps it as SUSPENDED; of whom nobody knew nothing stays."""
        cpo = PartyFactory(role="CPO", party_id="NLI")
        roles = [("EMSP", "NL", "EMS"), ("EMSP", "NL", "EM2")]
        invite_platform(name="Randstad Taxi", roles=roles, now=timezone.now())
        agree(cpo, Party.objects.get(party_id="EMS"))
        invite_platform(name="Randstad Taxi", roles=[("EMSP", "NL", "EM3")], now=timezone.now())
        left = Party.objects.filter(platform__name="Randstad Taxi", role="EMSP").order_by("party_id")
        assert list(left.values_list("party_id", "presence")) == [("EM3", "PLANNED"), ("EMS", "SUSPENDED")]

    def test_without_a_hub_an_invitation_makes_no_party(self, db: None, taxi: ListeningPartner) -> None:
        OwnPartyFactory()
        invite(taxi)
        assert Party.objects.filter(party_id="EMS").count() == 0


def test_changes_at_the_same_moment_follow_each_other(
    hub: Party, taxi: ListeningPartner, nordlicht: ListeningPartner
) -> None:
    """Two partners fall silent, call and change their agreement at once: nobody waits in a circle."""
    emsp, cpo = connected(taxi), connected(nordlicht)
    agree(emsp, cpo)
    faults: list[BaseException] = []
    start = threading.Barrier(4)

    def storm(number: int) -> None:
        start.wait(10)
        try:
            for turn in range(8):
                party = (emsp, cpo)[(number + turn) % 2]
                fresh = Party.objects.get(pk=party.pk)
                if number % 2:
                    presence.heard(parties=[fresh], now=timezone.now())
                    agree(emsp, cpo, ("PLANNED", "ACTIVE")[turn % 2])
                else:
                    presence.check_failed(platform=party.platform, now=timezone.now())
        except BaseException as fault:
            faults.append(fault)

    threads = [in_background(storm, number=number) for number in range(4)]
    for thread in threads:
        thread.join()
    assert faults == []
