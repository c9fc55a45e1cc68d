"""Preferences choose the tariff: from their moment on, and from the start where the token brings them."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cdrs.corrections import Changes
from cdrs.models import CDR, Review
from cdrs.services import reseal
from ocpi import codec, v221
from roaming.models import Obligation
from sessions.models import Session
from sessions.periods import Reading
from sessions.services import add_readings, complete_session, set_preferences
from sessions.stored import changes_of
from sessions.wire import session_document
from tariffs.choice import TariffChange
from tests.cdrs.rows import sealed_or_reviewed
from tests.sessions.material import START, component, tariff
from tests.sessions.rows import active, bay, completed, partner, pending

pytestmark = pytest.mark.django_db

Answer = v221.ChargingPreferencesResponse
HOUR = timedelta(hours=1)
GREEN = tariff(
    v221.TariffElement(price_components=(component("ENERGY", "0.30"),)),
    id="gent-green",
    type=v221.TariffType.PROFILE_GREEN,
)
FAST = tariff(
    v221.TariffElement(price_components=(component("ENERGY", "0.60"),)),
    id="gent-fast",
    type=v221.TariffType.PROFILE_FAST,
)
ALL = (tariff(), GREEN, FAST)


def wish(session: Session, profile: str, now: datetime, **members: Any) -> v221.ChargingPreferencesResponse:
    given: dict[str, Any] = {"profile_type": profile}
    if profile in ("GREEN", "CHEAP"):
        given |= {"departure_time": now + 10 * HOUR, "energy_need": Decimal(20)}
    preferences = v221.ChargingPreferences(**(given | {"profile_type": v221.ProfileType(profile)} | members))
    return set_preferences(session=session, preferences=preferences, now=now)


def changes(session: Session) -> list[tuple[datetime | None, str]]:
    row = Session.objects.get(pk=session.pk)
    return [(change.at, change.tariff_id) for change in changes_of(row)]


def test_the_tariff_changes_in_the_middle_of_the_session() -> None:
    """TAR-25, SES-22: the shown period and the sealed one name the tariff of the preference from its moment on."""
    session = active(party=partner(), evse=bay(), tariffs=ALL)
    assert wish(session, "GREEN", START + HOUR) is Answer.ACCEPTED
    assert changes(session) == [(START + HOUR, "gent-green")]
    add_readings(
        session=session,
        readings=[Reading(START + HOUR, 1_010_000), Reading(START + 2 * HOUR, 1_020_000)],
        now=START + 2 * HOUR,
    )
    shown = session_document(Session.objects.select_related("own_party").get(pk=session.pk))
    starts = {period.tariff_id: period.start_date_time for period in reversed(shown.charging_periods)}
    assert starts == {"gent-night": START, "gent-green": START + HOUR}
    # 10 kWh x 0.35 + 0.50, then 10 kWh x 0.30.
    assert shown.total_cost == v221.Price(excl_vat=Decimal("7.00"), incl_vat=Decimal("8.47"))
    end = START + 2 * HOUR
    done = complete_session(
        session=session, ended_at=end, meter_stop_wh=1_020_000, end_reason="Local", now=end
    )
    cdr = sealed_or_reviewed(done)
    assert isinstance(cdr, CDR)
    billed = codec.decode_bytes(v221.CDR, bytes(cdr.body))
    assert [(period.start_date_time, period.tariff_id) for period in billed.charging_periods] == [
        (START, "gent-night"),
        (START + HOUR, "gent-green"),
    ]
    assert [used.id for used in billed.tariffs] == ["gent-night", "gent-green"]
    assert billed.total_cost == v221.Price(excl_vat=Decimal("7.00"), incl_vat=Decimal("8.47"))


def test_a_regular_wish_goes_back_to_the_regular_tariff() -> None:
    """TAR-25."""
    session = active(party=partner(), evse=bay(), tariffs=ALL)
    wish(session, "GREEN", START + HOUR)
    wish(session, "FAST", START + 2 * HOUR)
    wish(session, "REGULAR", START + 3 * HOUR)
    assert [name for _, name in changes(session)] == ["gent-green", "gent-fast", "gent-night"]


def test_the_same_wish_again_is_no_change() -> None:
    session = active(party=partner(), evse=bay(), tariffs=ALL)
    for hours in (1, 2):
        assert wish(session, "FAST", START + hours * HOUR) is Answer.ACCEPTED
    assert changes(session) == [(START + HOUR, "gent-fast")]


def test_a_wish_before_the_start_counts_from_the_start() -> None:
    """TAR-25: while the station is asked to start."""
    session = pending(party=partner(), evse=bay(), tariffs=ALL)
    wish(session, "FAST", START)
    wish(session, "GREEN", START + timedelta(seconds=10))
    assert changes(session) == [(None, "gent-green")]
    wish(session, "REGULAR", START + timedelta(seconds=20))
    assert changes(session) == []


@pytest.mark.parametrize(
    ("profile", "members", "expected"),
    [
        ("CHEAP", {}, Answer.PROFILE_TYPE_NOT_SUPPORTED),
        ("GREEN", {"departure_time": None}, Answer.DEPARTURE_REQUIRED),
        ("GREEN", {"energy_need": None}, Answer.ENERGY_NEED_REQUIRED),
        ("GREEN", {"departure_time": START}, Answer.NOT_POSSIBLE),
        # The socket gives 22.08 kW: 220.8 kWh in ten hours.
        ("GREEN", {"energy_need": Decimal("220.9")}, Answer.NOT_POSSIBLE),
        ("FAST", {"discharge_allowed": True}, Answer.NOT_POSSIBLE),
    ],
)
def test_a_wish_that_is_not_accepted_changes_nothing(
    profile: str, members: dict[str, Any], expected: v221.ChargingPreferencesResponse
) -> None:
    """SES-21, SES-22."""
    session = active(party=partner(), evse=bay(), tariffs=ALL)
    before = Session.objects.values().get(), Obligation.objects.values().get()
    assert wish(session, profile, START + HOUR, **members) is expected
    assert (Session.objects.values().get(), Obligation.objects.values().get()) == before


def test_just_as_much_as_the_connector_gives_is_possible() -> None:
    """SES-21: what was delivered already need not be delivered again."""
    session = active(party=partner(), evse=bay(), tariffs=ALL)
    assert wish(session, "GREEN", START + HOUR, energy_need=Decimal("220.8")) is Answer.ACCEPTED
    add_readings(session=session, readings=[Reading(START + HOUR, 1_010_000)], now=START + HOUR)
    assert wish(session, "GREEN", START + HOUR, energy_need=Decimal("230.8")) is Answer.ACCEPTED
    assert wish(session, "GREEN", START + HOUR, energy_need=Decimal("230.9")) is Answer.NOT_POSSIBLE


def test_the_tokens_own_preference_chooses_the_tariff_from_the_start() -> None:
    """TOK-24, TAR-25: also when the station says that it started before we knew of it."""
    session = active(
        party=partner(), evse=bay(), tariffs=ALL, profile_type=v221.ProfileType.GREEN, started_at=START
    )
    assert changes(session) == [(None, "gent-green")]
    add_readings(session=session, readings=[Reading(START + HOUR, 1_010_000)], now=START + HOUR)
    shown = session_document(Session.objects.select_related("own_party").get(pk=session.pk))
    assert {period.tariff_id for period in shown.charging_periods} == {"gent-green"}
    assert shown.total_cost == v221.Price(excl_vat=Decimal("3.00"), incl_vat=Decimal("3.63"))


@pytest.mark.parametrize("profile", [None, v221.ProfileType.REGULAR, v221.ProfileType.CHEAP])
def test_a_token_without_a_tariff_of_its_preference_charges_at_the_regular_one(
    profile: v221.ProfileType | None,
) -> None:
    """TOK-24."""
    assert changes(active(party=partner(), evse=bay(), tariffs=ALL, profile_type=profile)) == []


def test_a_person_who_names_other_tariffs_takes_the_drivers_choice_back() -> None:
    """A corrected session can always be priced."""

    session = completed(
        party=partner(), evse=bay(), tariffs=ALL, profile_type=v221.ProfileType.GREEN, energy_wh=0
    )
    assert isinstance(sealed_or_reviewed(session), Review)
    corrected = Changes(tariffs=(tariff(),), meter_stop_wh=1_020_000, ended_at=START + 2 * HOUR, accepted=())
    cdr = reseal(
        session=session, changes=corrected, made_by="jan", reason="wrong tariff", now=START + 3 * HOUR
    )
    assert isinstance(cdr, CDR), cdr.reasons
    billed = codec.decode_bytes(v221.CDR, bytes(cdr.body))
    assert [used.id for used in billed.tariffs] == ["gent-night"]


def test_a_change_is_kept_to_the_millisecond() -> None:
    session = active(party=partner(), evse=bay(), tariffs=ALL)
    moment = START + timedelta(minutes=7, microseconds=123_456)
    wish(session, "FAST", moment)
    assert changes_of(Session.objects.get()) == [
        TariffChange(at=START + timedelta(minutes=7, milliseconds=123), tariff_id="gent-fast")
    ]
