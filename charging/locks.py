"""The one order in which charging takes locks, so that no two of its transactions wait for each other.

    StationCall  >  Transaction  >  Command  >  bays (the Location's row)  >  card  >  Session  >  feeds

A ProfileRequest stands where a Command does, and the ChargingProfile of its session behind it. A Reservation has no
place of its own: it is written by whoever holds its Location's row.

A station's message begins at its Transaction, an answer at its StationCall; both may then need the bay, the session
and at last a place in a feed (sessions/feed.py). Whoever needs two of these takes the one further left first,
also when it will only look at it: a foreign key to a row is a lock on that row too.
"""

from django.db import connection

from charging.models import Transaction
from locations.models import EVSE, Location
from roaming.models import Party
from sessions.models import Session

_LOCK_CARD = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 4103))"


def lock_transaction(*, transaction_id: int, station_identity: str | None = None) -> Transaction | None:
    """The transaction as it is now, locked; None when there is none, or it is another station's (W4)."""
    rows = Transaction.objects.select_for_update(of=("self",)).select_related("session")
    if station_identity is not None:
        rows = rows.filter(station_identity=station_identity)
    found: Transaction | None = rows.filter(pk=transaction_id).first()
    return found


def lock_bay(*, location_id: int) -> Location:
    """The Location whose bays are about to be given or taken; starts at one pool follow each other."""
    found: Location = (
        Location.objects.select_for_update(of=("self",), no_key=True)
        .select_related("depot__operator")
        .get(pk=location_id)
    )
    return found


def lock_bay_of(session: Session) -> EVSE:
    """The bay of a session, its Location locked."""
    lock_bay(location_id=session.location_id)
    return EVSE.objects.get(pk=session.evse_id)


def lock_card(*, party: Party, uid: str) -> None:
    """Let two starts with one card follow each other, also at depots far apart."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_CARD, [f"{party.pk}/{uid.upper()}"])


def lock_session(session: Session) -> Session:
    """The session as it is now, locked."""
    found: Session = (
        Session.objects.select_for_update(of=("self",))
        .select_related("own_party", "party")
        .get(pk=session.pk)
    )
    return found
