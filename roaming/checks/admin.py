"""The face of our own checks: what is not as it should be, in plain words, and how far the comparisons have come."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from roaming.checks.models import Comparison, Finding
from roaming.models import Party
from roaming.operators import ReadOnlyAdmin, Row, badge, duration

# Kind of a finding → what it is called, and whose page it is about.
KINDS = {
    "cdr_copy": ("The partner's copy of a CDR", "roaming_obligation"),
    "state_copy": ("The partner's copy of an object", "roaming_obligation"),
    "delivery_age": ("Deliveries wait", "roaming_platform"),
    "no_stop": ("A charge without an end", "charging_transaction"),
    "no_cdr": ("A charge without a bill", "charging_transaction"),
}


class OpenFindings(admin.SimpleListFilter):
    """Open ones first: the list is a queue."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What to choose from."""
        return [("open", "open"), ("closed", "closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        """Filter."""
        if self.value() in ("open", "closed"):
            return queryset.filter(closed_at__isnull=self.value() == "open")
        return queryset


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    """What a check has found. A finding closes by itself when a later check finds it gone."""

    def rows_of(self, rows: QuerySet[Row], operators: QuerySet[Party]) -> QuerySet[Row]:
        """Those about something of theirs, and those about everybody's connections."""
        return rows.filter(Q(own_party__in=operators) | Q(own_party=None))

    list_display = ("what", "urgency", "age", "text", "remedy")
    list_filter = (OpenFindings, "severity", "kind", "platform")
    list_select_related = ("platform",)
    search_fields = ("text", "object_key")
    # Descending puts the open ones (NULL) first.
    ordering = ("-closed_at", "-severity", "opened_at")
    fields = ("what", "urgency", "about", "platform", "text", "remedy", "opened_at", "seen_at", "closed_at")
    readonly_fields = ("what", "urgency", "about")

    @display(description="What", ordering="kind")
    def what(self, finding: Finding) -> str:
        """The kind in words."""
        return KINDS.get(finding.kind, (finding.kind, ""))[0]

    @display(description="State", ordering="severity")
    def urgency(self, finding: Finding) -> SafeString:
        """How urgent it is, or that it is over."""
        if finding.closed_at is not None:
            return badge("closed", "green")
        is_alert = finding.severity == Finding.Severity.ALERT
        return badge(finding.get_severity_display(), "red" if is_alert else "amber")

    @display(description="For", ordering="opened_at")
    def age(self, finding: Finding) -> str:
        """How long it has been so, or was."""
        return duration((finding.closed_at or timezone.now()) - finding.opened_at)

    @display(description="About")
    def about(self, finding: Finding) -> SafeString | str:
        """The way to the row that it is about."""
        page = KINDS.get(finding.kind, ("", ""))[1]
        if not page:
            return finding.object_key
        url = reverse(f"admin:{page}_change", args=[finding.object_key])
        return format_html('<a class="yg-link" href="{}">open</a>', url)


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    """How far the nightly comparison with each partner has come."""

    is_shared = True
    list_display = ("platform", "module", "compared", "differing", "finished_at", "next_at", "problem")
    list_filter = ("platform", "module")
    list_select_related = ("platform",)
    search_fields = ("platform__name", "problem")
    fields = ("platform", "module", "compared", "differing", "began_at", "finished_at", "next_at", "unreadable_until",
              "problem")  # fmt: skip
