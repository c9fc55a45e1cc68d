"""What a text for people may not hold: OCPI's DisplayText is plain, without markup (chapter "Types", TYP-09). [pure]"""

import re

MAX_DISPLAY_TEXT = 512

_TAG = re.compile(r"<\s*[/!?]?\s*[A-Za-z][^<>]*>|<!--")
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")


def display_text_fault(text: str) -> str | None:
    """Return why a text cannot be a DisplayText, with what to do; None when it can. ``<`` and ``&`` alone are fine."""
    if len(text) > MAX_DISPLAY_TEXT:
        return f"{len(text)} characters are too many: partners show at most {MAX_DISPLAY_TEXT}"
    match = _TAG.search(text) or _ENTITY.search(text)
    if match is not None:
        return f"{match.group()[:40]!r} is HTML: partners show the text as it is, so write it without markup"
    return None
