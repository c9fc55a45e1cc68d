"""The operator's face of access: grants, hours, and why a start was refused."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display

from access import services
from access.models import Decision, Edge, Grant, Holiday, Schedule, Window, WindowException
from roaming.operators import OperatorAdmin, ReadOnlyAdmin, badge, run_each

WEEKDAYS = [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (7, "Sun")]


class WindowForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Weekdays as boxes instead of a list of numbers."""

    weekdays = forms.TypedMultipleChoiceField(
        choices=WEEKDAYS, coerce=int, widget=forms.CheckboxSelectMultiple, initial=[day for day, _ in WEEKDAYS]
    )

    class Meta:
        model = Window
        fields = ("weekdays", "opens", "closes")


class WindowInline(TabularInline):
    model = Window
    form = WindowForm
    extra = 0


class ExceptionInline(TabularInline):
    model = WindowException
    extra = 0


@admin.register(Schedule)
class ScheduleAdmin(OperatorAdmin):
    """Hours. Saving publishes them to the partners whose grants use them."""

    list_display = ("name", "depot", "hours")
    list_filter = ("depot",)
    inlines: ClassVar = [WindowInline, ExceptionInline]

    @display(description="Weekly windows")
    def hours(self, schedule: Schedule) -> str:
        """All windows in one line."""
        names = dict(WEEKDAYS)
        return "; ".join(
            f"{' '.join(names[day] for day in window.weekdays)} {window}" for window in schedule.windows.all()
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """After windows and exceptions are stored, the depot's Locations are published again."""
        super().save_related(request, form, formsets, change)
        services.republish_depot(depot=form.instance.depot, now=timezone.now())


@admin.register(Holiday)
class HolidayAdmin(OperatorAdmin):
    list_display = ("date", "name", "depot", "counts_as")
    list_filter = ("depot",)

    def save_model(self, request: HttpRequest, obj: Holiday, form: Any, change: bool) -> None:
        """A holiday changes what is published."""
        super().save_model(request, obj, form, change)
        services.republish_depot(depot=obj.depot, now=timezone.now())


@admin.register(Grant)
class GrantAdmin(OperatorAdmin):
    """Who may charge where and when. Each change is a new version and is published at once."""

    list_display = ("party", "location", "schedule", "tariff", "groups", "end_policy", "state")
    list_filter = ("status", "location__depot", "party")
    search_fields = ("party__name", "location__name")
    readonly_fields = ("status", "version")
    actions: ClassVar = ["suspend", "resume", "end"]
    fieldsets = (
        (None, {"fields": ("party", "location", "schedule", "tariff", "token_groups", "status", "version")}),
        ("At the end of a window", {"fields": ("end_policy", "grace_minutes", "max_overrun_minutes")}),
        (
            "Limits",
            {
                "fields": (
                    "min_useful_minutes",
                    "last_start_offset_minutes",
                    "max_session_minutes",
                    "max_concurrent",
                    "valid_from",
                    "valid_to",
                )
            },
        ),
        ("What the partner sees", {"fields": ("status_mask", "priority_class")}),
    )

    @display(description="Token groups")
    def groups(self, grant: Grant) -> str:
        """Whom of the partner's customers it is for."""
        return ", ".join(grant.token_groups) or "all customers"

    @display(description="Status")
    def state(self, grant: Grant) -> SafeString:
        """The status as a coloured word."""
        colours = {Grant.Status.ACTIVE: "green", Grant.Status.SUSPENDED: "amber", Grant.Status.ENDED: "grey"}
        return badge(grant.get_status_display(), colours[Grant.Status(grant.status)])

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only partners' parties can be granted anything."""
        if db_field.name == "party":
            kwargs["queryset"] = db_field.related_model.objects.filter(platform__isnull=False)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:  # noqa: ARG002
        """One service saves and publishes."""
        services.change_grant(grant=obj, now=timezone.now())

    @action(description="Suspend: nobody starts, bays show as closed")
    def suspend(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        """Suspend the chosen grants."""
        self._set(request, grants, Grant.Status.SUSPENDED)

    @action(description="Resume")
    def resume(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        """Make the chosen grants active again."""
        self._set(request, grants, Grant.Status.ACTIVE)

    @action(description="End for good: bays show as REMOVED to this partner")
    def end(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        """End the chosen grants."""
        self._set(request, grants, Grant.Status.ENDED)

    def _set(self, request: HttpRequest, grants: QuerySet[Grant], status: Grant.Status) -> None:
        def verb(grant: Grant) -> str:
            changed = services.set_grant_status(grant=grant, status=status, now=timezone.now())
            return f"{changed}: {changed.get_status_display()}, version {changed.version}"

        run_each(self, request, grants, verb)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """Receipts: why a start was allowed or refused."""

    list_display = ("at", "ref", "party", "location", "source", "result", "reason", "message")
    list_filter = ("outcome", "reason", "source", "party", "location__depot")
    search_fields = ("ref", "evse_uid")
    date_hierarchy = "at"
    fields = (
        "ref", "at", "source", "party", "location", "evse_uid", "outcome", "reason", "message", "retry_at",
        "grant_ref", "rules", "inputs",
    )  # fmt: skip
    readonly_fields = ("rules",)

    @display(description="Outcome")
    def result(self, decision: Decision) -> SafeString:
        """The outcome as a coloured word."""
        allowed = decision.outcome == "ALLOW"
        return badge(decision.get_outcome_display(), "green" if allowed else "red")

    @display(description="Rules, in the order in which they were asked")
    def rules(self, decision: Decision) -> SafeString:
        """The trace, one line per rule."""
        return format_html_join("", "<div><b>{}</b> {} — {}</div>", decision.trace)


@admin.register(Edge)
class EdgeAdmin(ReadOnlyAdmin):
    """When what a partner sees will change next."""

    list_display = ("at", "kind", "location", "party", "swept_at")
    list_filter = ("kind", "location", "party")
    ordering = ("at",)
