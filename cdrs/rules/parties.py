"""Rules on who charged where. [pure]"""

from collections.abc import Iterator
from decimal import Decimal

from cdrs.build import NOT_AVAILABLE
from cdrs.rules import Rule, SessionCase

_MISSING = frozenset({"", NOT_AVAILABLE})
_FIX_PLACE = "Complete the data of the bay, enter the place as it was by a correction, then seal."
_FIX_TOKEN = "Enter the token as the partner issued it by a correction, then seal."  # noqa: S105  # a text


def _contract_missing(case: SessionCase) -> Iterator[str]:
    if case.facts.cdr_token.contract_id in _MISSING:
        yield "the token has no contract id, so the partner cannot bill its driver"


def _uid_missing(case: SessionCase) -> Iterator[str]:
    if case.facts.cdr_token.uid in _MISSING:
        yield "the token has no uid"


def _token_of_another(case: SessionCase) -> Iterator[str]:
    token = case.facts.cdr_token
    owner = (token.country_code.upper(), token.party_id.upper())
    if owner != case.facts.payer:
        payer = "-".join(case.facts.payer)
        yield f"the token is of {'-'.join(owner)}, but the CDR would go to {payer} (CDR-03)"


def _session_id_missing(case: SessionCase) -> Iterator[str]:
    if not case.facts.session_id:
        yield "the session id is missing, although there was a session (CDR-21)"


def _evse_id_missing(case: SessionCase) -> Iterator[str]:
    if case.facts.cdr_location.evse_id in _MISSING:
        yield "the bay has no evse_id, which a CDR must name (CDR-24)"


def _evse_uid_missing(case: SessionCase) -> Iterator[str]:
    place = case.facts.cdr_location
    if place.evse_uid in _MISSING or place.connector_id in _MISSING:
        yield "the EVSE or its connector is not named, although it delivered energy"


def _address_missing(case: SessionCase) -> Iterator[str]:
    place = case.facts.cdr_location
    for name, text in (("address", place.address), ("city", place.city)):
        if text.strip() in _MISSING:
            yield f"the depot has no {name}"


def _null_island(case: SessionCase) -> Iterator[str]:
    coordinates = case.facts.cdr_location.coordinates
    if not Decimal(coordinates.latitude) and not Decimal(coordinates.longitude):
        yield "the depot's coordinates are 0, 0: they were never entered"


RULES: tuple[Rule[SessionCase], ...] = (
    Rule("CONTRACT_MISSING", _contract_missing, _FIX_TOKEN),
    Rule("TOKEN_UID_MISSING", _uid_missing, _FIX_TOKEN),
    Rule("TOKEN_OF_ANOTHER", _token_of_another, _FIX_TOKEN),
    Rule("SESSION_ID_MISSING", _session_id_missing, "Report this: a session always has an id."),
    Rule("EVSE_ID_MISSING", _evse_id_missing, _FIX_PLACE),
    Rule("EVSE_UID_MISSING", _evse_uid_missing, _FIX_PLACE),
    Rule("ADDRESS_MISSING", _address_missing, _FIX_PLACE),
    Rule("COORDINATES_MISSING", _null_island, _FIX_PLACE),
)
