"""One turn on one lane: what is due is sent in order by the holder of the lease, with no transaction open."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction

from ocpi.client import Answer
from ocpi.status import OcpiError
from roaming import pushes
from roaming.delivery import answers, lanes, outbox, schedule, verdicts
from roaming.delivery.answers import Item, Verdict
from roaming.delivery.exchange import Heard, exchange
from roaming.delivery.lookups import Found, look_up
from roaming.delivery.models import Obligation
from roaming.delivery.outcomes import Settlement, settle
from roaming.delivery.partner import Partner
from roaming.delivery.rendering import Prepared, load, prepare
from roaming.delivery.schedule import Breaker, Step
from roaming.delivery.verdicts import Report
from roaming.hub.presence import check_failed
from roaming.models import Party
from roaming.secrets import SecretUnreadableError

log = logging.getLogger(__name__)

# A turn ends after this time (or 50 items), so that every lane gets one.
TURN_SECONDS = 2.0
# Tariffs go before the Locations that name them (LOC-14).
FIRST_MODULE = "tariffs"
LOOKUP_FIRST = "lookup_then_resend"

Shape = Obligation.Shape
State = Obligation.State


@dataclass(frozen=True)
class Tools:
    """What the edge hands in: the clock, chance from -1 to 1, and the name under which tries are logged."""

    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    worker: str


@dataclass
class Turn:
    """One turn of the holder of ``lease``: ``run`` it once, then give the lane back with ``finished``."""

    lease: lanes.Lease
    tools: Tools
    partner: Partner
    step: Step
    reason: str = ""
    is_lost: bool = False
    sent: int = 0
    slowest_seconds: float = 0.0
    _tried: int = 0
    _worked: bool = False
    _answers: dict[int, Answer] = field(default_factory=dict)
    _parties: dict[int, Party] = field(default_factory=dict)
    _looked_again: set[pushes.Side] = field(default_factory=set)
    _stale: set[pushes.Side] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Send what is due, oldest first, until the turn is over."""
        limit = schedule.batch_size(self.step.health, full_rate=self._full_rate)
        while self.sent < limit and not self._is_over():
            found = self._due(limit - self.sent)
            if not found:
                return
            for batch in _batches(found):
                self._send(batch)
                if self._is_over() or self._stale:
                    break
            # An endpoint that is off or elsewhere: what was found for it is looked for again.
            self._stale.clear()

    def finished(self) -> Step:
        """Return what the lane remembers of this turn, and its rest."""
        if self.step.is_over or not self.sent:
            return self.step
        took = time.monotonic() - self._began
        step = self.step
        if self._worked:
            step = schedule.after_delivery(
                step.health, full_rate=self._full_rate, slowest_seconds=self.slowest_seconds
            )
        pace = schedule.pace_seconds(
            step.health, full_rate=self._full_rate, sent=self.sent, took_seconds=took
        )
        return replace(step, rest_seconds=pace)

    @property
    def _full_rate(self) -> float:
        return self.partner.requests_per_second

    def _is_over(self) -> bool:
        """A turn that has got as far as a message tells it, however late that is: else a slow machine would only ever
        begin."""
        is_late = time.monotonic() - self._began > TURN_SECONDS
        return self.is_lost or self.step.is_over or (is_late and self._tried > 0)

    def _due(self, limit: int) -> list[Obligation]:
        now = self.tools.clock()
        mine = [push for push in pushes.all_pushes() if push.lane == self.lease.name]
        kinds = [
            push.kind
            for push in mine
            if push.shape == Shape.SHORT_LIVED or self.partner.serves(push.side, now=now)
        ]
        first = [push.kind for push in mine if push.module == FIRST_MODULE and len(mine) > 1]
        found, open_ids = outbox.due(self.lease, kinds=kinds, first_kinds=first, limit=limit)
        if not found and not self.sent:
            self._rest_unsendable(kinds)
        missing = {pk for each in found for pk in (each.party_id, each.own_party_id)} - self._parties.keys()
        self._parties |= Party.objects.in_bulk(missing) if missing else {}
        for each in found:
            each.party, each.own_party = self._parties[each.party_id], self._parties[each.own_party_id]
        if open_ids:
            self._settle_crashes([each for each in found if each.pk in open_ids])
            return [each for each in found if each.pk not in open_ids] or self._due(limit)
        return found

    def _rest_unsendable(self, kinds: Sequence[str]) -> None:
        """Something is due here that cannot be sent: do not look at it all the time."""
        outbox.postpone_others(self.lease, kinds=kinds)
        if not kinds:
            self.reason = "nothing can be sent: the partner offers no such module, or not on an agreed host"
            self.step = replace(self.step, rest_seconds=outbox.UNSENDABLE_SECONDS, is_over=True)

    def _settle_crashes(self, obligations: Sequence[Obligation]) -> None:
        outbox.close_open_tries([each.pk for each in obligations])
        log.warning("delivery.try_without_end deliveries=%s", [each.pk for each in obligations])
        self._settle(
            [
                verdicts.crashed(
                    each,
                    was_sent=True,
                    reason="the sender ended in the middle of a try",
                    on_ambiguous=self.partner.platform.on_ambiguous,
                    jitter=self.tools.jitter(),
                )
                for each in obligations
            ]
        )

    def _send(self, batch: Sequence[Obligation]) -> None:
        """Render, write down, send and record one batch: many states, or one sealed thing."""
        now = self.tools.clock()
        ready: list[Prepared] = []
        settled: list[Settlement] = []
        load(batch)
        for obligation in batch:
            if ready and time.monotonic() - self._began > TURN_SECONDS:
                break
            push = pushes.get(obligation.kind)
            made = prepare(self.partner, obligation, push, now=now, jitter=self.tools.jitter())
            if isinstance(made, Prepared):
                ready.append(made)
            else:
                settled.append(made)
        self._settle(settled)
        if not ready:
            return
        begun = outbox.begin(self.lease, [each.request for each in ready], worker=self.tools.worker)
        if begun is None:
            self.is_lost = True
            return
        settlements: list[tuple[Settlement, float]] = []
        for each in ready:
            if self._is_over() or each.push.side in self._stale or not self._still_mine():
                continue
            attempt_id = begun.pop(each.request.request_id)
            settlements.append((self._tell(each, attempt_id), time.monotonic()))
        ended = time.monotonic()
        self._settle([replace(each, ended_seconds_ago=ended - at) for each, at in settlements])
        outbox.forget(begun.values())

    def _still_mine(self) -> bool:
        if self.lease.is_old() and not lanes.renew(self.lease):
            self.is_lost = True
        return not self.is_lost

    def _tell(self, each: Prepared, attempt_id: int) -> Settlement:
        obligation = each.request.obligation
        self._tried += 1
        report = Report(attempt_id=attempt_id, milliseconds=0, sha256=each.sha256)
        if obligation.ambiguous and self._looks_first(obligation):
            found = look_up(self.partner, obligation, each.push, each.message, "")
            if found in (Found.SAME, Found.OTHER, Found.NO_ANSWER):
                return self._after_lookup(found, each, report)
        self.sent += 1
        heard = exchange(self.partner, each.request, module=each.push.module, now=self.tools.clock())
        self.slowest_seconds = max(self.slowest_seconds, heard.milliseconds / 1000)
        verdict = self._judge(each, heard)
        self._note(verdict, heard, obligation)
        report = replace(
            report,
            milliseconds=heard.milliseconds,
            http_status=heard.outcome.http_status,
            ocpi_status=heard.outcome.status_code,
            location_url=heard.location_url,
            error=heard.error,
        )
        if verdict.item is Item.LOOKUP:
            found = look_up(self.partner, obligation, each.push, each.message, heard.location_url)
            return self._after_lookup(found, each, report)
        if verdict.item is Item.ACK:
            self._took(each, heard)
        return self._settlement(obligation, verdict, report)

    def _settlement(self, obligation: Obligation, verdict: Verdict, report: Report) -> Settlement:
        made = verdicts.settlement(
            obligation,
            verdict,
            report,
            on_ambiguous=self.partner.platform.on_ambiguous,
            jitter=self.tools.jitter(),
        )
        if made.state == State.PARKED:
            log.error(
                "delivery.parked delivery=%s kind=%s reason=%a", obligation.pk, obligation.kind, made.error
            )
        return made

    def _judge(self, each: Prepared, heard: Heard) -> Verdict:
        """The verdict of the table, after the two looks that it may ask for: at the token, at the versions."""
        shape, outcome = each.request.obligation.shape, heard.outcome
        verdict = answers.judge(shape, outcome)
        if verdict.lane is answers.Lane.AUTH_BLOCKED and self.partner.has_newer_token():
            return replace(verdict, lane=answers.Lane.OK)
        if verdict.lane is not answers.Lane.REREAD:
            return verdict
        side = each.push.side
        self._stale.add(side)
        if side not in self._looked_again:
            self._looked_again.add(side)
            try:
                if self.partner.find_again(side):
                    return replace(verdict, lane=answers.Lane.OK)
            except OcpiError as error:
                log.warning(
                    "delivery.versions_unreadable platform=%s reason=%s", self.lease.platform_id, error
                )
                return replace(verdict, lane=answers.Lane.COUNT)
        self.partner.turn_off(side, reason=heard.error, now=self.tools.clock())
        return answers.judge(shape, replace(outcome, was_reread=True))

    def _note(self, verdict: Verdict, heard: Heard, obligation: Obligation) -> None:
        """Let the lane remember the verdict; what stops it is told to the operator."""
        before = self.step.health
        self._worked = verdict.lane is answers.Lane.OK
        self.step = schedule.after_verdict(
            before,
            verdict.lane,
            item=obligation.pk,
            asked_seconds=verdict.wait_seconds,
            full_rate=self._full_rate,
            jitter=self.tools.jitter(),
        )
        # The tries are rows; the log tells what went wrong.
        log.log(
            logging.DEBUG if verdict.item is Item.ACK else logging.INFO,
            "delivery.sent platform=%s lane=%s delivery=%s kind=%s item=%s lane_verdict=%s http=%s ocpi=%s ms=%s",
            self.lease.platform_id, self.lease.name, obligation.pk, obligation.kind, verdict.item,
            verdict.lane, heard.outcome.http_status, heard.outcome.status_code, heard.milliseconds,
        )  # fmt: skip
        if self.step.is_over:
            self.reason = f"{verdict.meaning.value}: {heard.error}"
            is_news = self.step.health.breaker is not before.breaker or verdict.lane is answers.Lane.CONFIG
            log.log(
                logging.ERROR if is_news else logging.INFO,
                "delivery.lane_stopped platform=%s lane=%s breaker=%s rest_seconds=%.0f reason=%s",
                self.lease.platform_id, self.lease.name, self.step.health.breaker, self.step.rest_seconds,
                self.reason,
            )  # fmt: skip

    def _looks_first(self, obligation: Obligation) -> bool:
        policy = self.partner.platform.on_ambiguous
        return obligation.shape == Shape.LEDGER and policy == LOOKUP_FIRST

    def _after_lookup(self, found: Found, each: Prepared, report: Report) -> Settlement:
        """The partner's copy decides: the same is delivered, anything else a person must see."""
        obligation = each.request.obligation
        if found is Found.SAME:
            verdict = Verdict(answers.Meaning.ACCEPTED, Item.ACK, answers.Lane.OK)
            return self._settlement(obligation, verdict, report)
        if found is Found.NO_ANSWER:
            verdict = Verdict(answers.Meaning.UNKNOWN, Item.AMBIGUOUS, answers.Lane.OK)
            return self._settlement(obligation, verdict, report)
        reasons = {
            Found.OTHER: "the partner holds something else under this id",
            Found.NONE: "the partner refuses it and does not show a copy",
            Found.NOWHERE_TO_LOOK: "the partner refuses it after a try of unknown outcome and named no Location",
        }
        log.error(
            "delivery.contested delivery=%s kind=%s: %s", obligation.pk, obligation.kind, reasons[found]
        )
        parked = self._settlement(
            obligation, Verdict(answers.Meaning.REFUSED, Item.PARK, answers.Lane.OK), report
        )
        return replace(
            parked, state=State.CONTESTED, outcome="CONTESTED", is_ambiguous=True,
            error=f"{reasons[found]}; {report.error}",
        )  # fmt: skip

    def _took(self, each: Prepared, heard: Heard) -> None:
        if heard.answer is not None:
            self._answers[each.request.obligation.pk] = heard.answer
        if each.request.obligation.shape != Shape.SHORT_LIVED:
            self.partner.turn_on(each.push.side)

    def _settle(self, settlements: Sequence[Settlement]) -> None:
        if not settlements:
            return
        wants_to_know = any(each.is_ack and _has_hook(each.obligation.kind) for each in settlements)
        if not settle(self.lease, settlements, acknowledged=self._acknowledged if wants_to_know else None):
            self.is_lost = True
        self._answers.clear()

    def _acknowledged(self, settlement: Settlement) -> None:
        """Run the push's hook; its fault must not undo the record that the partner has it."""
        obligation = settlement.obligation
        answer = self._answers.get(obligation.pk)
        if answer is None or not _has_hook(obligation.kind):
            return
        try:
            with transaction.atomic():
                pushes.get(obligation.kind).acknowledged(obligation, answer, now=self.tools.clock())
        except Exception:
            log.exception("delivery.hook_failed delivery=%s kind=%s", obligation.pk, obligation.kind)


def _has_hook(kind: str) -> bool:
    """Whether a push wants to know of acknowledgements; the transaction and savepoints for it cost round trips."""
    return type(pushes.get(kind)).acknowledged is not pushes.Push.acknowledged


def _batches(obligations: Sequence[Obligation]) -> Iterator[list[Obligation]]:
    """States that follow each other go together; each sealed thing is written down and recorded alone."""
    batch: list[Obligation] = []
    for each in obligations:
        if each.shape == Shape.STATE:
            batch.append(each)
            continue
        if batch:
            yield batch
            batch = []
        yield [each]
    if batch:
        yield batch


def take_turn(lease: lanes.Lease, tools: Tools) -> None:
    """Hold one turn on a claimed lane and give it back."""
    try:
        partner = Partner.load(lease.platform_id)
    except SecretUnreadableError as error:
        log.error("delivery.no_token platform=%s reason=%s", lease.platform_id, error)
        lanes.give_back(
            lease, step=Step(lease.health, schedule.CONFIG_SECONDS, is_over=True), reason=str(error)
        )
        return
    turn = Turn(lease, tools, partner, Step(lease.health))
    if _may_send(turn):
        turn.run()
    step = turn.finished()
    if step.rest_seconds > 0 and not step.is_over:
        lanes.share_pace(lease, seconds=step.rest_seconds)
    is_blocked = step.health.breaker is Breaker.AUTH_BLOCKED
    lanes.give_back(
        lease, step=step, reason=turn.reason, refused_token=partner.sealed_token if is_blocked else None
    )


def _may_send(turn: Turn) -> bool:
    """A lane that is not closed asks first whether the partner is there, and shares what it learns."""
    lease, health = turn.lease, turn.step.health
    if health.breaker is Breaker.CLOSED:
        return True
    asked_at = turn.tools.clock()
    is_alive = turn.partner.is_alive()
    if not is_alive:
        # On a hub this is its still-alive check too: from now on that one asks, and this lane waits (HCI-07).
        check_failed(platform=turn.partner.platform, now=asked_at)
        step = schedule.after_failed_probe(health, jitter=turn.tools.jitter())
        turn.step = replace(step, is_over=True)
        turn.reason = "the partner does not answer our probe"
    lanes.tell_siblings(lease, is_alive=is_alive, step=turn.step)
    return is_alive
