"""Routes of the functional modules and of credentials, built from the tables OCPI_INTERFACES and OCPI_HUB_INTERFACES."""

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.urls import URLPattern, include, path
from django.urls.resolvers import URLResolver
from django.utils.module_loading import import_string

from ocpi.interfaces import ROOT, V221_INTERFACES


def mounted(prefix: str, routes: Iterable[URLPattern]) -> list[URLPattern | URLResolver]:
    """Return routes below a prefix without slash at its end; the route ``""`` is the prefix itself."""
    own: list[URLPattern] = []
    below: list[URLPattern] = []
    for route in routes:
        (below if str(route.pattern) else own).append(route)
    mounts: list[URLPattern | URLResolver] = []
    if own:
        mounts.append(path(prefix, include(own)))
    if below:
        mounts.append(path(f"{prefix}/", include(below)))
    return mounts


def interface_routes() -> list[URLPattern | URLResolver]:
    """Return the routes of every interface that this installation may serve, relative to ``/ocpi/``.

    Those that only a hub has are there in any case, as a hub is a row and not a setting; they look then.
    """
    mounts: list[URLPattern | URLResolver] = []
    for key, location in (settings.OCPI_HUB_INTERFACES | settings.OCPI_INTERFACES).items():
        routes: Sequence[URLPattern] = import_string(location)
        mounts += mounted(V221_INTERFACES[key].path.removeprefix(f"{ROOT}/"), routes)
    return mounts


urlpatterns = interface_routes()
