"""Changing what is special about a partner platform, and bringing what it is shown into line with it."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from roaming import pushes
from roaming.dialect import SPECIFIED, Dialect
from roaming.models import Party, Platform

log = logging.getLogger(__name__)

QUIRKS = (
    "accept_raw_token",
    "trailing_slash",
    "patch_not_supported",
    "page_size_cap",
    "midnight_as",
    "nacs_as",
    "cdr_mode",
    "on_ambiguous",
)
"""Settings of a Platform that are for partners that differ from the specification (docs/partners-quirks.md)."""


def dialect_of(platform: Platform | None) -> Dialect:
    """How this platform wants documents to be worded; our own parties read them as they are specified."""
    if platform is None:
        return SPECIFIED
    return Dialect(midnight_as=platform.midnight_as, nacs_as=platform.nacs_as)


def dialects_of(party_ids: Iterable[int]) -> Mapping[int, Dialect]:
    """How the platforms of these parties want documents to be worded, by key of the party; one query.

    Read it with the documents' own lock held: then either this sees a change of `change_quirks`, or that one waits
    for the lock and renders again.
    """
    rows = Party.objects.filter(pk__in=set(party_ids)).order_by()
    return {
        key: SPECIFIED if nacs_as is None else Dialect(midnight_as=midnight_as, nacs_as=nacs_as)
        for key, midnight_as, nacs_as in rows.values_list("pk", "platform__midnight_as", "platform__nacs_as")
    }


def change_quirks(*, platform: Platform, changes: Mapping[str, Any], now: datetime) -> bool:
    """Change quirks of a platform; True when any was another one before.

    What it is shown is rendered again where the wording changed; documents that stay equal keep their bytes and
    stamp, and nothing is owed for them. Raises ValidationError for values that a quirk does not have, and KeyError
    for a name that is none; then nothing was changed.
    """
    for name in changes:
        if name not in QUIRKS:
            raise KeyError(f"{name} is no quirk")
    with transaction.atomic():
        locked = Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)
        before = dialect_of(locked)
        changed = sorted(name for name, value in changes.items() if getattr(locked, name) != value)
        if not changed:
            return False
        for name in changed:
            setattr(locked, name, changes[name])
        locked.clean_fields(
            exclude=[field.name for field in Platform._meta.fields if field.name not in changed]
        )
        locked.save(update_fields=changed)
        if dialect_of(locked) != before:
            for push in pushes.all_pushes():
                push.reworded(locked, now=now)
    platform.refresh_from_db(fields=changed)
    log.info("platform.quirks_changed platform=%s names=%s", platform.pk, ",".join(changed))
    return True
