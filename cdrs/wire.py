"""A sealed CDR as the OCPI object (chapter "CDRs module")."""

import hashlib

from cdrs.models import CDR
from ocpi import codec, v221


class Altered(Exception):
    """The bytes of a CDR are not those that were sealed. Nothing may be sent or exported; call an
    operator."""


def sealed_body(row: CDR) -> bytes:
    """Return the bytes exactly as they were sealed. Raises Altered when they no longer match their hash."""
    body = bytes(row.body)
    if hashlib.sha256(body).digest() != bytes(row.sha256):
        raise Altered(f"CDR {row.ocpi_id}: its bytes do not match its sha256")
    return body


def cdr_document(row: CDR) -> v221.CDR:
    """Return the CDR as an object, for people and reports; what goes over the wire is ``sealed_body``."""
    return codec.decode_bytes(v221.CDR, sealed_body(row))
