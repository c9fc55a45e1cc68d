"""All URLs, and the Receiver interfaces that an installation with a hub serves."""

from django.urls import include, path

from ocpi.interfaces import interface_path
from ocpi.urls import mounted
from roaming.hub import urls

_LISTS = {
    "locations": urls.locations_receiver,
    "tariffs": urls.tariffs_receiver,
    "sessions": urls.sessions_receiver,
    "cdrs": urls.cdrs_receiver,
}

urlpatterns = [
    *(
        mount
        for module, routes in _LISTS.items()
        for mount in mounted(interface_path(module, "RECEIVER").removeprefix("/"), routes)
    ),
    path("", include("config.urls")),
]
