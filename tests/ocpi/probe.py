"""A URLconf with one list and one object module over plain values, and views that fail in every way."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.urls import path
from rest_framework.exceptions import APIException, NotAuthenticated, ParseError, Throttled
from rest_framework.response import Response

from config.urls import urlpatterns as real_urlpatterns
from ocpi import codec, v221
from ocpi.http import Page, respond
from ocpi.status import OcpiError, StatusCode
from ocpi.urls import mounted
from ocpi.views import OcpiView, ReceiverView, SenderView

START = datetime(2026, 3, 11, 8, 0, tzinfo=UTC)
# Not what our encoder would write: documents go out as they are.
DOCUMENTS = [b'{"id": "T%02d",  "x":1.50}' % number for number in range(1, 26)]


class ListView(SenderView):
    interface = ("tariffs", "SENDER")
    not_found_code = StatusCode.UNKNOWN_LOCATION

    def page(self, caller, query, now):
        since = query.date_from or START
        found = [each for number, each in enumerate(DOCUMENTS) if START + timedelta(hours=number) >= since]
        return Page(found[query.offset : query.offset + query.limit], len(found))

    def document(self, caller, ids, now):
        return next((each for each in DOCUMENTS if b'"%s"' % ids["tariff_id"].encode() in each), None)


class ObjectsView(ReceiverView):
    interface = ("tokens", "RECEIVER")
    object_type = v221.Token
    stored: ClassVar[dict] = {}

    def current(self, caller, owner, ids, now):
        return self.stored.get((*owner, ids["token_uid"].upper()))

    def store(self, caller, owner, ids, obj, now):
        key = (*owner, ids["token_uid"].upper())
        is_new = key not in self.stored
        self.stored[key] = obj
        return is_new


FAILURES = {
    "crash": lambda: RuntimeError("the database password is hunter2"),
    "foreseen": lambda: OcpiError(StatusCode.SERVER_ERROR, "the archive is being rebuilt"),
    "invalid": lambda: codec.Invalid("evses[2].uid", "is required"),
    "malformed": lambda: codec.MalformedJson("body is not JSON"),
    "gone": Http404,
    "forbidden": PermissionDenied,
    "unauthenticated": NotAuthenticated,
    "throttled": lambda: Throttled(wait=2.4),
    "parse": ParseError,
    "api": APIException,
}


class FailingView(OcpiView):
    interface = ("tariffs", "SENDER")

    def get(self, request, kind):
        raise FAILURES[kind]()


class RestView(OcpiView):
    """Answers with DRF's own Response, as a third-party view would."""

    interface = ("tariffs", "SENDER")

    def get(self, request):
        return Response({"a": 1})


class EchoView(OcpiView):
    """Answers the parsed body, read in DRF's way, or the correlation id that is kept."""

    interface = ("tariffs", "SENDER")

    def get(self, request):
        return respond(request.META["ocpi.correlation_id"])

    def post(self, request):
        return respond({"given": request.data})


_list = [path("", ListView.as_view()), path("<str:tariff_id>", ListView.as_view())]
_objects = [path("<str:country_code>/<str:party_id>/<str:token_uid>", ObjectsView.as_view())]
urlpatterns = [
    *mounted("ocpi/2.2.1/sender/tariffs", _list),
    *mounted("ocpi/2.2.1/receiver/tokens", _objects),
    path("ocpi/fail/<str:kind>", FailingView.as_view()),
    path("ocpi/rest", RestView.as_view()),
    path("ocpi/echo", EchoView.as_view()),
    *real_urlpatterns,
]
