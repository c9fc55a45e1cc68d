"""The operator's face of access: grants, hours, and why a start was refused."""

import json
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from access import admin_fences, services
from access.models import Decision, Edge, Grant, Holiday, Schedule, Window, WindowException
from access.preview import preview_page
from access.tariffs import overlaps_with
from roaming.operators import OperatorAdmin, ReadOnlyAdmin, badge, clock, json_block, run_each, table
from roaming.pages import ask_about_selected

__all__ = ["admin_fences"]

WEEKDAYS = admin_fences.WEEKDAYS


class WindowForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Weekdays as boxes instead of a list of numbers."""

    weekdays = forms.TypedMultipleChoiceField(
        choices=WEEKDAYS,
        coerce=int,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=[day for day, _ in WEEKDAYS],
    )

    class Meta:
        model = Window
        fields = ("weekdays", "opens", "closes")


class WindowInline(TabularInline):
    """Weekly openings; a window that ends at or before its start ends on the next day."""

    model = Window
    form = WindowForm
    extra = 0
    hide_title = True


class ExceptionInline(TabularInline):
    """Dates on which the week does not hold."""

    model = WindowException
    extra = 0
    hide_title = True


@admin.register(Schedule)
class ScheduleAdmin(OperatorAdmin):
    """Hours. Saving publishes them to the partners whose grants use them."""

    operator_path = "depot__operator"
    list_display = ("name", "depot", "hours")
    list_filter = ("depot",)
    inlines: ClassVar = [WindowInline, ExceptionInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        """With the windows that the list shows."""
        return super().get_queryset(request).select_related("depot").prefetch_related("windows")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Hours belong to one depot and its clock."""
        return ("depot",) if obj else ()

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
    """Public holidays of depots. Saving or deleting one publishes what follows."""

    operator_path = "depot__operator"
    list_display = ("date", "name", "depot", "rule")
    list_filter = ("depot",)
    list_select_related = ("depot",)
    date_hierarchy = "date"

    @display(description="Counts as", ordering="counts_as")
    def rule(self, holiday: Holiday) -> str:
        """The weekday whose windows hold."""
        return dict(WEEKDAYS)[holiday.counts_as] if holiday.counts_as else "closed"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A day of another depot is another row."""
        return ("depot",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A holiday is a rule, not a fact that happened."""
        return bool(request.user.has_perm("access.delete_holiday"))

    def delete_model(self, request: HttpRequest, obj: Holiday) -> None:
        """The day is an ordinary one again."""
        super().delete_model(request, obj)
        services.republish_depot(depot=obj.depot, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Holiday]) -> None:
        """The days are ordinary ones again."""
        depots = {holiday.depot for holiday in queryset.select_related("depot")}
        super().delete_queryset(request, queryset)
        for depot in sorted(depots, key=lambda each: each.pk):
            services.republish_depot(depot=depot, now=timezone.now())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A holiday changes what is published."""
        super().save_model(request, obj, form, change)
        services.republish_depot(depot=obj.depot, now=timezone.now())


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Says beside the field what the service would refuse."""

    class Meta:
        model = Grant
        fields = "__all__"  # the page's fieldsets say which

    def clean(self) -> dict[str, Any]:
        """Hold the tariffs against each other, and against those of other grants (LOC-27)."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        tariff, others = data.get("tariff"), list(data.get("profile_tariffs") or ())
        if tariff is not None and others:
            try:
                services.require_offerable(tariff, others)
            except ValueError as refusal:
                self.add_error("profile_tariffs", str(refusal))
                return data
        grant = Grant(pk=self.instance.pk, status=self.instance.status)
        for name in ("party", "location", "tariff"):
            setattr(grant, name, data.get(name) or getattr(self.instance, name, None))
        if all((grant.party_id, grant.location_id, grant.tariff_id)):
            for text in overlaps_with(grant, others):
                self.add_error("tariff", text)
        return data


@admin.register(Grant)
class GrantAdmin(OperatorAdmin):
    """Who may charge where and when. Each change is a new version and is published at once."""

    form = GrantForm

    operator_path = "location__depot__operator"
    list_display = ("party", "location", "schedule", "tariff", "groups", "end_policy", "state")
    list_filter = ("status", "location__depot", "party")
    list_select_related = ("party", "location", "schedule__depot", "tariff")
    search_fields = ("party__name", "location__name")
    actions: ClassVar = ["suspend", "resume", "end"]
    actions_list: ClassVar = ["would_it_be_allowed"]
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "party",
                    "location",
                    "schedule",
                    "tariff",
                    "profile_tariffs",
                    "token_groups",
                    "state",
                    "version",
                    "coming",
                )
            },
        ),
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
                ),
                "description": "Dates and times of validity are UTC.",
            },
        ),
        ("What the partner sees", {"fields": ("status_mask", "priority_class")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Another partner or pool is another grant: what this one published must stay findable."""
        state = ("state", "version", "coming")
        return (*state, "party", "location") if obj else state

    @display(description="Coming")
    def coming(self, grant: Grant) -> SafeString:
        """The next changes of what the partner sees here, on the depot's clock."""
        if grant.pk is None:
            return table(("When", "What"), [])
        zone = ZoneInfo(grant.location.depot.time_zone)
        edges = Edge.objects.filter(party=grant.party, location=grant.location, at__gt=timezone.now())
        return table(
            ("When", "What"), [(clock(edge.at, zone), edge.get_kind_display()) for edge in edges[:6]]
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

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """One service saves and publishes."""
        tariffs = form.cleaned_data.get("profile_tariffs")
        services.change_grant(
            grant=obj, profile_tariffs=None if tariffs is None else list(tariffs), now=timezone.now()
        )

    @action(description="Would it be allowed?", permissions=["view"], icon="help")
    def would_it_be_allowed(self, request: HttpRequest) -> HttpResponse:
        """Ask the rules about a start that nobody has tried."""
        return preview_page(self, request)

    @action(description="Suspend: nobody starts, bays show as closed", permissions=["act"])
    def suspend(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        """Suspend the chosen grants."""
        self._set(request, grants, Grant.Status.SUSPENDED)

    @action(description="Resume", permissions=["act"])
    def resume(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        """Make the chosen grants active again."""
        self._set(request, grants, Grant.Status.ACTIVE)

    @action(description="End for good: bays show as REMOVED to this partner", permissions=["act"])
    def end(self, request: HttpRequest, grants: QuerySet[Grant]) -> HttpResponse | None:
        """End the chosen grants, after a question."""
        question = ask_about_selected(
            self, request, grants, action="end", title="End these grants for good?", submit="End for good",
            text="The partner is told that the bays are REMOVED, and that is final: granting access again makes new ids. To "
            "shut somebody out for a while, suspend instead. Sessions that run finish under the old terms.",
        )  # fmt: skip
        if question is None:
            self._set(request, grants, Grant.Status.ENDED)
        return question

    def _set(self, request: HttpRequest, grants: QuerySet[Grant], status: Grant.Status) -> None:
        def verb(grant: Grant) -> str:
            changed = services.set_grant_status(grant=grant, status=status, now=timezone.now())
            return f"{changed}: {changed.get_status_display()}, version {changed.version}"

        run_each(self, request, grants, verb)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """Receipts: why a start was allowed or refused."""

    operator_path = "location__depot__operator"
    list_display = ("local_time", "ref", "party", "location", "source", "result", "reason", "message")
    list_filter = ("outcome", "reason", "source", "party", "location__depot")
    list_select_related = ("party", "location__depot")
    search_fields = ("ref", "evse_uid")
    date_hierarchy = "at"
    fields = (
        "ref", "local_time", "source", "party", "location", "evse_uid", "result", "reason", "message", "retry_at",
        "grant_ref", "rules", "facts",
    )  # fmt: skip
    readonly_fields = ("local_time", "result", "rules", "facts")

    @display(description="At", ordering="at")
    def local_time(self, decision: Decision) -> str:
        """On the depot's clock, with the second that decided."""
        zone = ZoneInfo(decision.location.depot.time_zone if decision.location else "UTC")
        return f"{decision.at.astimezone(zone):%a %d %b %Y %H:%M:%S} {zone.key}"

    @display(description="Outcome", ordering="outcome")
    def result(self, decision: Decision) -> SafeString:
        """The outcome as a coloured word."""
        allowed = decision.outcome == "ALLOW"
        return badge(decision.get_outcome_display(), "green" if allowed else "red")

    @display(description="Rules, in the order in which they were asked")
    def rules(self, decision: Decision) -> SafeString:
        """The trace, one line per rule."""
        return table(("Rule", "Said", "Because"), decision.trace)

    @display(description="What was known")
    def facts(self, decision: Decision) -> SafeString:
        """Clock, grants and EVSE that it was made from."""
        return json_block(json.dumps(decision.inputs, indent=2, ensure_ascii=False))


@admin.register(Edge)
class EdgeAdmin(ReadOnlyAdmin):
    """When what a partner sees will change next."""

    operator_path = "location__depot__operator"
    list_display = ("local_time", "kind", "location", "party", "swept_at")
    list_filter = ("kind", "location", "party")
    list_select_related = ("party", "location__depot")
    date_hierarchy = "at"
    ordering = ("-at",)
    fields = ("local_time", "kind", "location", "party", "policy_version", "swept_at")
    readonly_fields = ("local_time",)

    @display(description="At", ordering="at")
    def local_time(self, edge: Edge) -> str:
        """On the depot's clock."""
        return clock(edge.at, ZoneInfo(edge.location.depot.time_zone))
