"""What a person does with a session under review: correct and seal it, or close it without billing."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from cdrs.corrections import Changes
from cdrs.lint import acceptable_codes
from cdrs.models import CDR, Review
from cdrs.services import NotInReview, reseal, waive
from roaming.operators import clock
from roaming.pages import OwnPassword, ask
from tariffs.explained import money

_LOCAL = {"type": "datetime-local", "step": "1"}


class SealForm(OwnPassword):
    """Facts that replace those of the session; what is left empty stays as the station said."""

    started_at = forms.DateTimeField(
        required=False, label="Really started", widget=forms.DateTimeInput(attrs=_LOCAL)
    )
    ended_at = forms.DateTimeField(
        required=False, label="Really ended", widget=forms.DateTimeInput(attrs=_LOCAL)
    )
    meter_start_wh = forms.IntegerField(required=False, min_value=0, label="Register at the start, Wh")
    meter_stop_wh = forms.IntegerField(required=False, min_value=0, label="Register at the end, Wh")
    is_never_parked = forms.BooleanField(
        required=False, label="It never parked", help_text="Withdraws parking time."
    )
    accepted = forms.MultipleChoiceField(
        required=False, label="I looked into it: true", widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Findings that you hold for true after a look; others can only be corrected.",
    )  # fmt: skip
    reason = forms.CharField(max_length=255, help_text="What you found out, and from whom. Stays for ever.")
    field_order = (
        "started_at",
        "ended_at",
        "meter_start_wh",
        "meter_stop_wh",
        "is_never_parked",
        "accepted",
        "reason",
        "password",
    )

    codes: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.codes:
            self.fields["accepted"].choices = [(code, code) for code in self.codes]  # type: ignore[attr-defined]
        else:
            del self.fields["accepted"]

    def changes(self) -> Changes:
        """The form in the words of `reseal`. Raises ValueError."""
        data: Mapping[str, Any] = self.cleaned_data
        return Changes(
            started_at=data["started_at"],
            ended_at=data["ended_at"],
            meter_start_wh=data["meter_start_wh"],
            meter_stop_wh=data["meter_stop_wh"],
            is_never_parked=data["is_never_parked"],
            accepted=tuple(data.get("accepted", ())),
        )


class WaiveForm(OwnPassword):
    """Why nobody pays."""

    reason = forms.CharField(max_length=200, help_text="Why this session is not billed. Stays for ever.")
    field_order = ("reason", "password")


def seal_page(admin: ModelAdmin, request: HttpRequest, review: Review) -> HttpResponse:
    """Correct and seal; the corrected times are those of the depot's clock."""
    zone = ZoneInfo(review.session.time_zone)
    codes = tuple(sorted({each["code"] for each in review.reasons} & acceptable_codes()))
    form_class = type("SealFormOfThis", (SealForm,), {"codes": codes})

    def verb(form: Any) -> str:
        try:
            outcome = reseal(
                session=review.session,
                changes=form.changes(),
                made_by=request.user.get_username(),
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
        except NotInReview as refusal:
            raise ValueError(str(refusal)) from None
        if isinstance(outcome, CDR):
            total = money(outcome.total_excl_vat, outcome.currency)
            return f"Sealed as CDR {outcome.ocpi_id}: {total} without VAT."
        codes_left = ", ".join(each["code"] for each in outcome.reasons)
        return f"The correction is kept, but the session is still held: {codes_left}."

    session = review.session
    ended = clock(session.ended_at, zone)
    lines = [
        f"The station said: {clock(session.started_at, zone)} to {ended} ({zone.key}), register {session.meter_start_wh} to "
        f"{session.meter_last_wh} Wh. Leave empty what is right.",
        *(f"{each['code']}: {each['text']}. {each['remedy']}" for each in review.reasons),
    ]
    with timezone.override(zone):
        return ask(
            admin,
            request,
            row=review,
            title="Correct and seal",
            submit="Seal",
            text=lines,
            verb=verb,
            form_class=form_class,
        )


def waive_page(admin: ModelAdmin, request: HttpRequest, review: Review) -> HttpResponse:
    """Close without billing."""

    def verb(form: Any) -> str:
        try:
            waive(
                session=review.session,
                made_by=request.user.get_username(),
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
        except NotInReview as refusal:
            raise ValueError(str(refusal)) from None
        return "Closed without billing."

    return ask(
        admin, request, row=review, title="Close without billing?", submit="Do not bill this session", is_harmful=True,
        text="No CDR is made and nobody pays for this session. It stays in the books as closed by you.",
        verb=verb, form_class=WaiveForm,
    )  # fmt: skip
