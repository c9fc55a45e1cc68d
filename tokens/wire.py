"""Stored tokens as OCPI objects."""

from ocpi import codec, v221
from tokens.models import Token


def token_object(token: Token) -> v221.Token:
    """The token as its owner last told us."""
    return codec.decode_bytes(v221.Token, bytes(token.document))
