"""The platform itself: the library's whole application, a log of what came in, and the test's remote control."""

from typing import Any

from fastapi import Request
from peer.drive import router
from peer.memory import Doorkeeper, Memory
from py_ocpi import get_application
from py_ocpi.core.enums import ModuleID, RoleEnum
from py_ocpi.modules.versions.enums import VersionNumber

LOG: list[tuple[str, str, int]] = []

app = get_application(
    version_numbers=[VersionNumber.v_2_2_1],
    roles=[RoleEnum.emsp],
    crud=Memory,
    modules=[
        ModuleID.credentials_and_registration,
        ModuleID.locations,
        ModuleID.tariffs,
        ModuleID.sessions,
        ModuleID.cdrs,
        ModuleID.tokens,
        ModuleID.commands,
    ],
    authenticator=Doorkeeper,
)
app.include_router(router, prefix="/drive")


@app.middleware("http")
async def remember(request: Request, call_next: Any) -> Any:
    """Note method, path and HTTP status of each request but the remote control's."""
    response = await call_next(request)
    if not request.url.path.startswith("/drive"):
        LOG.append((request.method, request.url.path, response.status_code))
    return response


@app.get("/drive/memory")
async def memory() -> dict[str, Any]:
    """All that this platform knows."""
    return {"objects": Memory.objects, "asked": Memory.asked, "log": LOG, "registered": Memory.registered}
