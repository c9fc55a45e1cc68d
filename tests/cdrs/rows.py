"""Sealed CDRs and sessions under review, made by the services themselves."""

from datetime import timedelta
from typing import Any

from cdrs.models import CDR, Correction, Review
from cdrs.services import seal
from locations.models import EVSE
from roaming.models import Obligation, Party
from sessions.models import Session
from tests.sessions.rows import STATION, completed

STATION_KEY = f"{STATION}/1/YG0123456789"


def sealed_or_reviewed(session: Session) -> CDR | Review:
    assert session.ended_at is not None
    station_key = STATION_KEY.replace("/1/", f"/{session.evse.ocpp_connector}/")
    return seal(session=session, station_key=station_key, now=session.ended_at + timedelta(seconds=2))


def sealed(*, party: Party, evse: EVSE, **members: Any) -> CDR:
    """A charge of two hours and 20 kWh, sealed."""
    cdr = sealed_or_reviewed(completed(party=party, evse=evse, **members))
    assert isinstance(cdr, CDR), cdr.reasons
    return cdr


def in_review(*, party: Party, evse: EVSE, **members: Any) -> Review:
    """A charge that delivered nothing: lint asks a person."""
    review = sealed_or_reviewed(completed(party=party, evse=evse, energy_wh=0, **members))
    assert isinstance(review, Review)
    return review


def ledger() -> list[tuple[str, str, str]]:
    """CDRs that are owed: key, shape and state."""
    rows = Obligation.objects.filter(kind="cdr").order_by("id")
    return [(each.object_key, each.shape, each.state) for each in rows]


def everything() -> tuple[Any, ...]:
    """All that sealing may touch, to prove that a refusal touched nothing."""
    return (
        list(CDR.objects.order_by("feed_seq").values_list("key", "feed_seq")),
        list(Review.objects.order_by("id").values()),
        list(Correction.objects.order_by("id").values_list("pk", flat=True)),
        list(Obligation.objects.order_by("id").values_list("pk", "wanted_version", "state")),
        list(Session.objects.order_by("created_at").values_list("pk", "status", "last_updated")),
    )
