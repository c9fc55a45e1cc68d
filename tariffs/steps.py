"""Which component is billed for which volume, and what ``step_size`` adds to it. [pure]"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from tariffs.bill import Dimension
from tariffs.offers import Candidate, pick
from tariffs.pieces import Piece
from tariffs.rounding import surplus

_ZERO = Decimal(0)
_ONE = Decimal(1)
_WH_PER_KWH = Decimal(1000)
_MILLI = Decimal("0.001")
_CHARGING_TIME = (Dimension.TIME, Dimension.PARKING_TIME)


class Draft:
    """A line before ``step_size``: kWh, seconds, or 1 for a flat fee; ``extra`` is what the step adds."""

    __slots__ = ("candidate", "dimension", "extra", "period_start", "start", "volume")

    def __init__(
        self,
        *,
        dimension: Dimension,
        candidate: Candidate,
        period_start: datetime,
        start: datetime,
        volume: Decimal,
    ) -> None:
        self.dimension = dimension
        self.candidate = candidate
        self.period_start = period_start
        self.start = start
        self.volume = volume
        self.extra = _ZERO


class Drafts:
    """The drafts of one session, in the order of time."""

    def __init__(self, *, is_expired: bool) -> None:
        self.drafts: list[Draft] = []
        self._is_expired = is_expired
        self._last: dict[Dimension, Draft] = {}
        self._has_flat = False
        self._has_reservation_flat = False

    def add(self, piece: Piece) -> None:
        """Bill a piece of a period: per dimension the first component that holds, flat fees once."""
        volumes, offer = piece.volumes, piece.offer
        if volumes.reservation_time is not None:
            self._add_reservation(piece, volumes.reservation_time)
        if not self._has_flat and offer.flat and piece.span.is_charge:
            flat = self._add(piece, Dimension.FLAT, offer.flat, _ONE)
            self._has_flat = flat is not None
        if volumes.energy is not None:
            self._add(piece, Dimension.ENERGY, offer.energy, volumes.energy)
        if volumes.time is not None:
            self._add(piece, Dimension.TIME, offer.time, volumes.time)
        if volumes.parking_time is not None:
            self._add(piece, Dimension.PARKING_TIME, offer.parking_time, volumes.parking_time)

    def _add_reservation(self, piece: Piece, seconds: Decimal) -> None:
        offer = piece.offer
        if not self._has_reservation_flat:
            fee = self._add(piece, Dimension.RESERVATION_FLAT, offer.reservation_flat, _ONE)
            penalty = None
            if self._is_expired:
                penalty = self._add(piece, Dimension.RESERVATION_FLAT, offer.expired_flat, _ONE)
            self._has_reservation_flat = fee is not None or penalty is not None
        rates = offer.expired_time + offer.reservation_time if self._is_expired else offer.reservation_time
        self._add(piece, Dimension.RESERVATION_TIME, rates, seconds)

    def _add(
        self, piece: Piece, dimension: Dimension, candidates: tuple[Candidate, ...], volume: Decimal
    ) -> Draft | None:
        candidate = pick(candidates, piece.usage)
        if candidate is None:
            return None
        period_start = piece.span.start
        last = self._last.get(dimension)
        if last is not None and last.candidate is candidate and last.period_start == period_start:
            last.volume += volume
            return last
        draft = Draft(
            dimension=dimension,
            candidate=candidate,
            period_start=period_start,
            start=piece.start,
            volume=volume,
        )
        self.drafts.append(draft)
        self._last[dimension] = draft
        return draft


def apply_steps(drafts: Sequence[Draft]) -> None:
    """Add what ``step_size`` asks for, once each for energy, for time and parking together, for reservation.

    The total of the dimension is rounded up to a whole step of its last component, and the surplus is billed
    there. With parking after charging only the parking is rounded (TAR-19 to TAR-22).
    """
    _complete(drafts, (Dimension.ENERGY,), unit=_WH_PER_KWH, back=_MILLI)
    _complete(drafts, _CHARGING_TIME, unit=_ONE, back=_ONE)
    _complete(drafts, (Dimension.RESERVATION_TIME,), unit=_ONE, back=_ONE)


def _complete(
    drafts: Sequence[Draft], dimensions: Iterable[Dimension], *, unit: Decimal, back: Decimal
) -> None:
    last = next((d for d in reversed(drafts) if d.dimension in dimensions and d.volume > 0), None)
    if last is None or last.candidate.step_size <= 0:
        return
    total = sum((d.volume for d in drafts if d.dimension is last.dimension), _ZERO)
    last.extra = surplus(total * unit, last.candidate.step_size) * back
