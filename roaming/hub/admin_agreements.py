"""The operator's face of a hub's agreements: who may reach whom, and how everybody is connected."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from ocpi import v221
from roaming.hub.agreements import set_agreement
from roaming.models import Agreement, Party
from roaming.operators import OperatorAdmin, badge, run_each, table
from roaming.pages import PageForm, ask_about_selected, change_url, page
from roaming.routing import FUNCTIONAL

STATUS_COLOURS = {
    Agreement.Status.PLANNED: "blue",
    Agreement.Status.ACTIVE: "green",
    Agreement.Status.ENDED: "grey",
}
PRESENCE_COLOURS = {
    Party.Presence.CONNECTED: "green",
    Party.Presence.OFFLINE: "red",
    Party.Presence.PLANNED: "blue",
    Party.Presence.SUSPENDED: "grey",
}


def presence_badge(party: Party) -> SafeString:
    """How a party is connected, as a coloured word."""
    return badge(party.get_presence_display(), PRESENCE_COLOURS[Party.Presence(party.presence)])


class AgreementForm(PageForm):
    """Which two parties, for what, and from when."""

    one = forms.ModelChoiceField(Party.objects.none(), label="Party")
    other = forms.ModelChoiceField(Party.objects.none(), label="may reach, and be reached by")
    status = forms.ChoiceField(
        choices=[
            (Agreement.Status.ACTIVE, "from now on"),
            (Agreement.Status.PLANNED, "not yet: both are told that it is planned"),
        ],
        label="When",
    )
    modules = forms.MultipleChoiceField(
        choices=[(module, module) for module in sorted(FUNCTIONAL)],
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "yg-check"}),
        help_text="What may be asked and told between the two. None chosen: everything.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer partners' parties only: those hosted here are reached by everybody, and a hub is no client."""
        super().__init__(*args, **kwargs)
        for name in ("one", "other"):
            field: Any = self.fields[name]
            field.queryset = _partners()
            field.label_from_instance = _words


@admin.register(Agreement)
class AgreementAdmin(OperatorAdmin):
    """Which partners may reach each other through this hub; without an agreement there is no route."""

    is_shared = True
    list_display = ("first", "second", "state", "in_modules", "changed_at")
    list_filter = ("status",)
    list_select_related = ("one__platform", "other__platform")
    search_fields = ("one__name", "one__party_id", "other__name", "other__party_id")
    fields = ("one", "other", "status", "modules", "changed_at")
    actions = ("activate", "end")
    actions_list = ("agree", "who_may_reach_whom")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Two parties agree by a verb, which also finds the agreement that they have."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Changed by verbs only."""
        return False

    def has_agree_permission(self, request: HttpRequest) -> bool:
        """Who may let partners reach each other."""
        return bool(request.user.has_perm("roaming.add_agreement"))

    @display(description="Party", ordering="one")
    def first(self, agreement: Agreement) -> str:
        """One of the two."""
        return _words(agreement.one)

    @display(description="and", ordering="other")
    def second(self, agreement: Agreement) -> str:
        """The other one."""
        return _words(agreement.other)

    @display(description="Agreement", ordering="status")
    def state(self, agreement: Agreement) -> SafeString:
        """Whether anything is routed."""
        return badge(agreement.get_status_display(), STATUS_COLOURS[Agreement.Status(agreement.status)])

    @display(description="For")
    def in_modules(self, agreement: Agreement) -> str:
        """What is routed."""
        return ", ".join(agreement.modules) or "everything"

    @action(description="Let two parties reach each other", permissions=["agree"], icon="handshake")
    def agree(self, request: HttpRequest) -> HttpResponse:
        """Ask who, and make or change their agreement."""
        form = AgreementForm(request.POST if request.method == "POST" else None, request=request)
        if request.method == "POST" and form.is_valid():
            chosen = form.cleaned_data
            try:
                agreement = set_agreement(**chosen | {"status": Agreement.Status(chosen["status"])})
            except ValueError as refusal:
                form.add_error(None, str(refusal))
            else:
                done = f"{agreement}: {agreement.get_status_display()}"
                self.log_change(request, agreement, done)
                self.message_user(request, done)
                return HttpResponseRedirect(change_url(agreement))
        return page(
            self, request, "operators/form_page.html", title="Let two parties reach each other", form=form, submit="Agree",
            lines=["Requests between the two are passed on by this hub, and each is told of the other. Two parties have one "
                   "agreement: if they have one already, it becomes this."],
            back=reverse("admin:roaming_agreement_changelist"),
        )  # fmt: skip

    @action(description="Put into force", permissions=["act"])
    def activate(self, request: HttpRequest, agreements: QuerySet[Agreement]) -> None:
        """Route between the parties of the chosen agreements."""
        _set(self, request, agreements, Agreement.Status.ACTIVE)

    @action(description="End", permissions=["act"])
    def end(self, request: HttpRequest, agreements: QuerySet[Agreement]) -> HttpResponse | None:
        """End the chosen agreements, after a question."""
        question = ask_about_selected(
            self, request, agreements, action="end", title="End these agreements?", submit="End them",
            text="From this moment nothing is passed on between the two: their requests are refused, and each is told "
            "that the other is SUSPENDED. Drivers who charge with one at the other can be neither started nor "
            "stopped from their app. It can be put into force again.",
        )  # fmt: skip
        if question is None:
            _set(self, request, agreements, Agreement.Status.ENDED)
        return question

    @action(description="Who may reach whom", permissions=["view"], icon="grid_on")
    def who_may_reach_whom(self, request: HttpRequest) -> HttpResponse:
        """All partners' parties against each other."""
        return page(
            self, request, "operators/matrix.html", title="Who may reach whom", matrix=reach_matrix(),
            lines=["A row is a party, and how it is connected; a cell says what it has with the party of the column. "
                   "An empty cell: no route, and neither knows of the other. Parties hosted here are reached by everybody."],
            back=reverse("admin:roaming_agreement_changelist"),
        )  # fmt: skip


def reach_matrix() -> SafeString:
    """The table of all partners' parties; three statements, whatever their number."""
    parties = list(_partners())
    agreed = {frozenset((each.one_id, each.other_id)): each for each in Agreement.objects.all()}
    rows = [_row(party, parties, agreed) for party in parties]
    return table(["Party", "Connected", *(_short(party) for party in parties)], rows)


def _row(party: Party, others: Sequence[Party], agreed: Mapping[frozenset[int], Agreement]) -> list[object]:
    cells = (_cell(agreed.get(frozenset((party.pk, other.pk)))) for other in others)
    return [_words(party), presence_badge(party), *cells]


def _cell(agreement: Agreement | None) -> SafeString | str:
    """How it stands between two, and for what if it is not for everything."""
    if agreement is None:
        return ""
    state = badge(agreement.status.lower(), STATUS_COLOURS[Agreement.Status(agreement.status)])
    if not agreement.modules:
        return state
    return format_html('{}<div class="yg-help">{}</div>', state, ", ".join(agreement.modules))


def _partners() -> QuerySet[Party]:
    return Party.objects.exclude(platform=None).exclude(role=v221.Role.HUB.value).order_by("pk")


def _words(party: Party) -> str:
    return f"{_short(party)} ({party.name})"


def _short(party: Party) -> str:
    return f"{party.role} {party.ocpi_id}"


def _set(
    admin_page: AgreementAdmin, request: HttpRequest, rows: QuerySet[Agreement], status: Agreement.Status
) -> None:
    def verb(agreement: Agreement) -> str:
        changed = set_agreement(one=agreement.one, other=agreement.other, status=status, modules=None)
        return f"{changed}: {changed.get_status_display()}"

    run_each(admin_page, request, rows.select_related("one", "other"), verb)
