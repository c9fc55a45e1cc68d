"""The two generic views of object modules, and their common base (chapter "Transport and format")."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.views import APIView

from ocpi import codec
from ocpi.headers import PartyId, routing_headers
from ocpi.http import Page, read_json, respond
from ocpi.interfaces import interface_path
from ocpi.paging import PageQuery, link_header, next_link, parse_page
from ocpi.status import StatusCode, invalid, not_found

MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)


class OcpiView(APIView):
    """Base of all views: who may call, routing headers on the answer, the parsed body.

    ``interface`` is (module, role); ``open_to`` the kinds of credentials tokens that open it;
    ``is_functional`` tells modules with routing headers from configuration modules (HUB-03).
    """

    interface: ClassVar[tuple[str, str]]
    open_to: ClassVar[frozenset[str]] = frozenset({"C"})
    is_functional: ClassVar[bool] = True
    # HEAD and OPTIONS are in no interface table: 405 like any other n/a method.
    http_method_names = [  # noqa: RUF012  # Django declares it as a list
        "get",
        "post",
        "put",
        "patch",
        "delete",
    ]
    # The caller as roaming.auth found it; None until then.
    caller: Any = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None of DRF's own; a 405 names its ``Allow`` itself."""
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate before anything else is looked at."""
        super().initial(request, *args, **kwargs)
        self.caller = request.auth

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the routing headers of the request, swapped (HUB-02)."""
        if self.is_functional and self.caller is not None:
            to, from_ = self.caller.party.ocpi_id, self.caller.own_party.ocpi_id
            for name, value in routing_headers(to=to, from_=from_).items():
                response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)

    @cached_property
    def payload(self) -> Any:
        """The parsed JSON body; raises what ``ocpi.http.read_json`` raises, also for an empty body."""
        django_request: HttpRequest = self.request._request
        return read_json(django_request)


class SenderView(OcpiView):
    """A list of objects that we own, and single objects of it.

    A subclass says what there is; documents are JSON bytes and are never touched here.
    """

    not_found_code: ClassVar[StatusCode] = StatusCode.CLIENT_ERROR

    def page(self, caller: Any, query: PageQuery, now: datetime) -> Page:
        """Return one page of what this caller may see, oldest created first (PAG-09)."""
        raise NotImplementedError

    def document(self, caller: Any, ids: dict[str, str], now: datetime) -> bytes | None:
        """Return one object, or None when it is not there or not this caller's."""
        raise NotImplementedError

    def get(self, request: Request, **ids: str) -> HttpResponse:
        """Answer a list, or with ids in the URL one object."""
        now = timezone.now()
        if ids:
            document = self.document(self.caller, ids, now)
            if document is None:
                raise not_found(status_code=self.not_found_code)
            return respond(document)
        params = request.query_params
        cap = settings.OCPI_PAGE_LIMIT if "limit" in params else settings.OCPI_PAGE_DEFAULT
        query = parse_page(params, cap=cap)
        page = self.page(self.caller, query, now)
        return respond(page, headers=self._page_headers(query, page.total))

    def _page_headers(self, query: PageQuery, total: int) -> dict[str, str]:
        headers = {"X-Total-Count": str(total), "X-Limit": str(query.limit)}
        # Never from the Host header: a partner follows this URL with its token (VER-14).
        url = settings.OCPI_PUBLIC_URL + interface_path(*self.interface)
        following = next_link(url, query, total=total)
        if following is not None:
            headers["Link"] = link_header(following)
        return headers


class ReceiverView(OcpiView):
    """Objects that partners own, at ``/{country_code}/{party_id}/{object id}``.

    The last id in the URL names the object itself; the member with that id is the part of the URL
    parameter's name after its last underscore (``token_uid`` is ``uid``).
    """

    object_type: ClassVar[type]
    requires_last_updated: ClassVar[bool] = True

    def current(self, caller: Any, owner: PartyId, ids: dict[str, str], now: datetime) -> Any | None:
        """Return the stored object, or None.

        PATCH calls it inside a transaction, GET outside; see ``locks_current``.
        """
        raise NotImplementedError

    def store(self, caller: Any, owner: PartyId, ids: dict[str, str], obj: Any, now: datetime) -> bool:
        """Store the object and return whether it was new."""
        raise NotImplementedError

    @property
    def locks_current(self) -> bool:
        """Whether ``current`` must lock its row: a PATCH is merged into what it read, and then stored."""
        return self.request.method == "PATCH"

    def get(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Answer the object as we hold it."""
        owner = self._owner(country_code, party_id)
        current = self.current(self.caller, owner, ids, timezone.now())
        if current is None:
            raise not_found()
        return respond(current)

    def put(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Store a whole object: HTTP 201 when it is new (OBJ-01, OBJ-03)."""
        now = timezone.now()
        owner = self._owner(country_code, party_id)
        obj: Any = codec.decode(self.object_type, self.payload)
        require_identity(obj, owner, ids)
        require_present(obj, now)
        is_new = self.store(self.caller, owner, ids, obj, now)
        return respond(http_status=201 if is_new else 200)

    def patch(self, request: Request, country_code: str, party_id: str, **ids: str) -> HttpResponse:
        """Change the members that are given (OBJ-04)."""
        now = timezone.now()
        owner = self._owner(country_code, party_id)
        patch = self.payload
        if not isinstance(patch, dict):
            raise invalid("the body must be an object")
        if self.requires_last_updated and patch.get("last_updated") is None:
            raise invalid("last_updated: is required in a PATCH")
        with transaction.atomic():
            current = self.current(self.caller, owner, ids, now)
            if current is None:
                raise not_found()
            changed = codec.merge(current, patch)
            require_identity(changed, owner, ids)
            require_present(changed, now)
            if self._is_news(current, changed):
                self.store(self.caller, owner, ids, changed, now)
        return respond()

    def _is_news(self, current: Any, changed: Any) -> bool:
        """Tell whether the change has to be stored; an older one is acknowledged and ignored (DIS-28)."""
        if not self.requires_last_updated:
            return True
        if changed.last_updated < current.last_updated:
            return False
        if changed.last_updated == current.last_updated and changed != current:
            raise invalid("last_updated: the object changed, but its time of change is the one that we hold")
        return bool(changed != current)

    def _owner(self, country_code: str, party_id: str) -> PartyId:
        """Return the owner in the URL; 404 when it is no party of this platform (OBJ-10)."""
        owner = PartyId.of(country_code, party_id)
        if all(party.ocpi_id != owner for party in self.caller.parties):
            raise not_found()
        return owner


def require_identity(obj: Any, owner: PartyId, ids: Mapping[str, str]) -> None:
    """Refuse an object that is another one than its URL says (OBJ-09, OBJ-11)."""
    expected: dict[str, str] = {}
    if hasattr(obj, "country_code") and hasattr(obj, "party_id"):
        expected = {"country_code": owner.country_code, "party_id": owner.party_id}
    if ids:
        name = list(ids)[-1]
        expected[name.rpartition("_")[2]] = ids[name]
    for member, value in expected.items():
        if getattr(obj, member).upper() != value.upper():
            raise invalid(f"{member}: must be the one in the URL")


def require_present(obj: msgspec.Struct, now: datetime) -> None:
    """Refuse an object from the future: it would block every later change (B19)."""
    last_updated = getattr(obj, "last_updated", None)
    if last_updated is not None and last_updated > now + MAX_CLOCK_DIFFERENCE:
        raise invalid("last_updated: lies more than 5 minutes ahead of our clock")
