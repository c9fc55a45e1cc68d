"""The whitelist matrix: who is asked, and what the answer or its absence means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi import v221
from tests.factories import token_object
from tokens.whitelist import UNREACHABLE, Use, judge_answer, plan_use

W = v221.WhitelistType
A = v221.AllowedType
OUTCOMES = [*A, UNREACHABLE, "UNKNOWN_TOKEN"]
maybe_tokens = st.none() | st.builds(token_object, whitelist=st.sampled_from(list(W)), valid=st.booleans())


@pytest.mark.parametrize(
    ("whitelist", "valid", "plan", "silent"),
    [
        (W.ALWAYS, True, Use.ALLOW_FROM_CACHE, Use.ALLOW_FROM_CACHE),
        (W.ALWAYS, False, Use.REFUSE, Use.REFUSE),
        (W.ALLOWED, True, Use.ALLOW_FROM_CACHE, Use.ALLOW_FROM_CACHE),
        (W.ALLOWED, False, Use.ASK, Use.REFUSE),
        (W.ALLOWED_OFFLINE, True, Use.ASK, Use.ALLOW_FROM_CACHE),
        (W.ALLOWED_OFFLINE, False, Use.ASK, Use.REFUSE),
        (W.NEVER, True, Use.ASK, Use.REFUSE),
        (W.NEVER, False, Use.ASK, Use.REFUSE),
    ],
)
def test_the_matrix(whitelist: v221.WhitelistType, valid: bool, plan: Use, silent: Use) -> None:
    """TOK-09 to TOK-14: the plan, and the verdict when the owner does not answer."""
    token = token_object(whitelist=whitelist, valid=valid)
    assert (plan_use(token), judge_answer(token, UNREACHABLE)) == (plan, silent)


@pytest.mark.parametrize("whitelist", list(W))
@pytest.mark.parametrize("valid", [True, False])
def test_the_setting_moves_only_valid_cards_that_are_allowed(whitelist: W, valid: bool) -> None:
    """TOK-12: either way for ALLOWED; nothing else changes."""
    token = token_object(whitelist=whitelist, valid=valid)
    by_cache, by_asking = plan_use(token), plan_use(token, asks_when_allowed=True)
    if whitelist is W.ALLOWED and valid:
        assert (by_cache, by_asking) == (Use.ALLOW_FROM_CACHE, Use.ASK)
    else:
        assert by_cache is by_asking


def test_an_unknown_card_is_asked_for_and_refused_when_nobody_answers() -> None:
    """TOK-21."""
    assert plan_use(None) is Use.ASK
    assert judge_answer(None, UNREACHABLE) is Use.REFUSE
    assert judge_answer(None, A.ALLOWED) is Use.ALLOW


@given(maybe_tokens, st.sampled_from(OUTCOMES))
def test_only_allowed_allows(token: v221.Token | None, outcome: str) -> None:
    """TOK-13, TOK-16, TOK-17: an answer outweighs the cache both ways; only silence is filled from it."""
    verdict = judge_answer(token, outcome)
    assert (verdict is Use.ALLOW) == (outcome == A.ALLOWED)
    assert verdict is not Use.ALLOW_FROM_CACHE or (
        outcome == UNREACHABLE and token is not None and token.valid
    )
    assert verdict is not Use.ASK


@given(maybe_tokens)
def test_asking_is_never_turned_into_a_yes_by_an_invalid_token(token: v221.Token | None) -> None:
    """TOK-14: where no request is made, `valid: false` is refused."""
    if token is not None and not token.valid:
        assert plan_use(token) is not Use.ALLOW_FROM_CACHE
