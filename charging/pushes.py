"""What partners are told by charging: the results of their commands."""

from datetime import datetime

from roaming.models import Lane, Obligation
from roaming.pushes import Message, Push, register


class CommandResultPush(Push):
    """One bare CommandResult to the exact response_url of its command (CMD-04); tried once (CMD-08)."""

    kind = "command_result"
    module = "commands"
    shape = Obligation.Shape.SHORT_LIVED
    lane = Lane.Name.RESULT

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The sealed bytes; nothing is rendered."""
        return Message(method="POST", body=bytes(obligation.body or b""))


register(CommandResultPush())
