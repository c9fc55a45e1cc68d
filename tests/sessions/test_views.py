"""The OCPI face of sessions through the whole stack."""

import uuid
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.utils import timezone

from ocpi import codec, v221
from ocpi.scalars import write_datetime
from roaming.models import Obligation
from sessions.models import Session
from sessions.services import Reading, add_readings, invalidate_session
from sessions.wire import session_document
from tests.contracts import SenderContract
from tests.partners import PartnerClient, Reply, a_partner
from tests.sessions.material import START, component, tariff
from tests.sessions.rows import active, bay, completed, pending

PATH = "/ocpi/2.2.1/sender/sessions"
TOMORROW = write_datetime(timezone.now() + timedelta(days=1))
CAPABLE = {"capabilities": ["RFID_READER", "CHARGING_PREFERENCES_CAPABLE"]}
GREEN = tariff(
    v221.TariffElement(price_components=(component("ENERGY", "0.30"),)),
    type=v221.TariffType.PROFILE_GREEN,
)


class TestSessions(SenderContract):
    """SES-01, SES-03 and the PAG suite: a list without any parameter is served."""

    path: ClassVar[str] = PATH
    list_queries: ClassVar[int] = 3

    def make(self, partner: PartnerClient, count: int) -> list[str]:
        assert partner.party is not None
        return [
            str(pending(party=partner.party, evse=bay(number), now=self.at(number)).pk)
            for number in range(count)
        ]


pytestmark = pytest.mark.django_db


def refused(reply: Reply, http_status: int, status_code: int) -> None:
    assert (reply.http_status, reply.status_code, reply.data) == (http_status, status_code, None)


def test_two_partners_see_disjoint_lists() -> None:
    """SES-04, B2: also when both ask with the other's window."""
    taxi, couriers = a_partner(), a_partner("NL", "TNM")
    assert taxi.party is not None
    assert couriers.party is not None
    first = pending(party=taxi.party, evse=bay(1))
    second = pending(party=couriers.party, evse=bay(2))
    assert [each["id"] for each in taxi.get(PATH).data] == [str(first.pk)]
    assert [each["id"] for each in couriers.get(PATH).data] == [str(second.pk)]


def test_a_served_session_is_the_pushed_one() -> None:
    """SES-16 to SES-18, TYP-04, TYP-07: the list shows what the push shows."""
    taxi = a_partner()
    assert taxi.party is not None
    session = completed(party=taxi.party, evse=bay())
    stored = Session.objects.select_related("own_party").get(pk=session.pk)
    (shown,) = codec.parse(taxi.get(PATH).body)["data"]
    assert shown == codec.parse(codec.encode(session_document(stored)))
    assert (shown["kwh"], shown["status"], shown["end_date_time"]) == (
        20,
        "COMPLETED",
        "2026-11-20T21:00:00Z",
    )


def test_every_session_is_served_with_the_bytes_of_its_object() -> None:
    """SES-16 to SES-18: whatever its status, with and without cost, end, reference and periods."""
    taxi = a_partner()
    assert taxi.party is not None
    pending(party=taxi.party, evse=bay(1), authorization_reference="")
    active(party=taxi.party, evse=bay(2))
    completed(party=taxi.party, evse=bay(3))
    invalidate_session(session=pending(party=taxi.party, evse=bay(4)), reason="no start", now=START)
    Session.objects.filter(status="COMPLETED").update(total_cost_incl_vat=None)
    rows = Session.objects.select_related("own_party").order_by("created_at", "id")
    objects = b",".join(codec.encode(session_document(row)) for row in rows)
    assert len(rows) == 4
    assert taxi.get(PATH).body.startswith(b'{"data":[' + objects + b"],")


def test_a_changed_session_is_pulled_by_its_new_stamp() -> None:
    """PAG-02, DIS-27."""
    taxi = a_partner()
    assert taxi.party is not None
    session = active(party=taxi.party, evse=bay())
    newest = taxi.get(PATH).data[0]["last_updated"]
    later = START + timedelta(minutes=20)
    add_readings(session=session, readings=[Reading(later, 1_005_000)], now=later)
    after = datetime.fromisoformat(newest) + timedelta(milliseconds=1)
    (shown,) = taxi.get(PATH, date_from=after.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z").data
    assert (shown["kwh"], shown["last_updated"]) == (5, "2026-11-20T19:20:00Z")


def preferences(**members: Any) -> dict[str, Any]:
    return {"profile_type": "REGULAR", **members}


def put(client: PartnerClient, session: Session | str, body: Any) -> Reply:
    key = session if isinstance(session, str) else session.pk
    return client.put(f"{PATH}/{key}/charging_preferences", body)


def stored_preferences(session: Session) -> bytes:
    return bytes(Session.objects.get(pk=session.pk).charging_preferences)


def test_preferences_on_a_bay_that_is_not_capable_are_refused() -> None:
    """SES-20: HTTP 404 with 2001, and nothing is kept."""
    taxi = a_partner()
    assert taxi.party is not None
    session = active(party=taxi.party, evse=bay())
    refused(put(taxi, session, preferences()), 404, 2001)
    assert stored_preferences(session) == b""


@pytest.mark.parametrize(
    ("tariffs", "body", "expected"),
    [
        ((tariff(),), preferences(), "ACCEPTED"),
        ((tariff(),), preferences(profile_type="GREEN"), "PROFILE_TYPE_NOT_SUPPORTED"),
        ((tariff(),), preferences(profile_type="FAST"), "PROFILE_TYPE_NOT_SUPPORTED"),
        ((GREEN,), preferences(profile_type="GREEN"), "DEPARTURE_REQUIRED"),
        ((GREEN,), preferences(profile_type="GREEN", departure_time=TOMORROW), "ENERGY_NEED_REQUIRED"),
        (
            (GREEN,),
            preferences(profile_type="GREEN", departure_time=TOMORROW, energy_need=30),
            "ACCEPTED",
        ),
        (
            (GREEN,),
            preferences(profile_type="GREEN", departure_time="2020-01-01T05:00:00Z", energy_need=30),
            "NOT_POSSIBLE",
        ),
        (
            (GREEN,),
            preferences(profile_type="GREEN", departure_time=TOMORROW, energy_need=600),
            "NOT_POSSIBLE",
        ),
        ((tariff(),), preferences(discharge_allowed=True), "NOT_POSSIBLE"),
    ],
)
def test_the_answer_to_preferences_is_the_enum_value_itself(
    tariffs: tuple[v221.Tariff, ...], body: dict[str, Any], expected: str
) -> None:
    """SES-21, SES-22: all five answers; 22 kW do not make 600 kWh in a day."""
    taxi = a_partner()
    assert taxi.party is not None
    session = active(party=taxi.party, evse=bay(**CAPABLE), tariffs=tariffs)
    before = Obligation.objects.values().get()
    reply = put(taxi, session, body)
    assert (reply.http_status, reply.status_code, reply.data) == (200, 1000, expected)
    kept = stored_preferences(session)
    assert (codec.parse(kept) if kept else None) == (body if expected == "ACCEPTED" else None)
    # Preferences are no part of the Session: nothing is owed, and its stamp stays.
    assert Obligation.objects.values().get() == before


def test_preferences_after_the_end_are_not_possible() -> None:
    """SES-11, SES-21."""
    taxi = a_partner()
    assert taxi.party is not None
    session = completed(party=taxi.party, evse=bay(**CAPABLE))
    assert put(taxi, session, preferences()).data == "NOT_POSSIBLE"
    assert stored_preferences(session) == b""


@pytest.mark.parametrize(
    "body", [{}, {"profile_type": "green"}, {"profile_type": "REGULAR", "energy_need": "x"}]
)
def test_damaged_preferences_are_refused(body: dict[str, Any]) -> None:
    """STS-03, TYP-11."""
    taxi = a_partner()
    assert taxi.party is not None
    session = active(party=taxi.party, evse=bay(**CAPABLE))
    refused(put(taxi, session, body), 200, 2001)
    assert stored_preferences(session) == b""


def test_a_session_of_another_answers_as_an_unknown_one() -> None:
    """B13, B16: same status, same bytes; nothing is kept."""
    taxi, couriers = a_partner(), a_partner("NL", "TNM")
    assert couriers.party is not None
    session = active(party=couriers.party, evse=bay(**CAPABLE))
    replies = [
        put(taxi, key, preferences()) for key in (str(session.pk), str(uuid.uuid4()), "no-such-session")
    ]
    assert len({reply.without_timestamp() for reply in replies}) == 1
    refused(replies[0], 404, 2000)
    assert stored_preferences(session) == b""


def test_other_methods_on_preferences_are_not_allowed() -> None:
    """HTP-01."""
    taxi = a_partner()
    assert taxi.party is not None
    session = active(party=taxi.party, evse=bay(**CAPABLE))
    for method in ("GET", "POST", "PATCH", "DELETE"):
        reply = taxi.call(method, f"{PATH}/{session.pk}/charging_preferences", {})
        assert (reply.http_status, reply.headers["Allow"]) == (405, "PUT")


def test_an_invalid_session_is_listed_as_such() -> None:
    """SES-11."""
    taxi = a_partner()
    assert taxi.party is not None
    session = pending(party=taxi.party, evse=bay())
    invalidate_session(session=session, reason="start FAILED", now=START + timedelta(minutes=1))
    assert taxi.get(PATH).data[0]["status"] == "INVALID"
