"""What the party that pays is told about its session (chapter "Sessions module", receiver interface).

PATCH only for members that are replaced as a whole. ``charging_periods`` in a PATCH is appended by the
receiver (SES-07), so a PATCH that is repeated after a lost answer would double a period, and the newest
period grows with every reading anyway: whenever the periods changed, the whole Session goes by PUT, which
can be repeated (SES-08).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ocpi import codec, v221
from roaming.models import Lane, Obligation
from roaming.pushes import Message, Push, register
from sessions.models import Session
from sessions.wire import CHANGING, session_document


class SessionPush(Push):
    """The current state of one Session, to its owner-segmented URL (OBJ-08)."""

    kind = "session"
    module = "sessions"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.LIVE

    def load(self, obligations: Sequence[Obligation]) -> Mapping[int, Session]:
        """The sessions of a batch in one query."""
        wanted = {each.pk: UUID(each.object_key) for each in obligations}
        sessions = Session.objects.select_related("own_party").in_bulk(wanted.values())
        return {pk: sessions[key] for pk, key in wanted.items() if key in sessions}

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """PUT of the whole when new, forced or with changed periods; else PATCH with ``last_updated``
        (SES-05)."""
        session: Session | None = obligation.loaded or self.load([obligation]).get(obligation.pk)
        if session is None:
            return None
        document = session_document(session)
        segments = (document.country_code, document.party_id, document.id)
        changed = set(obligation.changed_fields)
        is_patch = (
            changed and changed <= CHANGING - {"charging_periods"} and not obligation.force_put
        ) and obligation.confirmed_version > 0
        if is_patch:
            return Message(method="PATCH", segments=segments, body=_patch(document, changed))
        return Message(method="PUT", segments=segments, body=codec.encode(document))


def _patch(document: v221.Session, changed: set[str]) -> bytes:
    members = msgspec.structs.asdict(document)
    return codec.encode({name: members[name] for name in (*sorted(changed), "last_updated")})


register(SessionPush())
