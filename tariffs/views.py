"""The OCPI face of tariffs (chapter "Tariffs module", sender interface): a list, and no single objects."""

from datetime import datetime
from typing import ClassVar

from ocpi.http import Page
from ocpi.paging import PageQuery
from ocpi.views import SenderView
from roaming.auth import Caller
from tariffs.models import TariffView


class TariffsView(SenderView):
    """GET of the tariffs that the caller's grants name (TAR-01)."""

    interface: ClassVar[tuple[str, str]] = ("tariffs", "SENDER")

    def page(self, caller: Caller, query: PageQuery, now: datetime) -> Page:
        """The stored bytes, in the order in which the partner came to see them (PAG-09); two statements."""
        views = TariffView.objects.filter(party=caller.party, tariff__party=caller.own_party)
        if query.date_from is not None:
            views = views.filter(last_updated__gte=query.date_from)
        if query.date_to is not None:
            views = views.filter(last_updated__lt=query.date_to)
        page = views.order_by("id").values_list("document", flat=True)
        rows = page[query.offset : query.offset + query.limit]
        return Page(documents=[bytes(document) for document in rows], total=views.count())
