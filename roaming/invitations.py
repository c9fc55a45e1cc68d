"""The two ways in which an operator brings in a partner: we invite it, or it has invited us."""

import re
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from roaming.handshake import invite_platform
from roaming.models import Platform
from roaming.pages import PageForm, change_url, page

_ROLE = re.compile(r"([A-Za-z]{2,5})[\s,]+([!-~]{2})[\s,-]+([!-~]{3})")
_HOSTS_HELP = (
    "One host name per line. Its URLs (versions, endpoints, response_url) must lie on these. "
    "Empty: the host of its first URL."
)


def _hosts(text: str) -> list[str]:
    return text.split()


class InviteForm(PageForm):
    """Whom to invite, and what it may say that it is."""

    name = forms.CharField(max_length=100, help_text="As your colleagues call this partner.")
    roles = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "EMSP NL EMS"}),
        help_text="One per line: role, country code, party id. The partner can claim no others.",
    )
    hosts = forms.CharField(
        required=False,
        label="Approved hosts",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_HOSTS_HELP,
    )

    def clean_roles(self) -> list[tuple[str, str, str]]:
        """Read the lines."""
        roles = []
        for line in self.cleaned_data["roles"].splitlines():
            if not line.strip():
                continue
            match = _ROLE.fullmatch(line.strip())
            if match is None:
                raise forms.ValidationError(
                    f"'{line.strip()}' is not role, country code and party id, as in EMSP NL EMS."
                )
            roles.append((match[1].upper(), match[2].upper(), match[3].upper()))
        return roles


class RegisterForm(PageForm):
    """What a partner gave us to begin with."""

    name = forms.CharField(max_length=100, help_text="As your colleagues call this partner.")
    versions_url = forms.CharField(label="Versions URL", max_length=255)
    token_a = forms.CharField(
        label="Token A", max_length=64, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )
    hosts = forms.CharField(
        required=False,
        label="Approved hosts",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_HOSTS_HELP,
    )

    def arguments(self) -> dict[str, Any]:
        """The form in the words of `register_with`."""
        data = self.cleaned_data
        return {
            "versions_url": data["versions_url"],
            "token_a": data["token_a"],
            "name": data["name"],
            "approved_hosts": _hosts(data["hosts"]),
        }


def invite_page(admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask whom to invite; answer with token A and our versions URL, this once."""
    form = InviteForm(request.POST if request.method == "POST" else None, request=request)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            invitation = invite_platform(
                name=data["name"],
                roles=data["roles"],
                approved_hosts=_hosts(data["hosts"]),
                now=timezone.now(),
            )
        except ValueError as refusal:
            form.add_error(None, str(refusal))
        else:
            admin.log_addition(request, invitation.platform, "Invited; token A was shown once.")
            return page(
                admin, request, "operators/invitation.html",
                title=f"{invitation.platform} is invited", invitation=invitation, back=change_url(invitation.platform),
            )  # fmt: skip
    return form_page(
        admin, request, form, title="Invite a partner", submit="Make token A",
        lines=["The partner gets a token A from you and begins the handshake with it. A partner of this name that is not "
               "connected is invited again: its former token A dies."],
    )  # fmt: skip


def form_page(admin: ModelAdmin, request: HttpRequest, form: PageForm, **context: Any) -> TemplateResponse:
    """One of the two forms."""
    back = reverse("admin:roaming_platform_changelist")
    return page(admin, request, "operators/form_page.html", form=form, back=back, **context)


def registered(admin: ModelAdmin, request: HttpRequest, platform: Platform) -> HttpResponse:
    """Go to the platform that we have just registered with."""
    admin.message_user(request, f"{platform} is connected.")
    return HttpResponseRedirect(change_url(platform))
