"""Tokens at rest."""

import re

import pytest

from roaming.secrets import (
    SecretUnreadableError,
    hash_token,
    new_token,
    read_outbound_token,
    write_outbound_token,
)
from tests.factories import PlatformFactory

OLD_KEY, NEW_KEY = "11" * 32, "22" * 32


def test_new_tokens():
    """CRD-01: a thousand of them, printable, at most 64 characters, all different."""
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[!-~]{43}", token) for token in tokens)


def test_the_hash_depends_on_a_key_outside_the_database(settings):
    """A stolen dump opens nothing."""
    before = hash_token("example-token")
    assert (len(before), hash_token("example-token"), hash_token("Example-token") == before) == (
        32,
        before,
        False,
    )
    settings.TOKEN_PEPPER = "another"
    assert hash_token("example-token") != before


@pytest.mark.django_db
class TestOutboundTokens:
    def test_round_trip(self):
        """Not in the clear, and never the same text twice."""
        platform = PlatformFactory()
        write_outbound_token(platform, "token-of-theirs")
        first = platform.outbound_token
        write_outbound_token(platform, "token-of-theirs")
        assert (b"token-of-theirs" in first, platform.outbound_token == first) == (False, False)
        platform.save()
        platform.refresh_from_db()
        assert read_outbound_token(platform) == "token-of-theirs"

    def test_a_ciphertext_does_not_open_in_another_row(self):
        """It is bound to its platform."""
        one, other = PlatformFactory(), PlatformFactory()
        write_outbound_token(one, "token-of-theirs")
        other.outbound_token = one.outbound_token
        with pytest.raises(SecretUnreadableError):
            read_outbound_token(other)

    def test_the_newest_key_writes_and_all_read(self, settings):
        platform = PlatformFactory()
        settings.FIELD_ENCRYPTION_KEYS = [OLD_KEY]
        write_outbound_token(platform, "token-of-theirs")
        settings.FIELD_ENCRYPTION_KEYS = [NEW_KEY, OLD_KEY]
        assert read_outbound_token(platform) == "token-of-theirs"
        write_outbound_token(platform, "token-of-theirs")
        settings.FIELD_ENCRYPTION_KEYS = [NEW_KEY]
        assert read_outbound_token(platform) == "token-of-theirs"
        settings.FIELD_ENCRYPTION_KEYS = [OLD_KEY]
        with pytest.raises(SecretUnreadableError):
            read_outbound_token(platform)

    @pytest.mark.parametrize("stored", [None, b"", b"\0" * 10, b"\0" * 60])
    def test_what_is_no_secret_is_not_read(self, stored):
        platform = PlatformFactory(outbound_token=stored)
        with pytest.raises(SecretUnreadableError):
            read_outbound_token(platform)
