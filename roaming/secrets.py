"""Credentials tokens at rest: a keyed hash of those that partners present, ours for them encrypted."""

import hashlib
import hmac
import secrets
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from roaming.models import Platform

_NONCE_BYTES = 12
_KEY_ID_BYTES = 4
_FIELD = "outbound_token"


class SecretUnreadableError(Exception):
    """A stored secret that no key of FIELD_ENCRYPTION_KEYS opens in this place."""


def new_token() -> str:
    """Return a fresh credentials token: 256 random bits as 43 printable characters (CRD-01)."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """Return what is stored, and looked up, for a token that a partner presents.

    The key lies outside the database: a stolen dump opens nothing, and timing tells nothing about a token.
    """
    return hmac.digest(settings.TOKEN_PEPPER.encode(), token.encode(), hashlib.sha256)


def write_outbound_token(platform: Platform, token: str) -> None:
    """Put the token that we present to this platform into its row, encrypted; the caller saves."""
    key_id, cipher = _key_ring(tuple(settings.FIELD_ENCRYPTION_KEYS))[0]
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = cipher.encrypt(nonce, token.encode("ascii"), _place(platform, key_id))
    platform.outbound_token = key_id + nonce + sealed


def read_outbound_token(platform: Platform) -> str:
    """Return the token that we present to this platform.

    Raises SecretUnreadableError when there is none, or when it was written with a key that is gone or for
    another row.
    """
    stored = bytes(platform.outbound_token or b"")
    key_id, rest = stored[:_KEY_ID_BYTES], stored[_KEY_ID_BYTES:]
    for known_id, cipher in _key_ring(tuple(settings.FIELD_ENCRYPTION_KEYS)):
        if known_id != key_id:
            continue
        try:
            nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
            return cipher.decrypt(nonce, sealed, _place(platform, key_id)).decode("ascii")
        except InvalidTag:
            break
    raise SecretUnreadableError(f"no usable outbound token is stored for platform {platform.pk}")


def _place(platform: Platform, key_id: bytes) -> bytes:
    # Bound to its row: a ciphertext that is copied to another platform does not open there.
    return f"{platform.pk}:{_FIELD}:".encode() + key_id


@cache
def _key_ring(keys: tuple[str, ...]) -> tuple[tuple[bytes, AESGCM], ...]:
    """The first key writes, all read; a key is 64 hexadecimal digits."""
    ring = []
    for key in keys:
        raw = bytes.fromhex(key)
        ring.append((hashlib.sha256(raw).digest()[:_KEY_ID_BYTES], AESGCM(raw)))
    return tuple(ring)
