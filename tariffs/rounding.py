"""How figures are carried and, once, rounded.

Everything before ``round_money`` is exact or carried with twenty decimals, so that the only rounding a
driver can see is the one in ``round_money``.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from types import MappingProxyType

from ocpi import v221
from tariffs.currencies import MINOR_UNITS

SECONDS_PER_HOUR = Decimal(3600)
_CARRIED = Decimal(1).scaleb(-20)
_STATED = Decimal(1).scaleb(-12)
_NOISE = Decimal(1).scaleb(-6)
_HOURS = Decimal(1).scaleb(-4)
_CONTEXT = Context(prec=120, rounding=ROUND_HALF_EVEN)
_MINOR: Mapping[str, Decimal] = MappingProxyType(
    {code: Decimal(1).scaleb(-units) for code, units in MINOR_UNITS.items()}
)


def exactly() -> AbstractContextManager[Context]:
    """Arithmetic with room for every product of two OCPI numbers, whatever context the caller has."""
    return localcontext(_CONTEXT)


def carry(value: Decimal) -> Decimal:
    """The twenty decimals that are kept of a quotient (kWh, seconds or money)."""
    return value.quantize(_CARRIED)


def state(value: Decimal) -> Decimal:
    """An unrounded figure as the explain report states it: twelve decimals, no trailing zeros.

    Thirds that add up to a whole are a whole again here, so that ``round_money`` sees the half it must
    round up and not 0.00499…9.
    """
    return plain(value.quantize(_STATED))


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent."""
    whole = value.to_integral_value()
    return whole.quantize(Decimal(1)) if whole == value else value.normalize()


def round_money(amount: v221.Price, *, currency: str) -> v221.Price:
    """Round an amount to the minor unit of its currency, half up, each side on its own.

    The one place where money is rounded. ``amount`` is unrounded, as ``state`` gives it.
    """
    unit = _MINOR[currency]
    incl_vat = amount.incl_vat
    return v221.Price(
        excl_vat=amount.excl_vat.quantize(unit, ROUND_HALF_UP),
        incl_vat=None if incl_vat is None else incl_vat.quantize(unit, ROUND_HALF_UP),
    )


def seconds_of(hours: Decimal) -> Decimal:
    """Seconds that a volume in hours stands for.

    OCPI writes hours with about four decimals: 20 minutes arrive as 0.3333 and would be 1199.88 s. When a
    whole second lies within the last digit written, that second is meant; otherwise the figure is taken
    as it is. Without this a step_size of 600 s would bill 30 minutes for 0.333334 h.
    """
    exact = hours * SECONDS_PER_HOUR
    whole = exact.to_integral_value()
    if whole == exact:
        return whole
    last_digit = SECONDS_PER_HOUR.scaleb(int(hours.as_tuple().exponent))
    return whole if abs(exact - whole) <= max(last_digit, _NOISE) else exact


def hours_of(seconds: Decimal) -> Decimal:
    """Hours with the four decimals that OCPI gives a number by default (chapter "Types")."""
    return (seconds / SECONDS_PER_HOUR).quantize(_HOURS, ROUND_HALF_UP)


def surplus(total: Decimal, step: int) -> Decimal:
    """What is missing to the next whole ``step`` (same unit as ``total``: Wh or s); 0 on a multiple.

    A millionth of a unit above a multiple is the noise of somebody's floating point, not a started step.
    """
    if step <= 0 or total <= 0:
        return Decimal(0)
    over = total % step
    if over <= _NOISE:
        return Decimal(0)
    return step - over
