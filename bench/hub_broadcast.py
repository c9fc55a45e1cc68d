"""One Location on its way from the hub to 50 parties, five of which take requests and never answer.

The pushes go through the hub's own receiver, the deliveries through the product's own sender (`manage.py sweep`).
"""

import json
import statistics
import time
from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from bench.fanout import Partners, sender
from bench.hub_members import Members, caller, listen, location, members, request
from bench.seed import Seed
from bench.table import Row
from locations.models import PartnerView
from roaming.hub import receiver
from roaming.routing import Route

PARTIES, HANGING = 50, 5
PATIENCE_SECONDS = 30.0
GAP_SECONDS = 0.3


def measure(seed: Seed, *, quick: bool, now: datetime) -> Iterator[Row]:
    """Yield the lines of the broadcast."""
    partners = Partners(PARTIES)
    try:
        with members(cpos=1, emsps=PARTIES) as behind:
            listen(behind.emsps, partners.ports)
            yield from _broadcasts(behind, partners, rounds=5 if quick else 20)
    finally:
        partners.close()


def _broadcasts(behind: Members, partners: Partners, *, rounds: int) -> Iterator[Row]:
    hanging, answering = partners.ports[:HANGING], partners.ports[HANGING:]
    with sender():
        _spread(behind, partners, "WARM", answering)
        quiet = [_spread(behind, partners, f"Q{number}", answering) for number in range(rounds)]
        for port in hanging:
            partners.tell(f"hang {port}")
        stuck = [_spread(behind, partners, f"H{number}", answering) for number in range(rounds)]
    partners.tell("release")
    answered = statistics.median(seconds for seconds, _ in stuck)
    without, beside = (statistics.median(spread for _, spread in rounds) for rounds in (quiet, stuck))
    yield Row(
        job="broadcast to 50 parties: the sender has its answer",
        ours=f"{answered * 1000:.0f} ms",
        goal="< 100 ms",
        met=answered < 0.1,
    )
    yield Row(
        job="broadcast until 45 of 50 have it, none hangs",
        ours=f"{without:.2f} s",
        goal="< 2 s",
        met=without < 2,
    )
    yield Row(
        job="the same, while the other five hang",
        ours=f"{beside:.2f} s ({100 * (beside / without - 1):+.0f} %, at most {max(spread for _, spread in stuck):.2f} s)",
        goal="< 2 s",
        met=beside < 2,
    )


def _spread(behind: Members, partners: Partners, id_: str, wanted: list[int]) -> tuple[float, float]:
    """Push one Location; return the seconds until the answer, and until the last of these ports has it."""
    now = timezone.now()
    document = json.loads(bytes(PartnerView.objects.order_by("id")[0].document))
    (cpo,) = behind.cpos
    body = json.dumps(location(document, cpo, id_, now)).encode()
    route = Route("locations", "RECEIVER", (cpo.country_code, cpo.party_id, id_))
    partners.take()
    began = time.monotonic()
    answer = receiver.answer(
        request("PUT", f"/ocpi/2.2.1/receiver/locations/{'/'.join(route.rest)}", body=body),
        route,
        caller(cpo, behind.hub),
    )
    answered = time.monotonic() - began
    if answer.status_code != 201:
        raise RuntimeError(f"the push was answered {answer.status_code}: {answer.content!r}")
    arrivals: dict[int, float] = {}
    while not arrivals.keys() >= set(wanted):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise RuntimeError(
                f"{len(arrivals)} of {len(wanted)} parties have it after {PATIENCE_SECONDS:.0f} s"
            )
        time.sleep(0.02)
        for port, at, target, _ in partners.take():
            if target.endswith(id_):
                arrivals[port] = at
    time.sleep(GAP_SECONDS)
    return answered, max(arrivals[port] for port in wanted) - began
