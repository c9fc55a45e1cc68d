"""The lines of ``manage.py price``: both shapes, the explanation, and errors that stop nothing."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from ocpi import codec
from tariffs.price_lines import answer

TARIFF = codec.parse(
    b'{"country_code":"BE","party_id":"YRD","id":"GENT-NIGHT","currency":"EUR","elements":[{"price_components":'
    b'[{"type":"ENERGY","price":0.25,"vat":21,"step_size":1}]}],"last_updated":"2026-01-01T00:00:00Z"}'
)
PERIODS: dict[str, Any] = {
    "name": "Gent Noord 1",
    "timezone": "Europe/Brussels",
    "currency": "EUR",
    "tariffs": [TARIFF],
    "session": {"start_date_time": "2026-05-04T10:00:00Z", "end_date_time": "2026-05-04T11:00:00Z"},
    "charging_periods": [
        {"start_date_time": "2026-05-04T10:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 10}]}
    ],
}
METER: dict[str, Any] = {
    "name": "Gent Noord 2",
    "timezone": "Europe/Brussels",
    "tariffs": [TARIFF],
    "start": "2026-05-04T10:00:00Z",
    "stop": "2026-05-04T11:00:00Z",
    "meter_wh": [["2026-05-04T10:00:00Z", 1000], ["2026-05-04T11:00:00Z", 11000]],
    "suspended_ev_from": None,
    "reservation": None,
}
COSTS = (
    b'"total_cost":{"excl_vat":2.50,"incl_vat":3.03},"total_energy_cost":{"excl_vat":2.50,"incl_vat":3.03}'
)


def _answer(line: dict[str, Any], **options: Any) -> bytes:
    return answer(codec.encode(line), **options)


def test_line_with_periods_is_answered_with_rounded_totals() -> None:
    assert _answer(PERIODS) == b'{"name":"Gent Noord 1",' + COSTS + b"}"


def test_line_with_readings_is_answered_with_rounded_totals() -> None:
    assert _answer(METER) == b'{"name":"Gent Noord 2",' + COSTS + b"}"


def test_explanation_adds_unrounded_totals_volumes_and_lines() -> None:
    explained = codec.parse(_answer(METER, explain=True))

    assert explained["unrounded"] == codec.parse(
        b'{"total_cost":{"excl_vat":2.5,"incl_vat":3.025},"total_energy_cost":{"excl_vat":2.5,"incl_vat":3.025}}'
    )
    assert (explained["total_energy"], explained["total_time"], explained["total_parking_time"]) == (10, 1, 0)
    assert explained["currency"] == "EUR"
    assert explained["limited_by"] is None
    assert explained["lines"] == codec.parse(
        b'[{"period":"2026-05-04T10:00:00Z","start":"2026-05-04T10:00:00Z","dimension":"ENERGY",'
        b'"tariff_id":"GENT-NIGHT","element":0,"component":0,"volume":10,"billed_volume":10,"step_size":1,'
        b'"price":0.25,"vat":21,"excl_vat":2.5,"incl_vat":3.025}]'
    )


def test_meter_may_show_parts_of_a_wh() -> None:
    readings = codec.parse(b'[["2026-05-04T10:00:00Z",1000.4],["2026-05-04T11:00:00Z",10999.5]]')

    assert COSTS in _answer({**METER, "meter_wh": readings})


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "body is not JSON"),
        (b"\xff", "body is not UTF-8 at byte 0"),
        (b"[]", "a line must be a JSON object"),
        (
            b'{"name":null}',
            "a line needs charging_periods (with session) or meter_wh (with start and stop)",
        ),
    ],
)
def test_line_that_is_no_session_is_answered_without_name(line: bytes, error: str) -> None:
    given = codec.parse(answer(line))

    assert set(given) == {"name", "error"}
    assert given["name"] is None
    assert given["error"].startswith(error)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"timezone": "Gent"}, "time zone 'Gent' is not an IANA name such as Europe/Brussels"),
        ({"currency": "CHF"}, "currency is CHF, but tariff GENT-NIGHT is in EUR"),
        ({"tariffs": []}, "tariffs is empty: give at least one, a free tariff included"),
        ({"charging_periods": []}, "charging_periods is empty: a session has at least one period"),
        ({"session": None}, "session: is required"),
    ],
)
def test_session_that_cannot_be_priced_is_answered_with_name_and_error(
    change: dict[str, Any], error: str
) -> None:
    assert codec.parse(_answer({**PERIODS, **change})) == {"name": "Gent Noord 1", "error": error}


def test_reading_that_is_no_number_is_named() -> None:
    readings = [["2026-05-04T10:00:00Z", "full"]]

    given = codec.parse(_answer({**METER, "meter_wh": readings}))

    assert given["name"] == "Gent Noord 2"
    assert given["error"].startswith("meter_wh[0][1]: ")


numbers = st.decimals(-(10**12), 10**12, places=6) | st.integers(-5, 10**12)


@given(numbers, numbers, numbers, st.integers(0, 2**31 - 1))
def test_any_number_gives_a_bill_or_an_error(rate: Any, volume: Any, vat: Any, step: int) -> None:
    priced = {"type": "ENERGY", "price": rate, "vat": vat, "step_size": step}
    tariff = {**TARIFF, "elements": [{"price_components": [priced]}]}
    period = {**PERIODS["charging_periods"][0], "dimensions": [{"type": "ENERGY", "volume": volume}]}

    given = codec.parse(_answer({**PERIODS, "tariffs": [tariff], "charging_periods": [period]}, explain=True))

    assert ("error" in given) != ("total_cost" in given)


def test_command_answers_every_line_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"\n".join([codec.encode(PERIODS), b"", b"broken", codec.encode(METER)])
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=output))

    call_command("price")

    answers = [codec.parse(line) for line in output.getvalue().splitlines()]
    assert [given["name"] for given in answers] == ["Gent Noord 1", None, "Gent Noord 2"]
    assert ["error" in given for given in answers] == [False, True, False]


def test_command_explains_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(codec.encode(METER))))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=output))

    call_command("price", "--explain")

    assert output.getvalue() == _answer(METER, explain=True) + b"\n"
