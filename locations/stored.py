"""Reading and cutting the stored bytes of a Location without rendering it again. [pure]

The documents are our own, in the one form that `ocpi.codec.encode` writes: compact, members in the order of
the specification. Members that are not touched are copied as bytes.
"""

from datetime import datetime

import msgspec

from ocpi import v221
from ocpi.scalars import write_datetime

_LOCATION = msgspec.json.Decoder(v221.Location)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_STATUS = b'"status":"'
_REMOVED = v221.Status.REMOVED.value.encode("ascii")
_STAMP = b'"last_updated":"'


class _EvseHead(msgspec.Struct):
    uid: str


class _ConnectorHead(msgspec.Struct):
    id: str


_EVSE_HEAD = msgspec.json.Decoder(_EvseHead)
_CONNECTOR_HEAD = msgspec.json.Decoder(_ConnectorHead)


def read_location(document: bytes) -> v221.Location:
    """Return a stored document as an object."""
    return _LOCATION.decode(document)


def evse_document(document: bytes, evse_uid: str) -> bytes | None:
    """Return the bytes of one EVSE of a stored Location, or None when it has no such EVSE."""
    for entry in _entries(document, "evses"):
        if _EVSE_HEAD.decode(entry).uid == evse_uid:
            return bytes(entry)
    return None


def connector_document(evse: bytes, connector_id: str) -> bytes | None:
    """Return the bytes of one Connector of an EVSE, ids compared without case, or None."""
    for entry in _entries(evse, "connectors"):
        if _CONNECTOR_HEAD.decode(entry).id.upper() == connector_id.upper():
            return bytes(entry)
    return None


def with_status(document: bytes, evse_uid: str, status: v221.Status, stamp: datetime) -> bytes | None:
    """Return the Location with another status of one EVSE, both stamped; None when nothing would change.

    Works on the bytes as they stand, since a change of one bay goes to every partner's document: `status` is the
    first member of that name after the uid, and each object ends with its own `last_updated`. Texts cannot be taken
    for members: inside of them quotes are escaped.
    """
    evses_at = document.find(b'"evses":[')
    evse_at = document.find(b'{"uid":"%s"' % evse_uid.encode("ascii"), evses_at) if evses_at >= 0 else -1
    if evse_at < 0:
        return None
    status_at = document.index(_STATUS, evse_at) + len(_STATUS)
    status_end = document.index(b'"', status_at)
    if document[status_at:status_end] == status.value.encode("ascii"):
        return None
    own_stamp_at = document.rindex(_STAMP) + len(_STAMP)
    next_at = document.find(b'{"uid":"', status_end)
    stamp_at = document.rindex(_STAMP, 0, next_at if next_at >= 0 else own_stamp_at - len(_STAMP)) + len(
        _STAMP
    )
    text = write_datetime(stamp).encode("ascii")
    return b"".join(
        (
            document[:status_at],
            status.value.encode("ascii"),
            document[status_end:stamp_at],
            text,
            document[document.index(b'"', stamp_at) : own_stamp_at],
            text,
            b'"}',
        )
    )


def is_removed(document: bytes, evse_uid: str) -> bool:
    """Whether an EVSE stands in the Location as REMOVED: by its station, or since it is not shown any more."""
    evse_at = document.find(b'{"uid":"%s"' % evse_uid.encode("ascii"))
    return evse_at >= 0 and document.startswith(_REMOVED, document.index(_STATUS, evse_at) + len(_STATUS))


def patch(evse: bytes, names: tuple[str, ...]) -> bytes:
    """Return the body of a PATCH of a stored EVSE: the members named, and `last_updated` (LOC-12)."""
    members = _MEMBERS.decode(evse)
    return _ENCODER.encode({name: members[name] for name in (*names, "last_updated") if name in members})


def _entries(document: bytes | msgspec.Raw, name: str) -> list[msgspec.Raw]:
    members = _MEMBERS.decode(document)
    return _ENTRIES.decode(members[name]) if name in members else []
