"""The OCPI face of charging profiles over real HTTP: what is asked for is there, and what is bad is refused."""

from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone

from chargers.models import StationCall
from charging.models import ProfileRequest
from charging.transactions import Begin, started
from locations.models import EVSE
from roaming.models import Obligation
from sessions.models import Session
from tests.charging.test_views import start, taxi
from tests.partner_platform import Partner, partner, yardgate

__all__ = ["partner", "taxi", "yardgate"]

pytestmark = pytest.mark.django_db(transaction=True)

PROFILE = {"charging_rate_unit": "A", "charging_profile_period": [{"start_period": 0, "limit": 16}]}


@pytest.fixture
def session(taxi: Partner) -> Session:
    """A charge of Randstad Taxi at a bay that takes profiles."""
    EVSE.objects.update(capabilities=["CHARGING_PROFILE_CAPABLE"])
    bay = EVSE.objects.get(station_identity="GENT-02")
    answer, _ = taxi.command("START_SESSION", **start(taxi, bay))
    assert answer.data["result"] == "ACCEPTED"
    tag = StationCall.objects.get().payload["idTag"]
    now = timezone.now()
    started(begin=Begin("GENT-02", 1, tag, now, 1000), now=now)
    StationCall.objects.all().delete()
    Obligation.objects.all().delete()
    return Session.objects.get()


def nothing_happened() -> bool:
    kinds = ("profile_result", "active_profile")
    return not (
        StationCall.objects.exists()
        or ProfileRequest.objects.exists()
        or Obligation.objects.filter(kind__in=kinds).exists()
    )


def refused(answer: Any, named: str) -> None:
    assert (answer.http_status, answer.code) == (200, 2001), answer.body
    assert named in answer.json["status_message"]
    assert nothing_happened()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_each_request_is_answered_at_once_with_its_timeout(
    taxi: Partner, session: Session, method: str
) -> None:
    """CHP-01, HUB-02: no worker and no station has run."""
    members: dict[str, Any] = {"GET": {"duration": 900}, "PUT": {"charging_profile": PROFILE}, "DELETE": {}}[
        method
    ]
    answer, _ = taxi.profile(method, str(session.pk), **members)
    assert (answer.http_status, answer.code) == (200, 1000)
    assert answer.data == {"result": "ACCEPTED", "timeout": 45}
    assert answer.headers["ocpi-to-party-id"] == "EMS"
    assert StationCall.objects.count() == 1
    assert not Obligation.objects.filter(kind="profile_result").exists()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_url_for_the_result_is_decoded_with_its_own_query(
    taxi: Partner, session: Session, method: str
) -> None:
    """CHP-04."""
    wanted = f"{taxi.url}/results?request_id=5678&who=a%2Fb"
    url = (
        f"{taxi.endpoints['chargingprofiles', 'RECEIVER']}/{session.pk}?response_url={quote(wanted, safe='')}"
    )
    if method == "GET":
        url += "&duration=900"
    assert taxi.call(method, url, headers=taxi.routing()).data["result"] == "ACCEPTED"
    assert ProfileRequest.objects.get().response_url == wanted


@pytest.mark.parametrize(
    ("method", "query", "named"),
    [
        ("GET", "duration=900", "response_url"),
        ("GET", "response_url={url}", "duration"),
        ("GET", "response_url={url}&duration=", "duration"),
        ("GET", "response_url={url}&duration=0", "duration"),
        ("GET", "response_url={url}&duration=-5", "duration"),
        ("GET", "response_url={url}&duration=9.5", "duration"),
        ("GET", "response_url={url}&duration=604801", "duration"),
        ("GET", "response_url={url}&duration=99999999999999999999", "duration"),
        ("GET", "response_url={url}&duration=900&duration=60", "duration"),
        ("DELETE", "", "response_url"),
        ("DELETE", "response_url=", "response_url"),
        ("DELETE", "response_url={url}&response_url={url}", "response_url"),
        ("DELETE", "response_url={url}%0d%0aX:%20y", "response_url"),
        ("DELETE", "response_url=http%3A%2F%2Fevil.example%2Fresults", "response_url"),
        ("DELETE", "response_url=http%3A%2F%2F10.0.0.7%2Fresults", "response_url"),
    ],
)
def test_a_query_that_lacks_something_or_leads_elsewhere_is_refused(
    taxi: Partner, session: Session, method: str, query: str, named: str
) -> None:
    """CHP-03, O6, O7: nothing is stored, and the station is not asked."""
    text = query.format(url=quote(f"{taxi.url}/results", safe=""))
    url = f"{taxi.endpoints['chargingprofiles', 'RECEIVER']}/{session.pk}?{text}"
    refused(taxi.call(method, url, headers=taxi.routing()), named)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"response_url": None}, "response_url"),
        ({"response_url": "http://evil.example/results"}, "response_url"),
        ({"charging_profile": None}, "charging_profile"),
        ({"charging_profile": {"charging_profile_period": []}}, "charging_rate_unit"),
        ({"charging_profile": PROFILE | {"charging_rate_unit": "kW"}}, "charging_rate_unit"),
        (
            {"charging_profile": PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": 8.15}]}},
            "limit",
        ),
        (
            {"charging_profile": PROFILE | {"charging_profile_period": [{"start_period": 0, "limit": -1}]}},
            "charging_profile.charging_profile_period[0].limit",
        ),
        ({"charging_profile": PROFILE | {"min_charging_rate": 6.55}}, "min_charging_rate"),
    ],
)
def test_a_profile_that_is_none_is_refused(
    taxi: Partner, session: Session, change: dict[str, Any], named: str
) -> None:
    """CHP-11, STS-03, O6: a second decimal is refused, not rounded."""
    answer, _ = taxi.profile("PUT", str(session.pk), **({"charging_profile": PROFILE} | change))
    refused(answer, named)


def test_a_wrong_body_tells_nothing_about_whose_session_it_is(taxi: Partner, session: Session) -> None:
    """B13."""
    answers = [
        taxi.profile("PUT", key, charging_profile={})[0].json["status_message"]
        for key in (str(session.pk), "nope")
    ]
    assert answers[0] == answers[1]
    assert nothing_happened()


def test_an_emsp_may_use_other_ids_toward_its_scsp_but_not_toward_us(taxi: Partner, session: Session) -> None:
    """CHP-19: the eMSP in between maps the id, and what we send carries our own."""
    mapped = {"scsp-17": str(session.pk)}
    assert taxi.profile("PUT", "scsp-17", charging_profile=PROFILE)[0].data["result"] == "UNKNOWN_SESSION"
    assert nothing_happened()
    assert taxi.profile("PUT", mapped["scsp-17"], charging_profile=PROFILE)[0].data["result"] == "ACCEPTED"
    assert ProfileRequest.objects.get().session_id == session.pk


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_not_allowed(taxi: Partner, session: Session, method: str) -> None:
    """HTP-01."""
    url = f"{taxi.endpoints['chargingprofiles', 'RECEIVER']}/{session.pk}"
    answer = taxi.call(method, url, {}, headers=taxi.routing())
    assert (answer.http_status, answer.headers["allow"]) == (405, "GET, PUT, DELETE")
    assert nothing_happened()
