"""The OCPI face of CDRs (chapter "CDRs module", sender interface)."""

from datetime import datetime
from typing import ClassVar

from django.db.models import QuerySet

from cdrs.models import CDR
from cdrs.pulls import note_pull
from ocpi.http import Page
from ocpi.paging import PageQuery
from ocpi.views import SenderView
from roaming.auth import Caller


def visible_cdrs(caller: Caller) -> QuerySet[CDR]:
    """The CDRs of the addressed party of ours that the calling party pays for; nothing else exists
    (CDR-01)."""
    return CDR.objects.filter(party=caller.party, own_party=caller.own_party)


class CdrsView(SenderView):
    """GET of the caller's own CDRs: the sealed bytes, joined, in the order of their commits."""

    interface: ClassVar[tuple[str, str]] = ("cdrs", "SENDER")

    def page(self, caller: Caller, query: PageQuery, now: datetime) -> Page:
        """Feed order is commit order and never changes, so no page can skip or repeat a CDR (PAG-09,
        SYN-06)."""
        visible = visible_cdrs(caller)
        rows = visible
        if query.date_from is not None:
            rows = rows.filter(last_updated__gte=query.date_from)
        if query.date_to is not None:
            rows = rows.filter(last_updated__lt=query.date_to)
        page = list(
            rows.order_by("feed_seq")[query.offset : query.offset + query.limit].values_list(
                "feed_seq", "body"
            )
        )
        note_pull(caller, query, visible=visible, page=[number for number, _ in page])
        return Page(documents=[bytes(body) for _, body in page], total=rows.count())
