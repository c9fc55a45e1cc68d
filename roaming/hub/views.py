"""The interfaces that only a hub has, as long as nobody here serves them: for partners elsewhere they are routed."""

from typing import Any, ClassVar

from rest_framework.request import Request

from ocpi.status import OcpiError, StatusCode, not_found
from ocpi.views import OcpiView
from roaming import own


class HubOnlyView(OcpiView):
    """Refuses every call: 404 where there is no hub, 4000 for a party of ours that does not offer this (HUB-21)."""

    interface: ClassVar[tuple[str, str]] = ("", "")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, then refuse."""
        super().initial(request, *args, **kwargs)
        if own.hub() is None:
            raise not_found()
        module, role = self.interface
        raise OcpiError(
            StatusCode.HUB_ERROR, f"{self.caller.own_party.ocpi_id} offers no endpoint for {module} {role}"
        )
