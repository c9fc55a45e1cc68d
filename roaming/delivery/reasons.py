"""Why a delivery is where it is, in words for a person and with what to do. [pure]"""

from roaming.delivery.answers import Meaning

# What an operator can do about each meaning of an answer.
_ADVICE = {
    Meaning.REFUSED: "The partner refused it. Read its message, settle the cause, then replay.",
    Meaning.REFUSED_BY_HTTP: "The partner's server refused it. Ask the partner, then replay.",
    Meaning.UNABLE: "The partner could not process it and may have kept it all the same. It is tried again.",
    Meaning.NOT_PASSED_ON: "The hub did not reach the receiver. It is tried again.",
    Meaning.UNREADABLE: "The partner answered something that is not OCPI. It is tried again.",
    Meaning.TOKEN_REFUSED: "The partner refuses our token. Rotate the credentials, or ask the partner.",
    Meaning.PATCH_REFUSED: "The partner does not know the object. It is sent again as a whole.",
    Meaning.PARENT_UNKNOWN: "The partner does not know the object around it. It is tried again.",
    Meaning.GONE: "The partner's endpoint is gone. Its versions are read again.",
    Meaning.SLOW_DOWN: "The partner asked us to slow down. It is tried again.",
    Meaning.REDIRECT: "A redirect or a proxy answered instead of the partner. Ask for the right URL.",
    Meaning.NOT_SENT: "The partner could not be reached. It is tried again.",
    Meaning.UNKNOWN: "The connection broke off; the partner may have it. It is tried again.",
}
_BY_TEXT = {meaning.value: advice for meaning, advice in _ADVICE.items()}
_FINAL = {
    "ACKED": "The partner has it.",
    "SERVED": "The partner fetched it.",
    "EXPIRED": "Too late: the partner does not wait for it any more.",
    "CONTESTED": "The partner holds something else under this id. Compare both, then replay or cancel.",
}


def explain(
    *,
    state: str,
    last_error: str,
    attempts: int,
    breaker: str,
    platform_status: str,
    presence: str = "CONNECTED",
) -> str:
    """Return one or two sentences about a delivery: what happened, and what to do if anything.

    The words are those of the rows: Obligation.state, Lane.breaker, Platform.status, Party.presence. `last_error` begins with
    the meaning of the last answer (roaming/delivery/answers.py) when there was one.
    """
    if state == "CANCELLED":
        return f"Given up: {last_error}"
    if state in _FINAL:
        return _FINAL[state]
    if state == "PENDING" and platform_status != "CONNECTED":
        return f"Nothing is sent: the partner is {platform_status.lower()}."
    if state == "WITHHELD" or (state == "PENDING" and presence != "CONNECTED"):
        return f"Nothing is sent: the party is {presence.lower()}. It goes out when the party is back."
    if state == "PENDING" and breaker == "AUTH_BLOCKED":
        return _ADVICE[Meaning.TOKEN_REFUSED]
    if state == "PENDING" and breaker == "OPEN":
        return "The partner is failing. We ask now and then whether it is back; then this goes out by itself."
    if not last_error:
        return "Waits for its turn." if attempts == 0 else "Is tried again."
    advice = _BY_TEXT.get(last_error.partition(":")[0])
    if state == "PARKED" and advice is not None and advice.endswith("It is tried again."):
        return (
            advice.removesuffix("It is tried again.")
            + "It is held, as agreed with this partner: replay or cancel."
        )
    return advice or "A fault on our side. Read the error, then replay."
