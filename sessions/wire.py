"""A session row as the OCPI object (chapter "Sessions module")."""

from ocpi import codec, v221
from sessions.models import Session
from tariffs.rounding import plain, round_money

# The members of a Session that can change after its first push; all others are fixed when it opens.
CHANGING = frozenset(
    {
        "start_date_time",
        "end_date_time",
        "kwh",
        "auth_method",
        "authorization_reference",
        "charging_periods",
        "total_cost",
        "status",
    }
)


def session_document(session: Session) -> v221.Session:
    """Return the Session as its partner sees it; fetch the row with ``own_party``.

    Place and token are those of the start (CDR-12). ``total_cost`` absent means unknown, 0 means free
    (SES-18).
    """
    place = codec.decode_bytes(v221.CdrLocation, bytes(session.cdr_location))
    return v221.Session(
        country_code=session.own_party.country_code,
        party_id=session.own_party.party_id,
        id=str(session.pk),
        start_date_time=session.started_at,
        end_date_time=session.ended_at,
        kwh=plain(session.kwh),
        cdr_token=codec.decode_bytes(v221.CdrToken, bytes(session.cdr_token)),
        auth_method=v221.AuthMethod(session.auth_method),
        authorization_reference=session.authorization_reference or None,
        location_id=place.id,
        evse_uid=place.evse_uid,
        connector_id=place.connector_id,
        currency=session.currency,
        charging_periods=codec.decode_bytes(tuple[v221.ChargingPeriod, ...], bytes(session.charging_periods)),
        total_cost=_total_cost(session),
        status=v221.SessionStatus(session.status),
        last_updated=session.last_updated,
    )


def _total_cost(session: Session) -> v221.Price | None:
    if session.total_cost is None:
        return None
    # Rounded already: this gives it back the decimals of its currency.
    cost = v221.Price(excl_vat=session.total_cost, incl_vat=session.total_cost_incl_vat)
    return round_money(cost, currency=session.currency)
