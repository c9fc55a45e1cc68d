"""The operator's face of tokens: whose card it is and whether it may be used; never the whole uid (T21)."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from ocpi import codec, v221
from roaming.operators import ReadOnlyAdmin, badge, duration, masked, run_each, without
from roaming.pages import ask, row_of
from tokens.models import Pull, Token
from tokens.services import pull_tokens, set_blocked

SHOWN_CHARACTERS = 4


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Partners' tokens as their owners told us."""

    operator_path = "own_party"
    list_display = ("contract_id", "card", "type", "party", "state", "whitelist", "group_id", "last_updated")
    list_filter = ("own_party", "party__platform", "party", "type", "valid", "is_blocked_here", "whitelist")
    list_select_related = ("party",)
    search_fields = ("contract_id", "group_id")
    search_help_text = "Contract, group, or the last four characters of the uid; never type a whole uid here."
    show_full_result_count = False
    actions: ClassVar = ["block", "unblock"]
    actions_detail: ClassVar = ["block_one", "unblock_one"]
    fields = ("own_party", "party", "card", "type", "contract_id", "group_id", "holder", "state", "valid", "whitelist",
              "is_blocked_here", "last_updated", "received_at")  # fmt: skip
    readonly_fields = ("card", "holder", "state")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Token], search_term: str
    ) -> tuple[QuerySet[Token], bool]:
        """Four characters may also be the end of a uid. A uid itself would stay behind in logs of URLs."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        if len(term) == SHOWN_CHARACTERS:
            found = queryset.filter(Q(pk__in=found.values("pk")) | Q(uid_key__endswith=term.upper()))
        return found, may_repeat

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Only the other position of the switch."""
        row = self.get_object(request, str(object_id))
        wrong = "block_one" if row and row.is_blocked_here else "unblock_one"
        return without({wrong}, super().get_actions_detail(request, object_id))

    @display(description="uid ends in")
    def card(self, token: Token) -> str:
        """The last four characters, as the driver reads them off the card."""
        return masked(token.uid)

    @display(description="Printed on the card")
    def holder(self, token: Token) -> str:
        """Issuer; the visual number is as good as a uid with many issuers, so it is masked too."""
        document = codec.decode_bytes(v221.Token, bytes(token.document))
        number = f", number {masked(document.visual_number)}" if document.visual_number else ""
        return f"{document.issuer}{number}"

    @display(description="May charge")
    def state(self, token: Token) -> SafeString:
        """Our block wins over the owner's word."""
        if token.is_blocked_here:
            return badge("blocked here", "red")
        return badge("valid", "green") if token.valid else badge("not valid, says its owner", "grey")

    @action(description="Block here", permissions=["act"])
    def block(self, request: HttpRequest, tokens: QuerySet[Token]) -> None:
        """Block the chosen tokens."""
        run_each(self, request, tokens, lambda token: _set(token, is_blocked=True))

    @action(description="Unblock", permissions=["act"])
    def unblock(self, request: HttpRequest, tokens: QuerySet[Token]) -> None:
        """Let the chosen tokens be used again."""
        run_each(self, request, tokens, lambda token: _set(token, is_blocked=False))

    @action(description="Block here", permissions=["act"], icon="block")
    def block_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Block this token."""
        token = row_of(self, request, object_id)
        return ask(
            self, request, row=token, title=f"Block {token.contract_id}?", submit="Block", is_harmful=True,
            verb=lambda _: _set(token, is_blocked=True),
            text="It is refused at our stations whatever its owner says, and stays so until it is unblocked here. A "
            "session that runs goes on, and can be ended with this card.",
        )  # fmt: skip

    @action(description="Unblock", permissions=["act"], icon="lock_open")
    def unblock_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let this token be used again."""
        token = row_of(self, request, object_id)
        return ask(
            self, request, row=token, title=f"Unblock {token.contract_id}?", submit="Unblock",
            verb=lambda _: _set(token, is_blocked=False), text="Its owner's word counts again.",
        )  # fmt: skip


def _set(token: Token, *, is_blocked: bool) -> str:
    if not set_blocked(token=token, is_blocked=is_blocked):
        raise ValueError("was blocked before" if is_blocked else "was not blocked")
    return f"{token.contract_id} ({masked(token.uid)}): {'blocked' if is_blocked else 'not blocked any more'}"


@admin.register(Pull)
class PullAdmin(ReadOnlyAdmin):
    """When each partner's token list was read, and how it went."""

    is_shared = True
    list_display = ("platform", "state", "finished", "received", "stored", "broken", "foreign", "next_at")
    list_select_related = ("platform",)
    actions_detail: ClassVar = ["read_now"]
    fields = (
        "platform",
        "state",
        "problem",
        "finished_at",
        "full_at",
        "received",
        "stored",
        "broken",
        "foreign",
        "next_at",
    )
    readonly_fields = ("state",)

    def has_read_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Who may ask a partner for its tokens: whoever may block them."""
        return request.user.has_perm("tokens.change_token") and self.may_change_shared(request)

    @display(description="Last reading")
    def state(self, pull: Pull) -> SafeString:
        """Whether the list was read to its end."""
        if pull.problem:
            return badge("not read to its end", "red")
        return badge("complete", "green") if pull.finished_at else badge("not yet", "grey")

    @display(description="Ended", ordering="finished_at")
    def finished(self, pull: Pull) -> str:
        """How long ago."""
        return f"{duration(timezone.now() - pull.finished_at)} ago" if pull.finished_at else "–"

    @action(description="Read what is new now", permissions=["read"], icon="sync")
    def read_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pull from this partner at once."""
        pull = row_of(self, request, object_id)

        def verb(_: Any) -> str:
            report = pull_tokens(platform=pull.platform, now=timezone.now())
            if report.problem:
                raise ValueError(f"The list was not read to its end: {report.problem}")
            return f"{pull.platform}: {report.received} tokens read, {report.stored} new or changed."

        return ask(
            self, request, row=pull, title=f"Read the tokens of {pull.platform}?", submit="Read now", verb=verb,
            text="The partner is asked for what changed since the last reading. A whole list is read once a week by itself.",
        )  # fmt: skip
