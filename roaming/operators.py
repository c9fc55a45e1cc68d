"""What the operator's face has in common: rows that can only be looked at, and verbs that report in words."""

from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.filters import FieldListFilter, RelatedFieldListFilter
from django.contrib.postgres.fields import ArrayField
from django.db.models import Field, JSONField, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline

from ocpi.status import OcpiError
from roaming import scopes
from roaming.models import Party

# What a verb raises when it cannot do what it was asked: a text for the person who asked.
REFUSALS = (ValueError, OcpiError)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
Row = TypeVar("Row", bound=Model)


class OperatorAdmin(ModelAdmin):
    """Defaults of all our pages: filters in the list, no deletion (rows end, they do not vanish).

    ``operator_path`` is the way from a row to the party of ours whose row it is: staff see the rows of their own
    operators only (S1). ``is_shared``: a row serves all operators, e.g. the connection to a partner; all staff see
    it, and who works for all operators changes it. A page that says neither is for those alone.
    """

    operator_path: ClassVar[str] = ""
    is_shared: ClassVar[bool] = False

    # Unfold's own check asks the database for permissions, which a first `migrate` has yet to make.
    checks_class = ModelAdminChecks
    list_filter_submit = True
    list_fullwidth = True
    list_per_page = 50
    compressed_fields = True
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Only rows that this person may see, for lists, pages, verbs, histories and look-ups alike."""
        return self.rows_for(request.user, super().get_queryset(request))

    def rows_for(self, user: Any, rows: QuerySet[Row]) -> QuerySet[Row]:
        """Those of the rows of this model that this person may see."""
        if user.is_superuser:
            return rows
        if self.is_shared:
            return rows if scopes.has_scope(user) else rows.none()
        own = self.rows_of(rows, scopes.operators_of(user))
        return own if own is not None else rows if scopes.acts_for_all(user) else rows.none()

    def rows_of(self, rows: QuerySet[Row], operators: QuerySet[Party]) -> QuerySet[Row] | None:
        """Those of the rows that belong to these operators; None where rows of this model belong to nobody."""
        return rows.filter(**{f"{self.operator_path}__in": operators}) if self.operator_path else None

    def may_change_shared(self, request: HttpRequest) -> bool:
        """Whether what all operators share may be changed by this person; true of rows that are not shared."""
        return not self.is_shared or scopes.acts_for_all(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """As Django says, except for what is shared."""
        return super().has_add_permission(request) and self.may_change_shared(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As Django says, except for what is shared."""
        return super().has_change_permission(request, obj) and self.may_change_shared(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing is deleted by hand; a model that allows it says so."""
        return False

    def has_act_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Who may use the verbs of this page: those who may change the model, even where no form is offered."""
        meta = self.opts
        may_change = request.user.has_perm(f"{meta.app_label}.change_{meta.model_name}")
        return may_change and self.may_change_shared(request)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer, and take, only rows that this person may see."""
        rows = kwargs.get("queryset", db_field.related_model._default_manager.all())
        kwargs["queryset"] = visible(rows, request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer, and take, only rows that this person may see."""
        rows = kwargs.get("queryset", db_field.related_model._default_manager.all())
        kwargs["queryset"] = visible(rows, request.user)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Lists of a few words need no large box."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(db_field, ArrayField | JSONField):
            field.widget.attrs["rows"] = 2
        return field

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:  # noqa: FBT001
        """Write what the form changed and nothing else: the product writes other fields of the same row."""
        if not change:
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)


def visible(rows: QuerySet[Row], user: Any) -> QuerySet[Row]:
    """Those of any rows that this person may see, as the page of their model says; all where there is no such page."""
    try:
        page = admin.site.get_model_admin(rows.model)
    except NotRegistered:
        return rows
    return page.rows_for(user, rows) if isinstance(page, OperatorAdmin) else rows


class _VisibleRelations(RelatedFieldListFilter):
    """The filter of a list by a related row: names only rows that this person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        """The choices of Django's own filter, without the rows of others."""
        rows = visible(field.remote_field.model._default_manager.all(), request.user)
        chosen: list[tuple[Any, str]] = field.get_choices(
            include_blank=False,
            ordering=self.field_admin_ordering(field, request, model_admin),
            limit_choices_to=Q(pk__in=rows.order_by().values("pk")),
        )
        return chosen


def _is_relation(field: "Field[Any, Any]") -> bool:
    return bool(field.remote_field)


FieldListFilter.register(_is_relation, _VisibleRelations, take_priority=True)


class ReadOnlyAdmin(OperatorAdmin):
    """Rows that only the product writes: state is looked at here, never edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never by hand."""
        return False


class ReadOnlyInline(TabularInline):
    """Rows of another model below the one that is looked at."""

    extra = 0
    can_delete = False
    show_change_link = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never by hand."""
        return False


def run_each(
    admin: ModelAdmin, request: HttpRequest, rows: QuerySet[Any] | Iterable[Any], verb: Callable[[Any], str]
) -> None:
    """Do one verb per row, report each outcome and keep it in the history of the row.

    `verb` returns what it did in words. A refusal of one row does not keep back the others.
    """
    for row in rows:
        try:
            done = verb(row)
        except REFUSALS as refusal:
            admin.message_user(request, f"{row}: {refusal}", messages.ERROR)
            continue
        admin.log_change(request, row, done)
        admin.message_user(request, done, messages.SUCCESS)


def without(names: Container[str], actions: Iterable[Any]) -> list[Any]:
    """Leave out verbs of a page that make no sense for the row as it is; the services would refuse them."""
    return [each for each in actions if each.method.original_function_name not in names]


def badge(text: str, colour: str) -> SafeString:
    """A coloured word for lists; colour is green, blue, amber, red or grey."""
    return format_html('<span class="yg-badge yg-{}">{}</span>', colour, text)


def json_block(value: str) -> SafeString:
    """Preformatted text, escaped."""
    return format_html('<pre class="yg-code">{}</pre>', value)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> SafeString:
    """A plain table for read-only fields; every cell is escaped unless it is safe already."""
    lines = [(format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows] or [
        (format_html('<td colspan="{}" class="yg-quiet">none</td>', len(headings)),)
    ]
    return format_html(
        '<div class="yg-scroll"><table class="yg-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        format_html_join("", "<th>{}</th>", ((heading,) for heading in headings)),
        format_html_join("", "<tr>{}</tr>", lines),
    )


def masked(uid: str) -> str:
    """A token's uid as people may see it: its last four characters, none of a short one."""
    return f"…{uid[-4:]}" if len(uid) > 6 else "…"


def duration(span: timedelta) -> str:
    """A length of time in its largest whole unit, e.g. `3 h`; `0 min` for less than a minute."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 min"


def clock(at: datetime | None, zone: ZoneInfo, *, today: datetime | None = None) -> str:
    """An instant on the clock of a place; without its date when that is the day of `today` there."""
    if at is None:
        return "–"
    there = at.astimezone(zone)
    if today is not None and there.date() == today.astimezone(zone).date():
        return f"{there:%H:%M}"
    return f"{there:%a %d %b %H:%M}"
