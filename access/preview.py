"""Asking the rules about a start that nobody has tried: the answer, every rule, and nothing is kept."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from access.decide import decide
from access.decisions import Allow, Deny, StartRequest
from access.facts import access_facts, grants_of
from access.messages import public_message
from locations.models import Location
from roaming.models import Party
from roaming.operators import badge, clock, table
from roaming.pages import PageForm, page

LOCAL_TIME = "%Y-%m-%dT%H:%M"


class PreviewForm(PageForm):
    """Who, where, when."""

    party = forms.ModelChoiceField(label="Partner", queryset=Party.objects.filter(platform__isnull=False))
    location = forms.ModelChoiceField(
        label="Bay pool", queryset=Location.objects.select_related("depot").order_by("name")
    )
    group = forms.CharField(
        label="Token group",
        required=False,
        max_length=36,
        help_text="group_id of the customer's token, if it has one.",
    )
    at = forms.CharField(
        label="When",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="On the depot's clock.",
    )

    def clean_at(self) -> datetime:
        """A wall time, taken on the clock of the depot."""
        try:
            at = datetime.fromisoformat(self.cleaned_data["at"])
        except ValueError:
            raise forms.ValidationError("A date and a time, e.g. 2026-11-23T20:00.") from None
        location = self.cleaned_data.get("location")
        zone = ZoneInfo(location.depot.time_zone if location else "UTC")
        return at.replace(tzinfo=zone) if at.tzinfo is None else at


def preview_page(admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask, and show what `decide` says. Bays count as they are now, whatever the time asked for."""
    initial = {"at": timezone.now().strftime(LOCAL_TIME)}
    form = PreviewForm(request.POST if request.method == "POST" else None, request=request, initial=initial)
    result: SafeString | str = _result(form) if request.method == "POST" and form.is_valid() else ""
    return page(
        admin, request, "operators/form_page.html", title="Would it be allowed?", form=form, submit="Ask", below=result,
        back=reverse("admin:access_grant_changelist"),
        lines=["The same rules decide about every real start. Nothing is kept and nobody is told. Windows and grants are those "
               "of the time you ask for; bays count as they are at this moment."],
    )  # fmt: skip


def _result(form: PreviewForm) -> SafeString:
    data = form.cleaned_data
    party: Party = data["party"]
    location: Location = data["location"]
    zone = location.depot.time_zone
    outcome = decide(
        StartRequest(
            source="PREVIEW",
            party=str(party.ocpi_id),
            location_id=location.ocpi_id,
            token_group=data["group"] or None,
        ),
        access_facts(location=location, party=party, grants=list(grants_of(location).filter(party=party))),
        data["at"],
    )
    return format_html(
        '<div class="yg-panel"><div class="yg-panel-head"><h2>{}</h2><span>{}</span></div>{}</div>',
        badge("allowed", "green")
        if isinstance(outcome, Allow)
        else badge(f"refused: {outcome.reason.value}", "red"),
        _words(outcome, zone),
        table(("Rule", "Said", "Because"), outcome.trace),
    )


def _words(outcome: Allow | Deny, time_zone: str) -> str:
    if isinstance(outcome, Deny):
        return f"The partner is told: {public_message(outcome, time_zone)}"
    if outcome.must_end_by is None:
        return "Without an end in sight."
    zone = ZoneInfo(time_zone)
    return f"Until {clock(outcome.until, zone)}; it is ended at {clock(outcome.must_end_by, zone)} at the latest."
