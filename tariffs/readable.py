"""A tariff in words: what costs how much, and when. [pure]"""

from collections.abc import Iterator
from decimal import Decimal

from ocpi import v221

_Type = v221.TariffDimensionType
_PER = {
    _Type.ENERGY: "per kWh",
    _Type.TIME: "per hour of charging",
    _Type.PARKING_TIME: "per hour of parking",
    _Type.FLAT: "once",
}
_STEP = {_Type.ENERGY: "Wh", _Type.TIME: "s", _Type.PARKING_TIME: "s"}


def price_rows(tariff: v221.Tariff) -> Iterator[tuple[str, ...]]:
    """One line per price component: element, when, for what, price, VAT, step."""
    for number, element in enumerate(tariff.elements, start=1):
        when = conditions(element.restrictions)
        for component in element.price_components:
            unit = _STEP.get(component.type)
            yield (
                str(number),
                when,
                _PER[component.type],
                f"{amount(component.price)} {tariff.currency}",
                "not said" if component.vat is None else f"{amount(component.vat)} %",
                f"in steps of {component.step_size} {unit}" if unit and component.step_size > 1 else "–",
            )


def conditions(given: v221.TariffRestrictions | None) -> str:
    """When an element holds, in one line; `always` without restrictions."""
    if given is None:
        return "always"
    return "; ".join(_parts(given)) or "always"


def limits(tariff: v221.Tariff) -> Iterator[tuple[str, str]]:
    """What holds for the whole session or the whole tariff."""
    for name, price in (("At least", tariff.min_price), ("At most", tariff.max_price)):
        if price is not None:
            with_vat = "" if price.incl_vat is None else f" ({amount(price.incl_vat)} with VAT)"
            yield name, f"{amount(price.excl_vat)} {tariff.currency}{with_vat}"
    if tariff.type is not None:
        yield "Type", tariff.type.value
    if tariff.start_date_time is not None:
        yield "Valid from", f"{tariff.start_date_time:%d %b %Y %H:%M} UTC"
    if tariff.end_date_time is not None:
        yield "Valid to", f"{tariff.end_date_time:%d %b %Y %H:%M} UTC"
    for text in tariff.tariff_alt_text:
        yield f"Text ({text.language})", text.text


def amount(value: Decimal) -> str:
    """A number without exponent and without zeros that say nothing; money keeps its cents."""
    text = f"{value:f}"
    if "." not in text:
        return text
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _parts(given: v221.TariffRestrictions) -> Iterator[str]:
    if given.day_of_week:
        yield ", ".join(day.value.capitalize()[:3] for day in given.day_of_week)
    yield from _between("", given.start_time, given.end_time, "")
    yield from _between("", given.start_date, given.end_date, "")
    yield from _between("", given.min_kwh, given.max_kwh, " kWh")
    yield from _between("", given.min_power, given.max_power, " kW")
    yield from _between("", given.min_current, given.max_current, " A")
    yield from _between("minutes ", _minutes(given.min_duration), _minutes(given.max_duration), "")
    if given.reservation is not None:
        yield {"RESERVATION": "reserved", "RESERVATION_EXPIRES": "reservation that expires"}[
            given.reservation.value
        ]


def _minutes(seconds: int | None) -> Decimal | None:
    return None if seconds is None else Decimal(seconds) / 60


def _between(name: str, low: object, high: object, unit: str) -> Iterator[str]:
    if low is not None and high is not None:
        yield f"{name}{_text(low)}–{_text(high)}{unit}"
    elif low is not None:
        yield f"{name}from {_text(low)}{unit}"
    elif high is not None:
        yield f"{name}below {_text(high)}{unit}"


def _text(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
