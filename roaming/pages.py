"""Pages of the admin that ask before they act: a form or a question, one verb, an answer in words.

A page is only looked at by GET; verbs run on POST, with the CSRF token of the page.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from roaming.logins import person
from roaming.operators import REFUSALS, visible

_WIDGETS: tuple[tuple[type[forms.Widget], type[forms.Widget]], ...] = (
    (forms.Textarea, UnfoldAdminTextareaWidget),
    (forms.CheckboxInput, UnfoldBooleanSwitchWidget),
    (forms.PasswordInput, UnfoldAdminPasswordWidget),
)


class PageForm(forms.Form):
    """A form in the look of the admin; `request` is whose page it is on, `row` what it is about.

    Where it lets choose from rows, these are those that the person may see (S1).
    """

    def __init__(self, *args: Any, request: HttpRequest, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.row = row
        for field in self.fields.values():
            if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
                field.queryset = visible(field.queryset, request.user)
            field.widget = _dressed(field)


def _dressed(field: forms.Field) -> forms.Widget:
    given = field.widget
    widget = _ours(given)
    widget.is_required = field.required
    return widget


def _ours(given: forms.Widget) -> forms.Widget:
    for plain, ours in _WIDGETS:
        if isinstance(given, plain):
            return ours(attrs=given.attrs)
    if isinstance(given, forms.Select) and not given.allow_multiple_selected:
        return UnfoldAdminSelectWidget(attrs=given.attrs, choices=given.choices)
    if isinstance(given, forms.widgets.Input) and not given.is_hidden:
        return UnfoldAdminTextInputWidget(attrs={**given.attrs, "type": given.input_type})
    return given


class OwnPassword(PageForm):
    """Asked before money moves: an open browser is not a person (S2)."""

    password = forms.CharField(
        label="Your password", widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def clean_password(self) -> str:
        """Compare with the password of whoever is logged in."""
        given: str = self.cleaned_data["password"]
        user = person(self.request, self.request.user.get_username(), given)
        if user is None or user.pk != self.request.user.pk:
            raise forms.ValidationError("This is not your password.")
        return given


class SecondPerson(PageForm):
    """What one person must not do alone: somebody else with the same permission signs here (S3)."""

    permission = ""
    second_user = forms.CharField(label="Second person", help_text="User name of a colleague who agrees.")
    second_password = forms.CharField(
        label="Their password", widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )

    def clean(self) -> dict[str, Any]:
        """Let only another active member of staff agree who has the permission of this page, and may see its row."""
        data = super().clean() or {}
        name, password = data.get("second_user"), data.get("second_password")
        if not name or not password:
            return data
        other = person(self.request, name, password)
        if other is None or not getattr(other, "is_staff", False):
            raise forms.ValidationError("Second person: user name and password do not belong together.")
        if other.pk == self.request.user.pk:
            raise forms.ValidationError("Second person: it must be somebody else than you.")
        if not other.has_perm(self.permission):  # type: ignore[attr-defined]  # a user of django.contrib.auth
            raise forms.ValidationError(f"Second person: {name} may not do this.")
        if self.row is not None and not _may_see(other, self.row):
            raise forms.ValidationError(f"Second person: {name} does not work for this operator.")
        return data


def row_of(admin: ModelAdmin, request: HttpRequest, object_id: str) -> Any:
    """Return the row that a page is about, as far as this person may see it. Raises Http404."""
    row = admin.get_object(request, object_id)
    if row is None or not admin.has_view_permission(request, row):
        raise Http404
    return row


def page(admin: ModelAdmin, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """Render a page inside the admin's frame."""
    request.current_app = admin.admin_site.name  # type: ignore[attr-defined]  # as Django's own admin does
    frame = {**admin.admin_site.each_context(request), "opts": admin.opts, "model_admin": admin}
    return TemplateResponse(request, template, {**frame, **context})


def ask(
    admin: ModelAdmin,
    request: HttpRequest,
    *,
    row: Any,
    title: str,
    text: str | Sequence[str],
    verb: Callable[[Any], str],
    form_class: type[PageForm] = PageForm,
    submit: str,
    is_harmful: bool = False,
    initial: dict[str, Any] | None = None,
) -> HttpResponse:
    """Ask about one row, then do `verb(form)` and go back to the row with what it did in words.

    A refusal (ValueError, OcpiError) is shown on the page, with what was filled in.
    """
    posted = request.POST if request.method == "POST" else None
    form = form_class(posted, request=request, row=row, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            done = verb(form)
        except REFUSALS as refusal:
            form.add_error(None, str(refusal))
        else:
            admin.log_change(request, row, _signed(done, form))
            admin.message_user(request, done, messages.SUCCESS)
            return HttpResponseRedirect(change_url(row))
    lines = [text] if isinstance(text, str) else list(text)
    return page(
        admin, request, "operators/form_page.html",
        title=title, lines=lines, form=form, submit=submit, is_harmful=is_harmful, back=change_url(row), original=row,
    )  # fmt: skip


def ask_about_selected(
    admin: ModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    *,
    action: str,
    title: str,
    text: str,
    submit: str,
) -> TemplateResponse | None:
    """Ask before a harmful action of a list; None once the person has agreed."""
    if request.POST.get("is_confirmed") == "yes":
        return None
    return page(
        admin, request, "operators/form_page.html",
        title=title, lines=[text], form=PageForm(request=request), submit=submit, is_harmful=True,
        selected=list(rows), checkbox=ACTION_CHECKBOX_NAME, action=action,
        back=reverse(f"admin:{admin.opts.app_label}_{admin.opts.model_name}_changelist"),
    )  # fmt: skip


def change_url(row: Model) -> str:
    """The address of a row's own page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def _may_see(user: Any, row: Model) -> bool:
    return visible(type(row)._default_manager.filter(pk=row.pk), user).exists()


def _signed(done: str, form: PageForm) -> str:
    second = form.cleaned_data.get("second_user")
    return f"{done} (agreed by {second})" if second else done
