"""What partners are told: each app registers, for its kinds, how the present state becomes a request."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from ocpi import codec
from ocpi.client import Answer
from roaming.delivery.compare import is_same_object
from roaming.models import Lane, Obligation, Platform

Side = tuple[str, str]
"""Module and role: one entry of a partner's version details."""


@dataclass(frozen=True)
class Message:
    """One request: `segments` are appended to the partner's endpoint URL, percent-encoded."""

    method: str
    segments: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Push(ABC):
    """How obligations of one kind become requests, rendered at the moment of sending."""

    kind: ClassVar[str]
    module: ClassVar[str]
    # The side of the module that the partner serves and we call.
    role: ClassVar[str] = "RECEIVER"
    shape: ClassVar[Obligation.Shape]
    lane: ClassVar[Lane.Name]
    # Members by which the partner's copy is compared at night; empty: all but last_updated.
    compared: ClassVar[tuple[str, ...]] = ()

    @property
    def side(self) -> Side:
        """The endpoint of the partner that this goes to."""
        return self.module, self.role

    @abstractmethod
    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The request to send now; None when there is nothing (any more) to tell."""

    def load(self, obligations: Sequence[Obligation]) -> Mapping[int, Any]:
        """Hook: read for a batch at once what `message` needs of each; by key of the obligation, as its `loaded`."""
        return {}

    def acknowledged(self, obligation: Obligation, answer: Answer, *, now: datetime) -> None:  # noqa: B027  # a hook
        """Hook: the partner has it; runs in the transaction that records the outcome."""

    def follows(self, obligation: Obligation) -> str | None:
        """Hook of sealed things: key of the object of this kind that the partner must have before this one.

        A credit CDR follows the CDR that it takes back, and the corrected CDR follows the credit.
        """
        return None

    def reworded(self, platform: Platform, *, now: datetime) -> None:  # noqa: B027  # a hook
        """Hook of states: the platform wants its documents in other words (roaming.dialect): render them again.

        Runs in the transaction that changed it.
        """

    def lookup_segments(self, obligation: Obligation) -> tuple[str, ...] | None:
        """Hook of sealed things: where, below the partner's endpoint, its copy can be read; None: nowhere.

        Used only when the partner named no ``Location``.
        """
        return None

    def is_same(self, message: Message, answer: Answer) -> bool:
        """Hook of sealed things: whether the copy that the partner shows is what we sent."""
        return message.body is not None and is_same_object(codec.parse(message.body), answer.data)


_PUSHES: dict[str, Push] = {}


def register(push: Push) -> None:
    """Make a kind known; a second registration of a kind is a programming error (ValueError)."""
    if push.kind in _PUSHES:
        raise ValueError(f"push '{push.kind}' is registered twice")
    _PUSHES[push.kind] = push


def get(kind: str) -> Push:
    """The push of a kind. Errors: KeyError."""
    return _PUSHES[kind]


def all_pushes() -> tuple[Push, ...]:
    """Every kind that is known, in the order of registration."""
    return tuple(_PUSHES.values())
