"""Transaction messages that wait for their answer, in order, over lost lines and restarts (OCPP 1.6, 3.7)."""

import json
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chargers.simulator.messages import Payload

MAX_WAITING = 2_000


@dataclass(slots=True)
class TransactionMessage:
    """One StartTransaction, MeterValues or StopTransaction; `local_id` names its transaction from birth."""

    action: str
    payload: Payload
    local_id: str
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    refusals: int = 0


class Outbox:
    """The queue itself, the ids that the central system gave, and what a restart needs to know.

    With a `path`, each change is on disk before the next message leaves.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.messages: list[TransactionMessage] = []
        self.transaction_ids: dict[str, int] = {}
        self.dropped: deque[TransactionMessage] = deque(maxlen=100)
        self.notes: dict[str, Any] = {}  # the station's own facts to keep: meters, open transactions
        self._path = path
        if path is not None and path.exists():
            self._load(path)

    def put(self, message: TransactionMessage) -> None:
        """Add one message; the oldest meter values give way when the queue is full, Start and Stop never."""
        self.messages.append(message)
        if len(self.messages) > MAX_WAITING:
            samples = (waiting for waiting in self.messages[1:] if waiting.action == "MeterValues")
            oldest = next(samples, None)
            if oldest is not None:
                self.drop(oldest)
        self.save()

    def first(self) -> tuple[TransactionMessage, Payload] | None:
        """The message whose turn it is, with the transaction's id filled in."""
        while self.messages:
            message = self.messages[0]
            if message.action == "StartTransaction":
                return message, message.payload
            transaction_id = self.transaction_ids.get(message.local_id)
            if transaction_id is not None:
                return message, message.payload | {"transactionId": transaction_id}
            # Its StartTransaction was given up: there is no transaction to speak of.
            self.drop(message)
        return None

    def done(self, message: TransactionMessage, answer: Payload) -> None:
        """The central system has stored the message."""
        self.messages.remove(message)
        if message.action == "StartTransaction":
            self.transaction_ids.setdefault(message.local_id, answer["transactionId"])
        if message.action == "StopTransaction":
            self.transaction_ids.pop(message.local_id, None)
        self.save()

    def drop(self, message: TransactionMessage) -> None:
        """Give one message up."""
        self.messages.remove(message)
        self.dropped.append(message)
        self.save()

    def save(self) -> None:
        """Write the state; a crash in the middle leaves the former state."""
        if self._path is None:
            return
        state = {
            "messages": [asdict(message) for message in self.messages],
            "transaction_ids": self.transaction_ids,
            "notes": self.notes,
        }
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._path)

    def _load(self, path: Path) -> None:
        state = json.loads(path.read_text())
        self.messages = [TransactionMessage(**message) for message in state["messages"]]
        self.transaction_ids = state["transaction_ids"]
        self.notes = state["notes"]
