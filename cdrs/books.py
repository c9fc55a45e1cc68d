"""Whether the books balance (delivery.md 4.11): no session, CDR or delivery has fallen between two chairs."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from cdrs.models import CDR, Review
from cdrs.sealing import FIRST_LINK
from ocpi import v221
from roaming.models import Obligation
from sessions.models import Session

_State = Obligation.State
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The figures of both identities, and a sentence for everything that is wrong.

    sessions_ended = sealed + in_review (of which ``waived`` are closed without billing);
    cdrs (of which ``credits`` take another one back) = acked + pending + parked + contested + served + cancelled.
    """

    sessions_ended: int
    sealed: int
    in_review: int
    waived: int
    cdrs: int
    credits: int
    acked: int
    pending: int
    parked: int
    contested: int
    served: int
    cancelled: int
    faults: tuple[str, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether both identities hold and nothing else is wrong."""
        ended = self.sealed + self.in_review
        told = self.acked + self.pending + self.parked + self.contested + self.served + self.cancelled
        return self.sessions_ended == ended and self.cdrs == told and not self.faults


def check_books() -> Books:
    """Count, compare and verify every hash. Run it in one snapshot (REPEATABLE READ) beside live traffic."""
    states = {
        each["state"]: each["count"]
        for each in Obligation.objects.filter(kind="cdr")
        .order_by()
        .values("state")
        .annotate(count=Count("pk"))
    }
    without_cdr = ~Exists(CDR.objects.filter(session=OuterRef("session")))
    reviews = Review.objects.filter(without_cdr)
    return Books(
        sessions_ended=_billable().count(),
        sealed=CDR.objects.order_by().values("session").distinct().count(),
        in_review=reviews.count(),
        waived=reviews.filter(resolved_at__isnull=False).count(),
        cdrs=CDR.objects.count(),
        credits=CDR.objects.filter(is_credit=True).count(),
        acked=states.get(_State.ACKED, 0),
        pending=states.get(_State.PENDING, 0),
        parked=states.get(_State.PARKED, 0),
        contested=states.get(_State.CONTESTED, 0),
        served=states.get(_State.SERVED, 0),
        cancelled=states.get(_State.CANCELLED, 0),
        faults=(
            *_neither_sealed_nor_reviewed(),
            *islice(_chains(), _SHOWN),
            *_deliveries(),
            *_credits(),
        ),
    )


def _billable() -> QuerySet[Session]:
    """Sessions that have ended and must be billed: all but reservations that nobody used and that cost nothing."""
    free = Q(reserved_from__isnull=False, meter_start_wh__isnull=True, total_cost=0)
    return Session.objects.filter(status=v221.SessionStatus.COMPLETED.value).exclude(free)


def _neither_sealed_nor_reviewed() -> list[str]:
    lost = (
        _billable()
        .filter(~Exists(CDR.objects.filter(session=OuterRef("pk"))))
        .filter(~Exists(Review.objects.filter(session=OuterRef("pk"))))
        .order_by("created_at")
    )
    return [
        f"session {key} has ended, but is neither sealed nor in review"
        for key in lost.values_list("pk", flat=True)[:_SHOWN]
    ]


def _deliveries() -> Iterator[str]:
    """Every CDR is owed to the party that pays, and exactly the sealed bytes went out."""
    owed = Obligation.objects.filter(
        party=OuterRef("party"), kind="cdr", object_key=Cast(OuterRef("key"), CharField())
    )
    for ocpi_id in CDR.objects.filter(~Exists(owed)).values_list("ocpi_id", flat=True)[:_SHOWN]:
        yield f"CDR {ocpi_id}: it is owed to nobody"
    others = owed.filter(sent_sha256__isnull=False).exclude(sent_sha256=OuterRef("sha256"))
    for ocpi_id in CDR.objects.filter(Exists(others)).values_list("ocpi_id", flat=True)[:_SHOWN]:
        yield f"CDR {ocpi_id}: other bytes were sent than were sealed"


def _credits() -> Iterator[str]:
    """A credit takes back exactly its CDR, and no charge stands billed twice (CDR-09, CDR-11)."""
    of_one = CDR.objects.filter(is_credit=True)
    off = of_one.exclude(total_excl_vat=-F("credit_of__total_excl_vat"), currency=F("credit_of__currency"))
    for ocpi_id in off.values_list("ocpi_id", flat=True)[:_SHOWN]:
        yield f"credit CDR {ocpi_id}: it does not take back exactly its CDR"
    before = of_one.filter(session=OuterRef("session"), revision=OuterRef("revision") - 1)
    again = CDR.objects.filter(is_credit=False, revision__gt=1)
    for ocpi_id in again.filter(~Exists(before)).values_list("ocpi_id", flat=True)[:_SHOWN]:
        yield f"CDR {ocpi_id}: the CDR before it was never taken back, so the charge is billed twice"


def _chains() -> Iterator[str]:
    """Walk every chain once: each body against its hash, each link against the one before it."""
    heads: dict[int, bytes] = {}
    rows = CDR.objects.order_by("feed_seq").values_list(
        "ocpi_id", "own_party_id", "body", "sha256", "previous_sha256", "chain_sha256"
    )
    for ocpi_id, own_party_id, body, sha256, previous, chain in rows.iterator(chunk_size=2_000):
        if hashlib.sha256(bytes(body)).digest() != bytes(sha256):
            yield f"CDR {ocpi_id}: its bytes do not match its sha256"
        expected = heads.get(own_party_id, FIRST_LINK)
        if bytes(previous) != expected or bytes(chain) != hashlib.sha256(expected + bytes(sha256)).digest():
            yield f"CDR {ocpi_id}: the chain is broken here; a CDR was altered, removed or inserted"
        heads[own_party_id] = bytes(chain)
