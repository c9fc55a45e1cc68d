"""When a token may be used without asking its owner, and what the owner's answer means (TOK-09 to TOK-16). [pure]"""

from enum import Enum

from ocpi import v221

UNREACHABLE = "UNREACHABLE"

_CACHED_WHEN_SILENT = frozenset(
    {v221.WhitelistType.ALWAYS, v221.WhitelistType.ALLOWED, v221.WhitelistType.ALLOWED_OFFLINE}
)


class Use(Enum):
    """What to do with a token that is held to a reader."""

    ASK = "ask its owner"
    ALLOW = "allowed by its owner's answer"
    ALLOW_FROM_CACHE = "allowed by what its owner told us before"
    REFUSE = "refused"


def plan_use(token: v221.Token | None, *, asks_when_allowed: bool = False) -> Use:
    """Decide before anybody is asked: ASK, ALLOW_FROM_CACHE or REFUSE; None is a card that we do not know.

    ALWAYS is never asked for. ALLOWED leaves it to us (TOK-12): a yes of the cache is used unless this installation
    ``asks_when_allowed``, a no is asked for again. Whether the token is valid does not matter where asking is a duty,
    as its owner may say otherwise by now (TOK-13).
    """
    if token is None:
        return Use.ASK
    if token.whitelist is v221.WhitelistType.ALWAYS:
        return Use.ALLOW_FROM_CACHE if token.valid else Use.REFUSE
    if token.whitelist is v221.WhitelistType.ALLOWED and token.valid and not asks_when_allowed:
        return Use.ALLOW_FROM_CACHE
    return Use.ASK


def judge_answer(token: v221.Token | None, outcome: str) -> Use:
    """Decide by the outcome of a real-time authorization: ALLOW, ALLOW_FROM_CACHE or REFUSE.

    Only ALLOWED allows. Silence is filled from the cache where the whitelist says so and the token is valid.
    """
    if outcome == v221.AllowedType.ALLOWED:
        return Use.ALLOW
    if (
        outcome == UNREACHABLE
        and token is not None
        and token.valid
        and token.whitelist in _CACHED_WHEN_SILENT
    ):
        return Use.ALLOW_FROM_CACHE
    return Use.REFUSE
