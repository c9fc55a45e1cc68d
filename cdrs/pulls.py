"""What a partner that only pulls has fetched (delivery.md 4.11).

A CDR counts as served when a page that held it was answered and a later request began after it: only then do
we know that the answer arrived.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet

from cdrs.models import CDR, Pull
from ocpi.paging import PageQuery
from roaming.auth import Caller
from roaming.delivery.services import mark_served


def note_pull(caller: Caller, query: PageQuery, *, visible: QuerySet[CDR], page: Sequence[int]) -> None:
    """Note one request: ``page`` holds the feed numbers that are about to be answered, in their order.

    Safe beside itself: the partner's mark is locked first.
    """
    if caller.platform.cdr_mode != "pull_only" or caller.party is None or caller.own_party is None:
        return
    with transaction.atomic():
        Pull.objects.get_or_create(party=caller.party, own_party=caller.own_party)
        mark = Pull.objects.select_for_update().get(party=caller.party, own_party=caller.own_party)
        shown = visible.filter(feed_seq__lte=mark.answered_until)
        passed = _passed(shown, query, page)
        if passed is not None:
            keys = [str(key) for key in passed.values_list("key", flat=True)]
            mark_served(party=caller.party, kind="cdr", object_keys=keys)
        _extend(mark, visible, page)


def _passed(shown: QuerySet[CDR], query: PageQuery, page: Sequence[int]) -> QuerySet[CDR] | None:
    """The CDRs before the window that is asked for: feed order is also the order of ``last_updated``."""
    if query.offset and page:
        return shown.filter(feed_seq__lt=page[0])
    if query.date_from is not None:
        return shown.filter(last_updated__lt=query.date_from)
    return None


def _extend(mark: Pull, visible: QuerySet[CDR], page: Sequence[int]) -> None:
    """Move the mark on when the page begins no later than the first CDR that was never shown."""
    if not page or page[-1] <= mark.answered_until:
        return
    unseen = visible.filter(feed_seq__gt=mark.answered_until).order_by("feed_seq")
    first_unseen = unseen.values_list("feed_seq", flat=True).first()
    if first_unseen is not None and page[0] <= first_unseen:
        mark.answered_until = page[-1]
        mark.save(update_fields=["answered_until"])
