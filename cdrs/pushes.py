"""What the party that pays is sent: its sealed CDRs (chapter "CDRs module", receiver interface)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

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
    # Identity, energy, money, token and times (delivery.md 4.11): what is billed, whatever else a partner rewrites.
    compared = (
        "id", "country_code", "party_id", "start_date_time", "end_date_time", "session_id", "cdr_token", "currency",
        "total_cost", "total_energy", "total_time", "credit", "credit_reference_id",
    )  # fmt: skip

    def load(self, obligations: Sequence[Obligation]) -> Mapping[int, Any]:
        """The CDRs of a batch in one query."""
        cdrs = CDR.objects.in_bulk([each.object_key for each in obligations])
        by_key = {str(key): cdr for key, cdr in cdrs.items()}
        return {each.pk: by_key[each.object_key] for each in obligations if each.object_key in by_key}

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The hash is checked on each send; raises cdrs.wire.Altered rather than sending anything else."""
        return Message(method="POST", body=sealed_body(_cdr_of(obligation)))

    def follows(self, obligation: Obligation) -> str | None:
        """A credit follows the CDR that it takes back, a corrected CDR follows that credit (CDR-09, CDR-11).

        A credit that two persons have cancelled is nothing to wait for.
        """
        cdr = _cdr_of(obligation)
        if cdr.is_credit:
            return str(cdr.credit_of_id)
        if cdr.revision == 1:
            return None
        credit = CDR.objects.only("key").get(
            session_id=cdr.session_id, revision=cdr.revision - 1, is_credit=True
        )
        owed = Obligation.objects.filter(kind=self.kind, party_id=cdr.party_id, object_key=str(credit.key))
        is_cancelled = owed.filter(state=Obligation.State.CANCELLED).exists()
        return None if is_cancelled else str(credit.key)

    def lookup_segments(self, obligation: Obligation) -> tuple[str, ...] | None:
        """Without a ``Location`` the copy is looked for by the id of the CDR (CDR-04)."""
        return (_cdr_of(obligation).ocpi_id,)


def _cdr_of(obligation: Obligation) -> CDR:
    return obligation.loaded or CDR.objects.get(pk=obligation.object_key)


register(CdrPush())
