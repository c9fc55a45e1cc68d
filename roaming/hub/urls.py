"""Routes of the hub: HubClientInfo, the Receiver interfaces of parties of ours that are no CPO, and what is only ever
forwarded; mounted by ocpi/urls.py."""

import re

from django.urls import URLPattern, path

from ocpi.interfaces import V221_INTERFACES
from roaming.hub import receiver
from roaming.hub.clientinfo import ClientsView, ClientView
from roaming.hub.views import HubOnlyView

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_OWNED = "<str:country_code>/<str:party_id>"
_locations = receiver.LocationsView.as_view()


def _forwarded(module: str, role: str) -> list[URLPattern]:
    suffixes = dict.fromkeys(each.path_suffix for each in V221_INTERFACES[module, role].operations)
    view = HubOnlyView.as_view(interface=(module, role))
    return [path(_PLACEHOLDER.sub(r"<str:\1>", suffix.removeprefix("/")), view) for suffix in suffixes]


clientinfo_sender = [path("", ClientsView.as_view())]
clientinfo_receiver = [path(_OWNED, ClientView.as_view())]
locations_receiver = [
    path(f"{_OWNED}/<str:location_id>", _locations),
    path(f"{_OWNED}/<str:location_id>/<str:evse_uid>", _locations),
    path(f"{_OWNED}/<str:location_id>/<str:evse_uid>/<str:connector_id>", _locations),
]
tariffs_receiver = [path(f"{_OWNED}/<str:tariff_id>", receiver.TariffsView.as_view())]
sessions_receiver = [path(f"{_OWNED}/<str:session_id>", receiver.SessionsView.as_view())]
cdrs_receiver = [
    path("", receiver.CdrsView.as_view()),
    path("<str:cdr_id>", receiver.CdrView.as_view()),
]
tokens_sender = _forwarded("tokens", "SENDER")
commands_sender = _forwarded("commands", "SENDER")
chargingprofiles_sender = _forwarded("chargingprofiles", "SENDER")
