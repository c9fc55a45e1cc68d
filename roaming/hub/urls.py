"""Routes of the interfaces that only a hub has, drawn from the interface table; mounted by ocpi/urls.py."""

import re

from django.urls import URLPattern, path

from ocpi.interfaces import V221_INTERFACES
from roaming.hub.views import HubOnlyView

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _routes(module: str, role: str) -> list[URLPattern]:
    suffixes = dict.fromkeys(each.path_suffix for each in V221_INTERFACES[module, role].operations)
    view = HubOnlyView.as_view(interface=(module, role))
    return [path(_PLACEHOLDER.sub(r"<str:\1>", suffix.removeprefix("/")), view) for suffix in suffixes]


locations_receiver = _routes("locations", "RECEIVER")
tariffs_receiver = _routes("tariffs", "RECEIVER")
sessions_receiver = _routes("sessions", "RECEIVER")
cdrs_receiver = _routes("cdrs", "RECEIVER")
tokens_sender = _routes("tokens", "SENDER")
commands_sender = _routes("commands", "SENDER")
chargingprofiles_sender = _routes("chargingprofiles", "SENDER")
chargingprofiles_receiver = _routes("chargingprofiles", "RECEIVER")
