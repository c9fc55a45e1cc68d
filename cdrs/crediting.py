"""What persons do about a CDR that was billed wrongly: one asks to take it back, another one approves (S3)."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin

from cdrs.credits import NotCreditable, approve_credit, ask_credit, billed_again, credit_of, decline_credit
from cdrs.lint import acceptable_codes
from cdrs.models import CDR, CreditRequest
from cdrs.reviewing import SealForm
from roaming.operators import clock
from roaming.pages import OwnPassword, ask
from tariffs.explained import money

_SECOND = "Nothing happens before a second person of finance has approved it."


class CreditForm(OwnPassword):
    """Why the CDR is wrong."""

    reason = forms.CharField(
        max_length=255, help_text="What is wrong with it, and how you know. Stays for ever."
    )
    field_order = ("reason", "password")


class ApproveForm(OwnPassword):
    """The second person signs."""


class DeclineForm(OwnPassword):
    """Why it is left as it is."""

    reason = forms.CharField(max_length=255, help_text="Why the CDR stays as it is.")
    field_order = ("reason", "password")


def take_back_page(admin: ModelAdmin, request: HttpRequest, cdr: CDR) -> HttpResponse:
    """Ask for a credit CDR, without a new bill."""

    def verb(form: Any) -> str:
        ask_credit(
            cdr=cdr,
            reason=form.cleaned_data["reason"],
            by=request.user.get_username(),
            now=timezone.now(),
        )
        return f"Asked to take CDR {cdr.ocpi_id} back. {_SECOND}"

    total = money(cdr.total_excl_vat, cdr.currency)
    return ask(
        admin, request, row=cdr, title="Take this CDR back?", submit="Ask for the credit CDR", is_harmful=True,
        text=f"The partner gets a credit CDR of -{total} without VAT, and the charge is not billed any more. {_SECOND}",
        verb=verb, form_class=CreditForm,
    )  # fmt: skip


def bill_again_page(admin: ModelAdmin, request: HttpRequest, cdr: CDR) -> HttpResponse:
    """Ask for a credit CDR and a corrected one; the corrected times are those of the depot's clock."""
    session, zone = cdr.session, ZoneInfo(cdr.time_zone)
    form_class = type("CorrectFormOfThis", (SealForm,), {"codes": tuple(sorted(acceptable_codes()))})

    def verb(form: Any) -> str:
        asked = ask_credit(
            cdr=cdr,
            reason=form.cleaned_data["reason"],
            by=request.user.get_username(),
            now=timezone.now(),
            changes=form.changes(),
        )
        return f"Asked to bill it again: {_new_total(asked)} without VAT. {_SECOND}"

    times = f"{clock(cdr.started_at, zone)} to {clock(cdr.ended_at, zone)} ({zone.key})"
    with timezone.override(zone):
        return ask(
            admin, request, row=cdr, title="Correct this CDR", submit="Ask for the correction", is_harmful=True,
            text=[f"It was billed for {times}, register {session.meter_start_wh} to {session.meter_last_wh} Wh as the "
                  f"station said. Leave empty what is right.",
                  f"The partner gets a credit CDR for the old bill, then a new CDR with a new id. {_SECOND}"],
            verb=verb, form_class=form_class,
        )  # fmt: skip


def approve_page(admin: ModelAdmin, request: HttpRequest, asked: CreditRequest) -> HttpResponse:
    """The second person sees what would be sealed, and signs."""

    def verb(form: Any) -> str:
        made = approve_credit(request=asked, by=request.user.get_username(), now=timezone.now())
        told = (f"{each.ocpi_id} ({money(each.total_excl_vat, each.currency)} without VAT)" for each in made)
        return f"Sealed: {', '.join(told)}."

    return ask(
        admin, request, row=asked, title="Approve this credit?", submit="Seal and send", is_harmful=True,
        text=_what_would_happen(asked), verb=verb, form_class=ApproveForm,
    )  # fmt: skip


def decline_page(admin: ModelAdmin, request: HttpRequest, asked: CreditRequest) -> HttpResponse:
    """Nothing is sealed; the CDR stands."""

    def verb(form: Any) -> str:
        decline_credit(
            request=asked,
            by=request.user.get_username(),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
        )
        return f"Declined: CDR {asked.cdr.ocpi_id} stays as it is."

    return ask(
        admin, request, row=asked, title="Leave the CDR as it is?", submit="Decline",
        text=f"{asked.asked_by} asked: {asked.reason}", verb=verb, form_class=DeclineForm,
    )  # fmt: skip


def _what_would_happen(asked: CreditRequest) -> list[str]:
    cdr = asked.cdr
    lines = [f"{asked.asked_by} asked: {asked.reason}"]
    if credit_of(cdr) is None:
        total = money(cdr.total_excl_vat, cdr.currency)
        lines.append(f"CDR {cdr.ocpi_id} is taken back by a credit CDR of -{total} without VAT.")
    if asked.changes is None:
        lines.append("The charge is not billed any more.")
    else:
        lines.append(f"The charge is billed again: {_new_total(asked)} without VAT.")
    lines.append("What is sealed stays for ever, under both your names.")
    return lines


def _new_total(asked: CreditRequest) -> str:
    try:
        cdr = billed_again(asked, now=timezone.now())
    except NotCreditable as refusal:
        return f"not possible any more ({refusal})"
    return "–" if cdr is None else money(cdr.total_cost.excl_vat, cdr.currency)
