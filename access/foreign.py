"""The fence around Locations of other operators behind our hub (setting HUB_FENCE): decided by the same `decide`.

Without a row in FencedLocation a CPO behind the hub is open to whom it has agreements with. With one, only parties
with a pass see the Location, and their commands pass in its windows only. The hub does not know bays: whether one is
free is the CPO's own answer.
"""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from access.decide import decide
from access.decisions import AccessFacts, Allow, Deny, EvseFacts, StartRequest
from access.fenced import FencedLocation, Pass
from access.grants import GrantFacts, Terms
from access.messages import public_message
from access.models import Decision
from access.windows import Calendar, DatedException, WeeklyWindow
from ocpi.v221 import ModuleID
from roaming import rawsql
from roaming.hub.fences import Refused
from roaming.models import HubDocument, Party

_ANY_BAY = "*"

# Asked before every request that the hub forwards; nearly always there is no fence.
_TABLE = FencedLocation._meta.db_table
_HAS_FENCES = f"SELECT 1 FROM {_TABLE} WHERE owner_id = %s LIMIT 1"
_FENCE_OF = f"""
SELECT id FROM {_TABLE} WHERE owner_id = %s AND (location_id = '' OR upper(location_id) = upper(%s::text))
ORDER BY location_id DESC LIMIT 1
"""


@dataclass(frozen=True)
class _Question:
    """One start or reservation that is asked of a CPO behind the hub."""

    party: Party
    owner: Party
    request: StartRequest
    now: datetime


class PassFence:
    """Fences and passes that operators keep in the admin."""

    def refusal(
        self,
        *,
        party: Party,
        owner: Party,
        location_id: str,
        evse_uid: str | None,
        token_group: str | None,
        command: str,
        now: datetime,
    ) -> Refused | None:
        """Decide on a command by the fence of its Location, and keep the receipt; None: it may pass.

        Safe to run beside itself: it reads, and inserts the receipt.
        """
        fence = fence_of(owner=owner, location_id=location_id)
        if fence is None:
            return None
        request = StartRequest(
            source="RESERVE_NOW" if command == "RESERVE_NOW" else "START_SESSION",
            party=str(party.ocpi_id),
            token_group=token_group,
            location_id=location_id.upper(),
            evse_uid=evse_uid.upper() if evse_uid else None,
        )
        passes = list(_passes_of(party).filter(fence=fence))
        outcome = decide(request, _facts(fence, request, passes), now)
        receipt = _receipt(_Question(party, owner, request, now), fence, passes, outcome)
        if isinstance(outcome, Allow):
            return None
        return Refused(receipt.message, receipt.ref, is_hidden=outcome.reason.is_hidden)

    def has_fences(self, *, owner: Party) -> bool:
        """Tell whether any Location of this operator is fenced."""
        return rawsql.fetch_one(_HAS_FENCES, [owner.pk]) is not None

    def hidden_locations(self, *, party: Party, now: datetime) -> Collection[tuple[int, str]]:
        """Return (key of the owner, LOCATION ID) of all kept Locations that are fenced and not for this party."""
        fences = list(FencedLocation.objects.all())
        if not fences:
            return frozenset()
        open_to_us = set(_live(_passes_of(party), now).values_list("fence_id", flat=True))
        own = {(fence.owner_id, fence.location_id.upper()): fence.pk for fence in fences}
        kept = HubDocument.objects.filter(
            module=ModuleID.LOCATIONS.value, owner__in={fence.owner_id for fence in fences}
        ).values_list("owner_id", "object_key")
        return frozenset(
            key for key in kept if (fence := own.get(key, own.get((key[0], "")))) and fence not in open_to_us
        )

    def may_see(self, *, party: Party, owner: Party, location_id: str, now: datetime) -> bool:
        """Tell whether a Location is not fenced, or this party has a pass for it."""
        fence = fence_of(owner=owner, location_id=location_id)
        return fence is None or _live(_passes_of(party), now).filter(fence=fence).exists()


def fence_of(*, owner: Party, location_id: str) -> FencedLocation | None:
    """Return the fence of a Location: its own before that of the whole CPO; None when there is none."""
    found = rawsql.fetch_one(_FENCE_OF, [owner.pk, location_id])
    return FencedLocation.objects.filter(pk=found[0]).first() if found else None


def _passes_of(party: Party) -> QuerySet[Pass]:
    """The passes of a party in whatever role it acts: the contract is with the company."""
    return (
        Pass.objects.filter(
            party__country_code=party.country_code,
            party__party_id=party.party_id,
            party__platform=party.platform,
        )
        .select_related("party")
        .prefetch_related("windows")
        .order_by("pk")
    )


def _live(passes: QuerySet[Pass], now: datetime) -> QuerySet[Pass]:
    begun = Q(valid_from=None) | Q(valid_from__lte=now)
    going_on = Q(valid_to=None) | Q(valid_to__gt=now)
    return passes.filter(begun, going_on, status=Pass.Status.ACTIVE)


def _facts(fence: FencedLocation, request: StartRequest, passes: Iterable[Pass]) -> AccessFacts:
    bay = EvseFacts(
        uid=request.evse_uid or _ANY_BAY, online=True, operative=True, occupied=False, removed=False
    )
    return AccessFacts(
        location_known=True,
        kill_switch=fence.is_closed,
        grants=tuple(_grant_facts(each, fence, request.location_id) for each in passes),
        evses=(bay,),
        running_sessions_of_party=0,
    )


def _grant_facts(granted: Pass, fence: FencedLocation, location_id: str) -> GrantFacts:
    status: Any = granted.status
    return GrantFacts(
        id=f"p{granted.pk}",
        version=granted.version,
        party=str(granted.party.ocpi_id),
        location_id=location_id,
        calendar=Calendar(
            time_zone=fence.time_zone,
            weekly=tuple(
                WeeklyWindow(weekdays=frozenset(window.weekdays), opens=window.opens, closes=window.closes)
                for window in granted.windows.all()
            ),
            exceptions=tuple(DatedException(date=each, kind="CLOSED") for each in granted.closed_dates),
        ),
        # When a session of somebody else's station ends is between its CPO and its guest.
        terms=Terms(end_policy="FINISH", min_useful_minutes=granted.min_useful_minutes),
        token_groups=frozenset(granted.token_groups),
        status=status,
        valid_from=granted.valid_from,
        valid_to=granted.valid_to,
    )


def _receipt(
    question: _Question, fence: FencedLocation, passes: Iterable[Pass], outcome: Allow | Deny
) -> Decision:
    denied = isinstance(outcome, Deny)
    receipt = Decision(
        ref=f"d-{secrets.token_hex(5)}",
        at=question.now,
        source=question.request.source,
        party=question.party,
        evse_uid=question.request.evse_uid or "",
        outcome="DENY" if denied else "ALLOW",
        reason=outcome.reason.value if isinstance(outcome, Deny) else "OK",
        message=public_message(outcome, fence.time_zone)[:255] if isinstance(outcome, Deny) else "",
        retry_at=outcome.retry_at if isinstance(outcome, Deny) else None,
        grant_ref="" if denied else f"{outcome.grant_id}/v{outcome.grant_version}",
        inputs={
            "clock": question.now.isoformat(),
            "party": question.request.party,
            "token_group": question.request.token_group,
            "operator": str(question.owner.ocpi_id),
            "location": question.request.location_id,
            "evse": question.request.evse_uid,
            "fence": str(fence),
            "passes": [{"id": each.pk, "version": each.version, "status": each.status} for each in passes],
        },
        trace=[list(step) for step in outcome.trace],
    )
    receipt.save(force_insert=True)
    return receipt
