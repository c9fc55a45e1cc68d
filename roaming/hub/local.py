"""Requests that the hub hands to a view of its own installation, in the name of the party that made them."""

from dataclasses import replace
from urllib.parse import urlencode

import msgspec
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import Resolver404, resolve

from ocpi.http import BODY, respond_to_error
from ocpi.interfaces import interface_path
from ocpi.status import is_success, not_found
from roaming.auth import CALLER, Caller
from roaming.models import Party
from roaming.pushes import Message


class _Envelope(msgspec.Struct):
    status_code: int


def is_accepted(answer: HttpResponse) -> bool:
    """Tell whether one of our own views took what it was handed."""
    return answer.status_code < 300 and is_success(
        msgspec.json.decode(answer.content, type=_Envelope).status_code
    )


def dispatched(
    request: HttpRequest, caller: Caller, *, to: Party, interface: tuple[str, str], message: Message
) -> HttpResponse:
    """Return what one of our parties answers to a message at this side of a module.

    The headers are those of ``request``; its caller was admitted and counted before, so it is not looked up again.
    """
    path = "/".join((interface_path(*interface), *message.segments))
    try:
        view, _, ids = resolve(path)
    except Resolver404:
        return respond_to_error(not_found())
    inner = HttpRequest()
    inner.method = message.method
    inner.path = inner.path_info = path
    inner.META = request.META | {CALLER: replace(caller, own_party=to), BODY: message.body or b""}
    inner.GET = QueryDict(urlencode(message.query))  # type: ignore[assignment]  # the stubs know one of its two forms
    answer: HttpResponse = view(inner, **ids)
    return answer
