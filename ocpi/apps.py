"""The protocol library as a Django app: it has no tables, but middleware, parser and views."""

from django.apps import AppConfig


class OcpiConfig(AppConfig):
    """OCPI 2.2.1."""

    name = "ocpi"
