"""Charges as the gateway would report them, made by the real services in a process that may be killed.

    python -m tests.faults.produce prepare                    bays and partners; prints their tokens A as JSON
    python -m tests.faults.produce charge --count 500         makes what is missing of 500 sealed charges

Every step finds out what is there already, so it can be killed anywhere and started again.
"""

import argparse
import json
import os
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import transaction  # noqa: E402  # Django must be set up first
from django.utils import timezone  # noqa: E402

from cdrs.models import CDR  # noqa: E402
from cdrs.services import seal  # noqa: E402
from locations.models import EVSE  # noqa: E402
from ocpi import v221  # noqa: E402
from roaming.handshake import invite_platform  # noqa: E402
from roaming.models import Party, Platform  # noqa: E402
from sessions.models import Session  # noqa: E402
from sessions.services import (  # noqa: E402
    Reading,
    activate_session,
    add_readings,
    complete_session,
    open_session,
)
from tests.sessions.material import cdr_token  # noqa: E402
from tests.sessions.rows import STATION, bay, facts  # noqa: E402

PARTNERS = (("NL", "EMS", "Randstad Taxi"), ("DE", "NLM", "Nordlicht Mobil"), ("FR", "VLO", "Voltigo"))
# Most of the charges are the first one's: a partner that fails is told slowly.
SHARES = (0, 0, 0, 1, 2)
BAYS = 10
FIRST_START = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
PENDING, ACTIVE, COMPLETED = (v221.SessionStatus(each).value for each in ("PENDING", "ACTIVE", "COMPLETED"))


def prepare(*, rate: int) -> dict[str, str]:
    """Set up bays and invite the partners, ``rate`` deliveries a second each; returns tokens A by party id."""
    for number in range(1, BAYS + 1):
        bay(number)
    tokens = {}
    for country_code, party_id, name in PARTNERS:
        invitation = invite_platform(name=name, roles=[("EMSP", country_code, party_id)], now=timezone.now())
        Platform.objects.filter(pk=invitation.platform.pk).update(
            requests_per_second=rate, max_requests_per_second=0
        )
        tokens[party_id] = invitation.token_a
    return tokens


def charge(number: int, *, until: str) -> None:
    """Bring one charge to the end, or to ``until`` ACTIVE; what is done already stays as it is."""
    start = FIRST_START + number // BAYS * timedelta(hours=3)
    # In one step: a pending session whose driver does not come is dropped after a while.
    with transaction.atomic():
        session = _opened(number, start)
        if session.status == PENDING:
            session = activate_session(session=session, started_at=start, meter_start_wh=1_000_000, now=start)
    if until == ACTIVE:
        return
    middle, end = start + timedelta(hours=1), start + timedelta(hours=2)
    if session.status == ACTIVE:
        add_readings(session=session, readings=[Reading(middle, 1_010_000 + number)], now=middle)
    if number % 2:
        # As the gateway does it. The others can be killed between the two, and are sealed later.
        with transaction.atomic():
            _seal(_completed(session, end, number), number, end)
    else:
        _seal(_completed(session, end, number), number, end)


def _opened(number: int, start: datetime) -> Session:
    known = Session.objects.filter(authorization_reference=_reference(number)).first()
    if known is not None:
        return known
    country_code, party_id, _ = PARTNERS[SHARES[number % len(SHARES)]]
    token = cdr_token(
        country_code=country_code, party_id=party_id, contract_id=f"{country_code}-{party_id}-C{number:08}"
    )
    opened = facts(
        party=Party.objects.get(country_code=country_code, party_id=party_id),
        evse=EVSE.objects.select_related("location__depot__operator").get(uid=_bay(number)),
        authorization_reference=_reference(number),
        cdr_token=token,
        started_at=start,
        must_end_by=None,
    )
    return open_session(facts=opened, now=start)


def _completed(session: Session, end: datetime, number: int) -> Session:
    return complete_session(
        session=session, ended_at=end, meter_stop_wh=1_020_000 + number, end_reason="Local", now=end
    )


def _seal(session: Session, number: int, end: datetime) -> None:
    made = seal(session=session, station_key=f"{STATION}/{_bay(number)}/YG{number:08}", now=end)
    if not isinstance(made, CDR):
        raise TypeError(f"charge {number} went to review: {made.reasons}")


def _reference(number: int) -> str:
    return f"APP-{number:05}"


def _bay(number: int) -> str:
    return f"EVSE-GENT-{number % BAYS + 1}"


def main() -> None:
    """Do one of the two and end with exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["prepare", "charge"])
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--until", choices=[ACTIVE, COMPLETED], default=COMPLETED)
    options = parser.parse_args()
    if options.what == "prepare":
        print(json.dumps(prepare(rate=options.rate)))
        return
    done = set(CDR.objects.values_list("session__authorization_reference", flat=True))
    for number in range(options.count):
        if _reference(number) not in done:
            charge(number, until=options.until)


if __name__ == "__main__":
    main()
