"""The operator's face of fences around Locations of other operators behind the hub."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from access import passes
from access.fenced import FencedLocation, Pass, PassWindow
from ocpi import v221
from roaming.operators import OperatorAdmin, badge, run_each
from roaming.pages import ask_about_selected

WEEKDAYS = [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (7, "Sun")]


class PassWindowForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Weekdays as boxes instead of a list of numbers."""

    weekdays = forms.TypedMultipleChoiceField(
        choices=WEEKDAYS,
        coerce=int,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=[day for day, _ in WEEKDAYS],
    )

    class Meta:
        model = PassWindow
        fields = ("weekdays", "opens", "closes")


class PassWindowInline(TabularInline):
    """Weekly openings of a pass."""

    model = PassWindow
    form = PassWindowForm
    extra = 0
    hide_title = True


@admin.register(FencedLocation)
class FencedLocationAdmin(OperatorAdmin):
    """Locations behind the hub that only parties with a pass see and use."""

    is_shared = True
    list_display = ("name", "owner", "scope", "state", "passes_given")
    list_filter = ("owner",)
    list_select_related = ("owner",)
    search_fields = ("name", "location_id")
    fields = ("owner", "location_id", "name", "time_zone", "is_closed")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Another Location is another fence: the receipts name this one."""
        return ("owner", "location_id") if obj else ()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only CPOs on other platforms have Locations behind the hub."""
        if db_field.name == "owner":
            kwargs["queryset"] = db_field.related_model.objects.filter(
                platform__isnull=False, role=v221.Role.CPO.value
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @display(description="Locations")
    def scope(self, fence: FencedLocation) -> str:
        """One Location, or all that have no fence of their own."""
        return fence.location_id or "all of this CPO"

    @display(description="State")
    def state(self, fence: FencedLocation) -> SafeString:
        """Whether the fence is shut for everybody."""
        return badge("closed to everybody", "red") if fence.is_closed else badge("by pass", "green")

    @display(description="Passes")
    def passes_given(self, fence: FencedLocation) -> int:
        """How many parties may come."""
        return fence.passes.filter(status=Pass.Status.ACTIVE).count()


@admin.register(Pass)
class PassAdmin(OperatorAdmin):
    """Who may use a fenced Location, and when. Each change is a new version; it counts from the next command on."""

    is_shared = True
    list_display = ("party", "fence", "groups", "hours", "state")
    list_filter = ("status", "fence", "party")
    list_select_related = ("party", "fence__owner")
    search_fields = ("party__name", "fence__name")
    inlines: ClassVar = [PassWindowInline]
    actions: ClassVar = ["suspend", "resume", "end"]
    fields = (
        "fence", "party", "token_groups", "min_useful_minutes", "closed_dates", "valid_from", "valid_to", "state",
        "version",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pass]:
        """With the windows that the list shows."""
        found: QuerySet[Pass] = super().get_queryset(request).prefetch_related("windows")
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Another partner or place is another pass."""
        state = ("state", "version")
        return (*state, "party", "fence") if obj else state

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only partners' parties need a pass."""
        if db_field.name == "party":
            kwargs["queryset"] = db_field.related_model.objects.filter(platform__isnull=False)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """One service saves and counts the version."""
        passes.change_pass(granted=obj)

    @display(description="Token groups")
    def groups(self, granted: Pass) -> str:
        """Whom of the partner's customers it is for."""
        return ", ".join(granted.token_groups) or "all customers"

    @display(description="Hours")
    def hours(self, granted: Pass) -> str:
        """All windows in one line."""
        names = dict(WEEKDAYS)
        windows = [
            f"{' '.join(names[day] for day in window.weekdays)} {window}" for window in granted.windows.all()
        ]
        return "; ".join(windows) or "never: it has no window"

    @display(description="Status")
    def state(self, granted: Pass) -> SafeString:
        """The status as a coloured word."""
        colours = {Pass.Status.ACTIVE: "green", Pass.Status.SUSPENDED: "amber", Pass.Status.ENDED: "grey"}
        return badge(granted.get_status_display(), colours[Pass.Status(granted.status)])

    @action(description="Suspend: commands are refused, the Location is hidden", permissions=["act"])
    def suspend(self, request: HttpRequest, rows: QuerySet[Pass]) -> None:
        """Suspend the chosen passes."""
        self._set(request, rows, Pass.Status.SUSPENDED)

    @action(description="Resume", permissions=["act"])
    def resume(self, request: HttpRequest, rows: QuerySet[Pass]) -> None:
        """Make the chosen passes active again."""
        self._set(request, rows, Pass.Status.ACTIVE)

    @action(description="End for good", permissions=["act"])
    def end(self, request: HttpRequest, rows: QuerySet[Pass]) -> HttpResponse | None:
        """End the chosen passes, after a question."""
        question = ask_about_selected(
            self, request, rows, action="end", title="End these passes for good?", submit="End for good",
            text="The partner cannot use or see the Location through this hub any more. Sessions that run are its CPO's "
            "and go on. To shut somebody out for a while, suspend instead.",
        )  # fmt: skip
        if question is None:
            self._set(request, rows, Pass.Status.ENDED)
        return question

    def _set(self, request: HttpRequest, rows: QuerySet[Pass], status: Pass.Status) -> None:
        def verb(granted: Pass) -> str:
            changed = passes.set_pass_status(granted=granted, status=status)
            return f"{changed}: {changed.get_status_display()}, version {changed.version}"

        run_each(self, request, rows, verb)
