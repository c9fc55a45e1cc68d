"""The verbs of what was billed wrongly: ask to take a CDR back, approve or decline, bill the charge again (CDR-09..11).

Money moves back only by two persons (S3): one asks, another approves, and only then is anything sealed. A CDR has at
most one credit CDR, and the next bill of its charge is sealed after that credit. All verbs lock the session's row
first, as sealing does, so any number of them at once follow each other.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import transaction

from cdrs import corrections
from cdrs.build import taken_back
from cdrs.corrections import Changes
from cdrs.lint import Finding
from cdrs.models import CDR, Correction, CreditRequest
from cdrs.sealing import Draft, credit_key, examine, locked_session, seal_draft, successor_key
from cdrs.wire import cdr_document
from ocpi import v221
from roaming.delivery.services import cancel
from roaming.models import Obligation
from sessions import feed
from sessions.models import Session

log = logging.getLogger(__name__)

State = CreditRequest.State
_NEVER_TAKEN = (Obligation.State.PARKED, Obligation.State.CANCELLED)


class NotCreditable(ValueError):
    """The CDR cannot be taken back, or not be billed again, with what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPersons:
    """Who asked and who agreed: never one and the same (S3). Raises ValueError."""

    asked_by: str
    approved_by: str

    def __post_init__(self) -> None:
        if not self.asked_by.strip() or not self.approved_by.strip():
            raise ValueError("a credit needs two persons: one who asks and one who approves")
        if self.asked_by.casefold() == self.approved_by.casefold():
            raise ValueError(f"a credit needs a second person: {self.asked_by} asked for it already")

    def __str__(self) -> str:
        return f"{self.asked_by}, {self.approved_by}"


def ask_credit(
    *, cdr: CDR, reason: str, by: str, now: datetime, changes: Changes | None = None
) -> CreditRequest:
    """Ask to take a CDR back and, with ``changes``, to bill its charge again by corrected facts.

    Nothing is sealed and nobody is told yet. Raises NotCreditable: for a credit CDR, a CDR that was taken back
    already, one that is asked for already, or when the corrected charge could not be sealed either.
    """
    _require_named(by, reason)
    with transaction.atomic():
        row = locked_session(cdr.session)
        if CreditRequest.objects.filter(cdr=cdr, state=State.OPEN).exists():
            raise NotCreditable(
                f"CDR {cdr.ocpi_id}: somebody has asked for it already; approve or decline that"
            )
        _require_creditable(cdr, is_billed_again=changes is not None)
        if changes is not None:
            _corrected_draft(row, cdr, changes, now)
        return CreditRequest.objects.create(
            cdr=cdr,
            reason=reason,
            changes=None if changes is None else corrections.stored(changes),
            asked_by=by,
            asked_at=now,
        )


def approve_credit(*, request: CreditRequest, by: str, now: datetime) -> list[CDR]:
    """Seal what was asked for, in the name of both persons; returns the sealed CDRs, the credit first.

    Of two approvals at once the second finds the request decided. Raises NotCreditable as well when the CDR or the
    rules have changed since it was asked for, ValueError when the asker approves; nothing is changed then.
    """
    with transaction.atomic():
        row = locked_session(request.cdr.session)
        open_request = _still_open(request)
        cdr = CDR.objects.select_related("session__own_party", "session__party").get(pk=open_request.cdr_id)
        persons = TwoPersons(asked_by=open_request.asked_by, approved_by=by)
        changes = _changes(open_request)
        made = []
        if credit_of(cdr) is None:
            made.append(credit_cdr(cdr=cdr, reason=open_request.reason, by=persons, now=now))
        if changes is not None:
            made.append(
                correct_cdr(cdr=cdr, changes=changes, reason=open_request.reason, by=persons, now=now)
            )
        _decide(open_request, State.APPROVED, by, now)
    log.info("cdr.credited session=%s cdrs=%s", row.pk, [each.ocpi_id for each in made])
    return made


def decline_credit(*, request: CreditRequest, by: str, reason: str, now: datetime) -> CreditRequest:
    """Leave the CDR as it is; whoever asked may withdraw so too. Raises NotCreditable when it is decided."""
    _require_named(by, reason)
    with transaction.atomic():
        locked_session(request.cdr.session)
        open_request = _still_open(request)
        open_request.decision_reason = reason
        _decide(open_request, State.DECLINED, by, now)
        return open_request


def credit_cdr(*, cdr: CDR, reason: str, by: TwoPersons, now: datetime) -> CDR:
    """Seal the credit CDR of a CDR and owe it to the same payer, to be delivered after the original (CDR-09, CDR-10).

    What the payer has clearly refused, or was never to be told, is settled by both persons without telling it: the
    original and its credit are then cancelled together. Raises NotCreditable.
    """
    with transaction.atomic():
        row = locked_session(cdr.session)
        _require_creditable(cdr, is_billed_again=False)
        document = taken_back(cdr_document(cdr), last_updated=feed.later_than(None, now=now))
        credit = seal_draft(
            row,
            Draft(
                key=credit_key(cdr),
                cdr=document,
                explain=bytes(cdr.explain),
                time_zone=cdr.time_zone,
                revision=cdr.revision,
                credit_of=cdr,
            ),
            now=now,
        )
        _tell_neither(cdr, credit, reason=reason, by=by)
        return credit


def correct_cdr(*, cdr: CDR, changes: Changes, reason: str, by: TwoPersons, now: datetime) -> CDR:
    """Seal the next bill of a charge whose CDR was credited: a new id, without the two credit members (CDR-11).

    The correction is kept in the names of both persons. Raises NotCreditable when there is no credit yet, when the
    charge was billed again already, or with all findings when it would not be sound.
    """
    with transaction.atomic():
        row = locked_session(cdr.session)
        if credit_of(cdr) is None:
            raise NotCreditable(f"CDR {cdr.ocpi_id} still stands: take it back first")
        _require_creditable(cdr, is_billed_again=True)
        draft = _corrected_draft(row, cdr, changes, now)
        Correction.objects.create(
            session=row,
            made_at=now,
            made_by=str(by)[:150],
            reason=reason,
            changes=corrections.stored(changes),
            findings=[],
        )
        return seal_draft(row, draft, now=now)


def billed_again(request: CreditRequest, *, now: datetime) -> v221.CDR | None:
    """The CDR that would follow the credit if it were approved now; None: the charge is only taken back.

    Its id and stamp are those of now. Raises NotCreditable.
    """
    changes = _changes(request)
    if changes is None:
        return None
    return _corrected_draft(request.cdr.session, request.cdr, changes, now).cdr


def credit_of(cdr: CDR) -> CDR | None:
    """The CDR that takes this one back, if there is one."""
    return CDR.objects.filter(credit_of=cdr).first()


def _require_creditable(cdr: CDR, *, is_billed_again: bool) -> None:
    if cdr.is_credit:
        raise NotCreditable(f"CDR {cdr.ocpi_id} is a credit CDR itself: bill the charge again instead")
    if CDR.objects.filter(session_id=cdr.session_id, revision__gt=cdr.revision).exists():
        raise NotCreditable(f"CDR {cdr.ocpi_id} was replaced: take back the newest CDR of this session")
    credit = credit_of(cdr)
    if credit is not None and not is_billed_again:
        raise NotCreditable(f"CDR {cdr.ocpi_id} was taken back by {credit.ocpi_id} already")


def _corrected_draft(row: Session, cdr: CDR, changes: Changes, now: datetime) -> Draft:
    outcome = examine(row, key=successor_key(cdr), now=now, revision=cdr.revision + 1, changes=(changes,))
    if isinstance(outcome, Draft):
        return outcome
    raise NotCreditable(f"The corrected charge cannot be billed: {_told(outcome)}")


def _told(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{each.code}: {each.text}. {each.remedy}" for each in findings)


def _tell_neither(cdr: CDR, credit: CDR, *, reason: str, by: TwoPersons) -> None:
    """Cancel both deliveries when the payer has surely not taken the original."""
    owed = {
        each.object_key: each
        for each in Obligation.objects.select_for_update(no_key=True).filter(
            party_id=cdr.party_id, kind="cdr", object_key__in=[str(cdr.key), str(credit.key)]
        )
    }
    original = owed.get(str(cdr.key))
    if original is None or original.ambiguous or original.state not in _NEVER_TAKEN:
        return
    for each in owed.values():
        if each.state != Obligation.State.CANCELLED:
            cancel(each, reason=f"taken back: {reason}", by=by.asked_by, confirmed_by=by.approved_by)


def _changes(request: CreditRequest) -> Changes | None:
    if request.changes is None:
        return None
    return corrections.read(msgspec.json.encode(request.changes).decode())


def _still_open(request: CreditRequest) -> CreditRequest:
    row = CreditRequest.objects.select_for_update().get(pk=request.pk)
    if row.state != State.OPEN:
        raise NotCreditable(f"this request was {row.get_state_display()} by {row.decided_by} already")
    return row


def _decide(request: CreditRequest, state: str, by: str, now: datetime) -> None:
    request.state, request.decided_by, request.decided_at = state, by, now
    request.save(update_fields=["state", "decided_by", "decided_at", "decision_reason"])


def _require_named(by: str, reason: str) -> None:
    if not by.strip() or not reason.strip():
        raise ValueError("by and reason: to take money back needs a person and a reason")
