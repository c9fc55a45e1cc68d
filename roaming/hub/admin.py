"""The operator's face of what the hub keeps: whose it is, since when, and its text as it was sent."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from ocpi import v221
from roaming.hub.models import HubDocument
from roaming.operators import ReadOnlyAdmin, badge, json_block, masked
from roaming.redaction import readable


@admin.register(HubDocument)
class HubDocumentAdmin(ReadOnlyAdmin):
    """Objects that partners pushed to the hub, or to another party of ours."""

    is_shared = True
    list_display = ("shown_key", "module", "owner", "recipient", "state", "last_updated", "received_at")
    list_filter = ("module", "owner__platform", "owner", "recipient", "is_deleted")
    list_select_related = ("owner", "recipient")
    search_fields = ("owner__name", "owner__party_id")
    search_help_text = "Owner by name or party id, or the id of a Location, tariff, session or CDR."
    show_full_result_count = False
    fields = (
        "shown_key",
        "module",
        "owner",
        "recipient",
        "state",
        "last_updated",
        "received_at",
        "shown_document",
    )
    readonly_fields = ("shown_key", "state", "shown_document")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[HubDocument], search_term: str
    ) -> tuple[QuerySet[HubDocument], bool]:
        """An id finds its object; but for tokens, whose uid must not stay behind in logs of URLs."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        term = search_term.strip().upper()
        if term:
            by_key = queryset.filter(object_key=term).exclude(module=v221.ModuleID.TOKENS.value)
            found = queryset.filter(pk__in=found.values("pk")) | by_key
        return found, may_repeat

    @display(description="Object", ordering="object_key")
    def shown_key(self, document: HubDocument) -> str:
        """Its id; of a token the end of its uid."""
        if document.module != v221.ModuleID.TOKENS:
            return document.object_key
        uid, _, kind = document.object_key.rpartition("/")
        return f"{masked(uid)} ({kind})"

    @display(description="State")
    def state(self, document: HubDocument) -> SafeString:
        """Whether its owner deleted it."""
        return badge("deleted by its owner", "grey") if document.is_deleted else badge("kept", "green")

    @display(description="As it was sent")
    def shown_document(self, document: HubDocument) -> Any:
        """The text with uids masked."""
        return json_block(readable(bytes(document.document)))
