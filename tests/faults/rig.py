"""What the fault tests share: a stack with three partners, time that can be made to pass, and the final verdict."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from demo.http import Request
from demo.partner import Partner
from tests.faults.produce import PARTNERS
from tests.stacks import RunningStack, a_stack, wait_for

PRODUCE = ("-m", "tests.faults.produce")
# A request may take three fifths of it; on a busy machine an answer of a healthy partner takes its time, too.
LEASE_SECONDS = 8

_LET_PASS = """
UPDATE roaming_{table} SET {column} = {column} - %s * interval '1 second' WHERE id IN (
    SELECT id FROM roaming_{table} WHERE {column} > now() FOR NO KEY UPDATE SKIP LOCKED)
"""
_OPEN = """
SELECT kind, state, count(*), max(attempts), max(crashes), max(last_error) FROM roaming_obligation
WHERE state <> 'ACKED' GROUP BY kind, state
"""


@dataclass
class Rig:
    """One stack, three partners that are registered with it, and charges for them."""

    stack: RunningStack
    partners: dict[str, Partner]

    def charge(self, count: int, *more: str, seconds: float = 120) -> None:
        """Make so many sealed charges; partners take turns."""
        self.stack.output(*PRODUCE, "charge", "--count", str(count), *more, seconds=seconds)

    def let_pass(self, seconds: float) -> None:
        """Let time pass for what waits: retries, pace, probes. Not for leases: whoever holds one works in real time."""
        for table, column in (("obligation", "next_at"), ("lane", "due_at")):
            self.stack.rows(_LET_PASS.format(table=table, column=column), [seconds])

    def wait_until_all_is_told(self, seconds: float, *, passing: float = 3600) -> None:
        """Wait for every delivery to be acknowledged; twice a second an hour passes for what waits for its next try."""

        def told() -> bool:
            try:
                self.let_pass(passing)
                return not self.open_deliveries()
            except psycopg.OperationalError:
                return False  # the database was killed a moment ago

        assert wait_for(told, seconds, every=0.5), (
            f"not everything was told within {seconds} s: {self.open_deliveries()}\n"
            f"lanes: {self.stack.rows('SELECT * FROM roaming_lane')}\n{self.stack.story()}"
        )

    def open_deliveries(self) -> list[tuple[object, ...]]:
        """What is not acknowledged, by kind and state."""
        return self.stack.rows(_OPEN)

    def posted(self, party_id: str) -> list[Request]:
        """Every CDR request that arrived at a partner, whatever it did with it."""
        return self.partners[party_id].received("POST", "/cdrs")

    def senders(self) -> set[int]:
        """Ids of the processes that have made requests."""
        return {
            int(worker.split(":")[1]) for (worker,) in self.stack.rows("SELECT worker FROM roaming_attempt")
        }

    # -- the verdict

    def require_exactly_once(self, count: int) -> None:
        """Nothing lost, nothing altered, nothing doubled but by the same bytes; and the books say so too."""
        sealed = {
            (party_id, ocpi_id): bytes(body)
            for party_id, ocpi_id, body in self.stack.rows(
                "SELECT p.party_id, c.ocpi_id, c.body FROM cdrs_cdr c JOIN roaming_party p ON p.id = c.party_id"
            )
        }
        assert len(sealed) == count
        kept = {(party_id, key) for party_id, partner in self.partners.items() for key in partner.cdrs}
        assert kept - sealed.keys() == set(), "a partner holds what was never sealed, or is another's"
        assert sealed.keys() - kept == set(), "lost"
        for party_id in self.partners:
            for request in self.posted(party_id):
                assert request.body == sealed[party_id, request.json["id"]], "altered on the way"
        assert self.open_deliveries() == []
        books = json.loads(self.stack.output("check_books", "--json"))
        figures = {
            name: books[name] for name in ("sessions_ended", "sealed", "cdrs", "acked", "in_review", "faults")
        }
        assert figures == {
            "sessions_ended": count, "sealed": count, "cdrs": count, "acked": count, "in_review": 0, "faults": [],
        }  # fmt: skip
        assert books["is_balanced"] is True

    def require_present_states(self, count: int) -> None:
        """Each partner knows the end of each of its sessions, as we know it."""
        ours = {
            str(key): (status, kwh)
            for key, status, kwh in self.stack.rows("SELECT id, status, kwh FROM charging_sessions_session")
        }
        theirs = {
            key[2]: (session["status"], session["kwh"])
            for partner in self.partners.values()
            for key, session in partner.sessions.items()
        }
        assert len(ours) == count
        assert theirs == ours

    def require_no_lease_is_held(self) -> None:
        """A lease of a sender that died runs out; nobody holds one when there is nothing to do."""

        def held() -> list[tuple[object, ...]]:
            return self.stack.rows(
                "SELECT platform_id, name, lease_until FROM roaming_lane WHERE lease_until > now()"
            )

        assert wait_for(lambda: not held(), 2 * LEASE_SECONDS), held()

    def history(self) -> str:
        """What happened, in two lines."""
        sends = sum(len(self.posted(party_id)) for party_id in self.partners)
        copies = Counter(
            json.loads(body)["id"] for partner in self.partners.values() for body in partner.store.cdr_bytes
        )
        repeats = sum(each - 1 for each in copies.values())
        outcomes = dict(
            self.stack.rows("SELECT outcome, count(*) FROM roaming_attempt GROUP BY 1 ORDER BY 1")
        )
        return (
            f"CDRs {len(copies)}, sent {sends} times, stored again {repeats} times"
            f" (one of them {max(copies.values(), default=0)} times)\ntries by outcome: {outcomes}"
        )


@contextmanager
def a_rig(below: Path, *arguments: str, **environment: str) -> Iterator[Rig]:
    """A running stack whose three partners are registered over the wire."""
    environment = {"DELIVERY_LEASE_SECONDS": str(LEASE_SECONDS), "SESSION_UPDATE_SECONDS": "1"} | environment
    partners = {party_id: Partner(name, country, party_id).start() for country, party_id, name in PARTNERS}
    try:
        with a_stack(below, "--workers", "1", "--without", "gateway", *arguments, **environment) as stack:
            tokens = json.loads(stack.output(*PRODUCE, "prepare"))
            addresses = stack.addresses
            assert addresses is not None
            for party_id, partner in partners.items():
                answer = partner.register(f"{addresses.http}/ocpi/versions", tokens[party_id])
                assert answer.code == 1000, answer.body
                partner.forget()
            yield Rig(stack, partners)
    finally:
        for partner in partners.values():
            partner.stop()
