"""Charger passwords: argon2 in the table, one verification per ten minutes on the wire (charging.md 4.5)."""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chargers.limits import Clock

REMEMBER_SECONDS = 600
REMEMBERED = 20_000
PARALLEL_VERIFICATIONS = 2

# OWASP's second choice for argon2id: 19 MiB, two passes, about 25 ms. More slows a depot's reconnect.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_HEX_KEY = re.compile(r"(?:[0-9a-fA-F]{2}){8,64}")


def canonical_password(raw: bytes) -> str:
    """The one text for all forms in which a station may send its key.

    AuthorizationKey is configured as hex; some stations send that text (in either case), others the bytes
    that it stands for. Both come out as lower-case hex.
    """
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        return raw.hex()
    if not text.isprintable():
        return raw.hex()
    return text.lower() if _HEX_KEY.fullmatch(text) else text


def hash_password(password: str) -> str:
    """Argon2id hash of a charger's password (text, or hex of its key) for the station's row."""
    return _HASHER.hash(canonical_password(password.encode()))


class PasswordVerifier:
    """Compares passwords with stored hashes; remembers matches, so that 1,000 reconnects cost one argon2 run.

    The memory is bound to the stored hash: a changed or removed hash is effective at the next connect.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._memory_key = secrets.token_bytes(32)
        self._matched: OrderedDict[bytes, float] = OrderedDict()
        self._slots = asyncio.Semaphore(PARALLEL_VERIFICATIONS)
        self._nobody = _HASHER.hash(secrets.token_hex(16))
        self.verifications = 0

    def remembers(self, stored_hash: str | None, password: str | None) -> bool:
        """Whether this password matched this hash within the last ten minutes; costs no argon2 run."""
        if not stored_hash or password is None:
            return False
        matched_at = self._matched.get(self._memo(stored_hash, password))
        return matched_at is not None and self._clock() - matched_at < REMEMBER_SECONDS

    async def verify(self, stored_hash: str | None, password: str | None) -> bool:
        """Verify in a thread; an unknown station or no password costs the same, against nobody's hash."""
        async with self._slots:
            if self.remembers(stored_hash, password):
                return True
            self.verifications += 1
            matches = await asyncio.to_thread(_matches, stored_hash or self._nobody, password or "")
        if not matches or not stored_hash or password is None:
            return False
        memo = self._memo(stored_hash, password)
        self._matched.pop(memo, None)
        self._matched[memo] = self._clock()
        if len(self._matched) > REMEMBERED:
            self._matched.popitem(last=False)
        return True

    def _memo(self, stored_hash: str, password: str) -> bytes:
        # Keyed with a secret of this process: the memory is of no use for a fast offline search.
        return hmac.digest(self._memory_key, f"{stored_hash}\0{password}".encode(), hashlib.sha256)


def _matches(stored_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def is_password(stored_hash: str, password: str) -> bool:
    """Whether a password matches a station's hash; blocking, for commands and forms."""
    return bool(stored_hash) and _matches(stored_hash, canonical_password(password.encode()))
