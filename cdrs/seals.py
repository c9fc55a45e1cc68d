"""Whether one CDR is still what was sealed, and stands in the chain where it was put."""

import hashlib
from collections.abc import Iterator

from cdrs.models import CDR
from cdrs.sealing import FIRST_LINK


def faults_of(cdr: CDR) -> tuple[str, ...]:
    """Return what is wrong with the seal of a CDR, in words; nothing when it is sound."""
    return tuple(_faults(cdr))


def _faults(cdr: CDR) -> Iterator[str]:
    sha256, previous = bytes(cdr.sha256), bytes(cdr.previous_sha256)
    if hashlib.sha256(bytes(cdr.body)).digest() != sha256:
        yield "its bytes do not match its sha256"
    if hashlib.sha256(previous + sha256).digest() != bytes(cdr.chain_sha256):
        yield "its link does not match its bytes"
    before = CDR.objects.filter(own_party_id=cdr.own_party_id, feed_seq__lt=cdr.feed_seq).order_by(
        "-feed_seq"
    )
    link = before.values_list("chain_sha256", flat=True).first()
    if previous != (FIRST_LINK if link is None else bytes(link)):
        yield "it does not follow the CDR before it: one was altered, removed or inserted"
