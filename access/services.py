"""Verbs of access: decide and keep the receipt, publish what follows from the grants, change grants."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from access import edges
from access.decide import decide
from access.decisions import Allow, Deny, StartRequest
from access.facts import access_facts, evses_of, grant_facts, grants_of
from access.messages import public_message
from access.models import Decision, Grant
from access.tariffs import require_distinct_tariffs
from access.views_at import publication
from locations.models import Depot, Location, PartnerView
from locations.services import publish_view
from ocpi import codec, v221
from roaming.models import Party
from sessions.models import Session
from tariffs.choice import check_offer
from tariffs.models import Tariff
from tariffs.services import set_visible


@dataclass(frozen=True)
class Verdict:
    """What `decide` said about one request, and the receipt that was kept of it."""

    outcome: Allow | Deny
    receipt: Decision


def decide_start(
    *,
    request: StartRequest,
    party: Party,
    location: Location | None,
    now: datetime,
    at_station: bool = False,
    reservation: Session | None = None,
) -> Verdict:
    """Decide on one start and keep the decision as a row, whatever it is.

    `at_station`: the station itself asks (see access.facts.evse_facts). `reservation`: the session with which
    the asker holds a place here already.

    Safe to run beside itself: it only reads and inserts. That two starts never share a bay is enforced by the
    unique constraint on live sessions, not here.
    """
    grants = list(grants_of(location).filter(party=party)) if location is not None else []
    facts = access_facts(
        location=location, party=party, grants=grants, at_station=at_station, reservation=reservation
    )
    outcome = decide(request, facts, now)
    time_zone = location.depot.time_zone if location is not None else "UTC"
    receipt = Decision(
        ref=f"d-{secrets.token_hex(5)}",
        at=now,
        source=request.source,
        party=party,
        location=location,
        evse_uid=(outcome.evse_uid if isinstance(outcome, Allow) else request.evse_uid) or "",
        outcome="ALLOW" if isinstance(outcome, Allow) else "DENY",
        reason="OK" if isinstance(outcome, Allow) else outcome.reason.value,
        message="" if isinstance(outcome, Allow) else public_message(outcome, time_zone)[:255],
        retry_at=None if isinstance(outcome, Allow) else outcome.retry_at,
        grant_ref=_grant_ref(outcome, grants),
        inputs=_inputs(request, grants, now),
        trace=[list(step) for step in outcome.trace],
    )
    receipt.save(force_insert=True)
    return Verdict(outcome, receipt)


def is_admitted(*, party: Party, location: Location, token_group: str | None, now: datetime) -> bool:
    """Whether the fences alone would let a start pass now; nothing is kept."""
    grants = list(grants_of(location).filter(party=party))
    request = StartRequest(
        source="PREVIEW", party=str(party.ocpi_id), location_id=location.ocpi_id, token_group=token_group
    )
    facts = access_facts(location=location, party=party, grants=grants)
    outcome = decide(request, replace(facts, running_sessions_of_party=0), now)
    return isinstance(outcome, Allow) or outcome.reason.is_physical


def _grant_ref(outcome: Allow | Deny, grants: Iterable[Grant]) -> str:
    if isinstance(outcome, Deny):
        return ""
    version = next(grant.version for grant in grants if str(grant.pk) == outcome.grant_id)
    return f"{outcome.grant_id}/v{version}"


def _inputs(request: StartRequest, grants: Iterable[Grant], now: datetime) -> dict[str, object]:
    return {
        "clock": now.isoformat(),
        "party": request.party,
        "token_group": request.token_group,
        "location": request.location_id,
        "evse": request.evse_uid,
        "grants": [
            {
                "id": grant.pk,
                "version": grant.version,
                "status": grant.status,
                "schedule": str(grant.schedule),
            }
            for grant in grants
        ],
    }


def republish(*, location: Location, now: datetime) -> None:
    """Render what each partner sees of this Location from its grants, and plan the edges ahead.

    One transaction with the Location locked: two callers follow each other, and the later one sees the
    grants of both. Partners whose document does not change are not told anything.
    """
    with transaction.atomic():
        location = Location.objects.select_for_update().select_related("depot").get(pk=location.pk)
        by_party: dict[int, list[Grant]] = defaultdict(list)
        for grant in grants_of(location):
            by_party[grant.party_id].append(grant)
        evses = evses_of(location)
        parties = Party.objects.filter(pk__in={*by_party, *_shown_parties(location)}).select_related(
            "platform"
        )
        for party in parties.order_by("pk"):
            grants = by_party[party.pk]
            shown = publication(
                party=str(party.ocpi_id),
                grants=tuple(grant_facts(grant) for grant in grants),
                evses=evses,
                now=now,
                kill_switch=location.depot.is_closed_to_guests,
            )
            set_visible(party=party, tariffs=_tariffs_of(party), now=now)
            publish_view(party=party, location=location, publication=shown, now=now)
            edges.plan(party=party, location=location, publication=shown, now=now)


def _shown_parties(location: Location) -> set[int]:
    return set(PartnerView.objects.filter(location=location).values_list("party_id", flat=True))


def _tariffs_of(party: Party) -> list[Tariff]:
    """The tariffs that some grant of the party names and that has not ended."""
    live = Grant.objects.filter(party=party).exclude(status=Grant.Status.ENDED)
    named = Q(pk__in=live.values("tariff_id")) | Q(profile_grants__in=live)
    return list(Tariff.objects.filter(named, is_withdrawn=False).distinct().order_by("pk"))


def republish_depot(*, depot: Depot, now: datetime) -> None:
    """Render all Locations of a depot again, e.g. after a change of its hours or its kill switch."""
    for location in depot.locations.order_by("pk"):
        republish(location=location, now=now)


def change_grant(*, grant: Grant, now: datetime, profile_tariffs: Sequence[Tariff] | None = None) -> Grant:
    """Save a new or edited grant as its next version and publish what follows.

    ``profile_tariffs`` None leaves those as they are. Raises ValueError for tariffs that cannot be offered together,
    of it TariffRefused when a connector would name two of one type that are valid at the same time (LOC-27), and
    ValidationError for the hours of another depot or the tariff of another operator (HUB-06). Two callers for one
    Location follow each other on its row, so neither misses the other's tariff.
    """
    with transaction.atomic():
        write_grant(grant=grant, profile_tariffs=profile_tariffs, now=now)
        require_distinct_tariffs(location=grant.location)
    return grant


def write_grant(*, grant: Grant, now: datetime, profile_tariffs: Sequence[Tariff] | None = None) -> Grant:
    """As `change_grant`, for whoever changes several grants and checks their tariffs when all are written."""
    grant.clean()
    if profile_tariffs is not None:
        require_offerable(grant.tariff, profile_tariffs)
    with transaction.atomic():
        if grant.pk is not None:
            stored = Grant.objects.select_for_update().get(pk=grant.pk)
            grant.version = stored.version + 1
            grant.status = stored.status  # only `set_grant_status` moves it
        grant.save()
        if profile_tariffs is not None:
            grant.profile_tariffs.set(profile_tariffs)
        republish(location=grant.location, now=now)
    return grant


def require_offerable(tariff: Tariff, profile_tariffs: Iterable[Tariff]) -> None:
    """Refuse tariffs that cannot be offered under one grant. Raises ValueError with a text that can be shown."""
    documents = [codec.decode_bytes(v221.Tariff, bytes(each.document)) for each in (tariff, *profile_tariffs)]
    check_offer(documents[0], documents[1:])


def set_grant_status(*, grant: Grant, status: Grant.Status, now: datetime) -> Grant:
    """Suspend, resume or end a grant; ended is final (raises ValueError)."""
    with transaction.atomic():
        stored = Grant.objects.select_for_update().get(pk=grant.pk)
        if stored.status == Grant.Status.ENDED:
            raise ValueError(f"The grant of {stored.party} has ended for good; give a new grant instead.")
        stored.status = status
        stored.version += 1
        stored.save(update_fields=["status", "version"])
        republish(location=stored.location, now=now)
    return stored


def set_kill_switch(*, depot: Depot, is_closed: bool, now: datetime) -> None:
    """Close a whole site to guests at once, or open it again; running sessions go on."""
    with transaction.atomic():
        Depot.objects.select_for_update().filter(pk=depot.pk).update(is_closed_to_guests=is_closed)
        republish_depot(depot=Depot.objects.get(pk=depot.pk), now=now)
