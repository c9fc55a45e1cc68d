"""Pages that look across all apps: the depot with everything that happens there, staff, and who did what."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.services import republish_depot, set_kill_switch
from config.live import depots_live, running_sessions
from locations.models import Depot
from roaming.models import StaffScope
from roaming.operators import OperatorAdmin, ReadOnlyAdmin, badge, without
from roaming.pages import ask, row_of
from roaming.scopes import operators_of


@admin.register(Depot)
class DepotAdmin(OperatorAdmin):
    """A site: its bays at this moment, its master data, and the kill switch."""

    operator_path = "operator"
    list_display = ("name", "city", "time_zone", "pools", "guests")
    search_fields = ("name", "code", "city")
    actions_detail: ClassVar = ["close_to_guests", "open_to_guests"]
    change_form_outer_before_template = "config/depot_page.html"
    fieldsets = (
        (None, {"fields": ("name", "code", "operator", "fleet_name", "guests")}),
        (
            "Where",
            {"fields": ("time_zone", "address", "city", "postal_code", "country", "latitude", "longitude")},
        ),
    )
    readonly_fields = ("guests",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Depot]:
        """With what the list counts."""
        return super().get_queryset(request).select_related("operator").prefetch_related("locations")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What partners and stored sessions rely on does not change."""
        return ("guests", "code", "operator", "time_zone") if obj else ("guests",)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only our own parties run depots, and only those of this person are offered."""
        if db_field.name == "operator":
            kwargs["queryset"] = operators_of(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """The switch has two positions; only the other one is offered."""
        row = self.get_object(request, str(object_id))
        wrong = "close_to_guests" if row and row.is_closed_to_guests else "open_to_guests"
        return without({wrong}, super().get_actions_detail(request, object_id))

    @display(description="Bay pools")
    def pools(self, depot: Depot) -> str:
        """Names of the pools."""
        return ", ".join(location.name for location in depot.locations.all()) or "–"

    @display(description="Guests", ordering="is_closed_to_guests")
    def guests(self, depot: Depot) -> SafeString:
        """Whether the kill switch is on."""
        return (
            badge("closed to all guests", "red")
            if depot.is_closed_to_guests
            else badge("by their grants", "green")
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Add the board of the bays to the page."""
        depot = self.get_object(request, object_id) if object_id else None
        if depot is not None and self.has_view_permission(request, depot):
            (live,) = depots_live([depot], running_sessions(request.user), now=timezone.now())
            extra_context = {**(extra_context or {}), "depot_live": live}
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Depot, form: Any, change: bool) -> None:
        """Master data of the site is in every view of its pools."""
        super().save_model(request, obj, form, change)
        if change and form.changed_data:
            republish_depot(depot=obj, now=timezone.now())

    @action(
        description="Close to all guests", permissions=["act"], icon="lock", attrs={"style": "color:#b91c1c"}
    )
    def close_to_guests(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pull the kill switch."""
        return self._switch(request, object_id, is_closed=True)

    @action(description="Open to guests again", permissions=["act"], icon="lock_open")
    def open_to_guests(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Release the kill switch."""
        return self._switch(request, object_id, is_closed=False)

    def _switch(self, request: HttpRequest, object_id: str, *, is_closed: bool) -> HttpResponse:
        depot = row_of(self, request, object_id)

        def verb(_: object) -> str:
            if depot.is_closed_to_guests == is_closed:
                raise ValueError(
                    f"{depot} is {'closed to guests' if is_closed else 'open to guests'} already."
                )
            set_kill_switch(depot=depot, is_closed=is_closed, now=timezone.now())
            return (
                f"{depot} is closed to all guests."
                if is_closed
                else f"{depot} is open to guests again, by their grants."
            )

        if is_closed:
            return ask(
                self, request, row=depot, title=f"Close {depot} to all guests?", submit="Close now", is_harmful=True, verb=verb,
                text=["From now on no guest starts anywhere on this site, whatever their grants say. Every partner is told at "
                      "once that the bays are closed. The fleet is not touched.",
                      "Guests who are charging go on until their session ends."],
            )  # fmt: skip
        return ask(
            self, request, row=depot, title=f"Open {depot} to guests again?", submit="Open", verb=verb,
            text="Guests may start again as their grants and hours say, and partners are told.",
        )  # fmt: skip


admin.site.unregister(User)
admin.site.unregister(Group)


class ScopeInline(TabularInline):
    """The operators whose rows a person may see; superusers see everything without any."""

    model = StaffScope
    extra = 0
    hide_title = True


class SuperusersOnly:
    """Who may change people may become anybody: nobody but superusers, whatever permissions a group is given."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser)


@admin.register(User)
class UserAdmin(SuperusersOnly, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Staff. A person who leaves is made inactive; what they did stays theirs."""

    inlines: ClassVar = [ScopeInline]

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "is_active", "is_superuser", "last_login")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The history names them."""
        return False


@admin.register(Group)
class GroupAdmin(SuperusersOnly, DjangoGroupAdmin, ModelAdmin):
    """Groups; `manage.py setup_staff` makes Operators and Finance what they should be."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are part of the product."""
        return False


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """What staff did here: of all operators, so for those who act for all of them."""

    list_display = ("action_time", "user", "content_type", "object_repr", "what")
    list_filter = ("user", "content_type")
    list_select_related = ("user", "content_type")
    date_hierarchy = "action_time"
    fields = ("action_time", "user", "content_type", "object_id", "object_repr", "what")
    readonly_fields = ("what",)

    @display(description="What")
    def what(self, entry: LogEntry) -> str:
        """In words."""
        return entry.get_change_message()
