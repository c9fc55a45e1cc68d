"""What the party that pays is sent: its sealed CDRs (chapter "CDRs module", receiver interface)."""

from datetime import datetime

from cdrs.models import CDR
from cdrs.wire import sealed_body
from roaming.models import Lane, Obligation
from roaming.pushes import Message, Push, register


class CdrPush(Push):
    """POST of the sealed bytes to the endpoint itself, without owner segments (CDR-02); the same bytes each
    time."""

    kind = "cdr"
    module = "cdrs"
    shape = Obligation.Shape.LEDGER
    lane = Lane.Name.CDR

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The hash is checked on each send; raises cdrs.wire.Altered rather than sending anything else."""
        return Message(method="POST", body=sealed_body(CDR.objects.get(pk=obligation.object_key)))

    def lookup_segments(self, obligation: Obligation) -> tuple[str, ...] | None:
        """Without a ``Location`` the copy is looked for by the id of the CDR, which is its key (CDR-04)."""
        return (obligation.object_key,)


register(CdrPush())
