"""Verbs of tokens: store what their owner says, find them, and pull a partner's list.

A token that was only seen in a command is never stored here (CMD-17), and nothing is ever deleted (TOK-05). What a
partner tells one party of ours says nothing to another: each of ours has its own tokens (HUB-06).
"""

from datetime import datetime

from django.db.models import QuerySet

from ocpi import v221
from roaming.models import Party
from tokens.models import Token
from tokens.pull import PullReport, pull_due_platforms, pull_tokens
from tokens.store import key_of, store_one

__all__ = [
    "PullReport",
    "find_token",
    "lock_token",
    "pull_due_platforms",
    "pull_tokens",
    "put_token",
    "set_blocked",
    "tokens_by_uid",
]


def put_token(*, own_party: Party, party: Party, token: v221.Token, now: datetime) -> bool:
    """Store a token as its owner `party` states it to our `own_party`; True when it was new (TOK-01).

    A token older than the one that is known changes nothing. Safe to run beside itself: it is one statement.
    """
    return store_one(own_party, party, token, now)


def find_token(*, own_party: Party, party: Party, uid: str, type: v221.TokenType) -> Token | None:
    """Return the partner party's token with this uid (case ignored) and type that our `own_party` knows, or None."""
    return _known(own_party, uid, type).filter(party=party).first()


def lock_token(*, own_party: Party, party: Party, uid: str, type: v221.TokenType) -> Token | None:
    """As `find_token`, and keep others from writing it until the end of the transaction."""
    return _known(own_party, uid, type).filter(party=party).select_for_update().first()


def tokens_by_uid(*, own_party: Party, uid: str, type: v221.TokenType) -> list[Token]:
    """Return the tokens of all partners with this uid and type that our `own_party` knows, the longest known first.

    More than one means that the uid is claimed twice; whose card it is, is not decided here (B11).
    """
    return list(_known(own_party, uid, type).filter(party__is_active=True).select_related("party__platform"))


def set_blocked(*, token: Token, is_blocked: bool) -> bool:
    """Block a token at our stations, or let its owner's word count again; False when it was so before.

    One statement; what its owner sends meanwhile does not touch it (B18).
    """
    return bool(
        Token.objects.filter(pk=token.pk, is_blocked_here=not is_blocked).update(is_blocked_here=is_blocked)
    )


def _known(own_party: Party, uid: str, type: v221.TokenType) -> QuerySet[Token]:
    key = key_of(uid)
    if key is None:
        return Token.objects.none()
    return Token.objects.filter(own_party=own_party, uid_key=key, type=type.value)
