"""Who we talk to, and how messages travel."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class RoamingConfig(AppConfig):
    """Partner platforms, credentials and deliveries."""

    name = "roaming"

    def ready(self) -> None:
        """Let every app register what it tells partners, as the admin does with its pages."""
        autodiscover_modules("pushes", "hub.pushes", "hub.pushes_clientinfo")
