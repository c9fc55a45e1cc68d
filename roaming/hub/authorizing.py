"""Real-time authorization of a card when the asking CPO does not know whose it is (HUB-50).

Only those are asked who may know: the parties whose token the hub has seen, else those who said that cards beginning
so are theirs, then those who agreed to be asked. One after the other, and all within the time that a driver at a
station waits.
"""

from django.conf import settings
from django.db.models import Q
from django.http import HttpResponse

from ocpi.client import Answer
from ocpi.status import OcpiError, StatusCode, not_found
from ocpi.v221 import Role
from roaming.hub import trails
from roaming.hub.agreements import parties_for
from roaming.hub.forward import prepared, returned
from roaming.hub.gates import Budget
from roaming.hub.incoming import Incoming
from roaming.hub.targets import endpoint_of, parties_at, reach
from roaming.models import HubDocument, Party

_LEAST_SECONDS = 0.1


def is_authorization(incoming: Incoming) -> bool:
    """Tell whether a request asks for the authorization of a card."""
    route = incoming.route
    is_tokens = (route.module, route.role, incoming.method) == ("tokens", "SENDER", "POST")
    return is_tokens and len(route.rest) == 2 and route.rest[1] == "authorize"


def authorize(incoming: Incoming) -> HttpResponse:
    """Return the answer of the first party that knows the card.

    Raises OcpiError: HTTP 404 with 2004 when all that were asked decline, or there was nobody to ask; the fault of
    the last one that could not be asked when that leaves it open.
    """
    budget = Budget(settings.REALTIME_AUTHORIZATION_SECONDS, each=settings.HUB_FORWARD_SECONDS)
    fault: OcpiError | None = None
    for party in _candidates(incoming):
        if budget.left() < _LEAST_SECONDS:
            raise OcpiError(StatusCode.TIMEOUT, "the time for an authorization is over")
        try:
            target = reach(party, route=incoming.route, caller=incoming.caller)
            leg, _ = prepared(incoming, target)
            answer = leg.travel(budget=budget)
        except OcpiError as error:
            fault = error
            continue
        if not _declines(answer):
            return returned(incoming, leg, answer)
    raise fault or not_found("unknown token", StatusCode.UNKNOWN_TOKEN)


def _declines(answer: Answer) -> bool:
    return answer.http_status == 404 or answer.status_code == StatusCode.UNKNOWN_TOKEN


def _candidates(incoming: Incoming) -> list[Party]:
    """Whom to ask, in this order; nobody who has no agreement with the asking party."""
    uid, module = incoming.route.rest[0], incoming.route.module
    agreed = parties_for(incoming.caller, module=module, roles=[Role.EMSP])
    rows = parties_at(incoming.route).filter(pk__in=agreed.values("pk")).order_by("pk")
    seen = _seen(uid)
    if seen:
        return list(rows.filter(pk__in=seen))
    willing = Q(answers_unknown_tokens=True) | ~Q(token_prefixes=[])
    connected = rows.filter(willing, presence=Party.Presence.CONNECTED)
    asked = [party for party in connected if endpoint_of(party)]
    first = [party for party in asked if _begins(uid, party)]
    return [*first, *(party for party in asked if party.answers_unknown_tokens and party not in first)]


def _begins(uid: str, party: Party) -> bool:
    return any(uid.upper().startswith(prefix.upper()) for prefix in party.token_prefixes if prefix)


def _seen(uid: str) -> set[int]:
    """The parties of whose tokens with this uid the hub knows; a key is uid and type, parted by a slash."""
    rows = HubDocument.objects.filter(
        module="tokens", object_key__startswith=f"{uid.upper()}/", is_deleted=False
    )
    return set(rows.values_list("owner_id", flat=True)) | trails.concerned(module="tokens", object_key=uid)
