"""What this eMSP does of its own accord, on order of the test: its calls are made of the library's own types.

So ids go out in lower case and absent members as null, as with anybody who uses this library.
"""

from typing import Any

import httpx
from fastapi import APIRouter, Body
from peer.memory import Memory
from py_ocpi.core.adapter import BaseAdapter
from py_ocpi.core.config import settings
from py_ocpi.core.enums import ModuleID
from py_ocpi.core.push import send_push_request
from py_ocpi.core.utils import encode_string_base64
from py_ocpi.modules.cdrs.v_2_2_1.schemas import Cdr
from py_ocpi.modules.commands.v_2_2_1 import schemas as commands
from py_ocpi.modules.credentials.v_2_2_1.schemas import Credentials
from py_ocpi.modules.locations.schemas import StatusSchedule
from py_ocpi.modules.locations.v_2_2_1.schemas import EVSE, EVSEPartialUpdate, Location
from py_ocpi.modules.sessions.v_2_2_1.schemas import Session
from py_ocpi.modules.tariffs.v_2_2_1.schemas import Tariff
from py_ocpi.modules.versions.enums import VersionNumber
from pydantic.fields import ModelField

router = APIRouter()
SCHEMAS = {"locations": Location, "tariffs": Tariff, "sessions": Session, "cdrs": Cdr}
COMMANDS = {"START_SESSION": commands.StartSession, "STOP_SESSION": commands.StopSession}


@router.post("/invite")
async def invite() -> dict[str, str]:
    """Let somebody register here: versions URL and token A."""
    Memory.tokens_a.append(token_a := Memory.issue("a"))
    return {"versions_url": Memory.credentials("")["url"], "token_a": token_a}


@router.post("/register")
async def register(versions_url: str = Body(), token_a: str = Body()) -> dict[str, Any]:
    """Register with somebody; the answer as it came, and what the library makes of it."""
    async with httpx.AsyncClient(headers=_header(token_a)) as client:
        versions = (await client.get(versions_url)).json()["data"]
        [details_url] = [each["url"] for each in versions if each["version"] == "2.2.1"]
        details = (await client.get(details_url)).json()["data"]
        [url] = [each["url"] for each in details["endpoints"] if each["identifier"] == "credentials"]
        Memory.tokens_c.append(token_b := Memory.issue("b"))
        own = Credentials(**Memory.credentials(token_b))
        answer = await client.post(url, json=own.dict())
    body = answer.json()
    if body["status_code"] == 1000:
        theirs = Credentials(**body["data"])
        Memory.registered.update(credentials=theirs.dict(), endpoints=details)
        Memory.tokens_c[:] = [token_b]
    return {"http": answer.status_code, "answer": body}


@router.post("/read")
async def read(module: str = Body(embed=True)) -> dict[str, Any]:
    """Read a whole list from the other side, page by page, each object through the library's own type."""
    found, pages, url = [], 0, f"{_endpoint(module, 'SENDER')}?limit=1"
    async with httpx.AsyncClient(headers=_header(_token())) as client:
        while url:
            answer = await client.get(url)
            found += [SCHEMAS[module](**each).dict() for each in answer.json()["data"]]
            pages += 1
            url = answer.links.get("next", {}).get("url")
    return {"pages": pages, "objects": found}


@router.post("/card")
async def card(token: dict[str, Any] = Body(), verdict: dict[str, Any] = Body(default={})) -> None:
    """Give a driver a card that the other side does not know yet; say what this side answers about it."""
    adapted = BaseAdapter.token_adapter(token).dict()
    Memory.of("tokens")[adapted["uid"]] = adapted
    Memory.verdicts[adapted["uid"]] = verdict


@router.post("/push")
async def push(uid: str = Body(embed=True)) -> dict[str, Any]:
    """PUT a card to the other side, by the library's own client. It joins URLs without a slash: we add it."""
    entry = {"identifier": "tokens", "role": "RECEIVER", "url": _endpoint("tokens", "RECEIVER") + "/"}
    answer = await send_push_request(
        uid, Memory.of("tokens")[uid], ModuleID.tokens, BaseAdapter,
        _header(_token())["authorization"], [entry], VersionNumber.v_2_2_1,
    )  # fmt: skip
    return {"http": answer.status_code, "answer": answer.json()}


@router.post("/command")
async def command(name: str = Body(), uid: str = Body(), members: dict[str, Any] = Body()) -> dict[str, Any]:
    """POST a command; the result will come to the address of this uid."""
    home = f"{settings.PROTOCOL}://{settings.OCPI_HOST}/ocpi/emsp/2.2.1/commands/{uid}"
    body = COMMANDS[name](response_url=home, **members).dict()
    async with httpx.AsyncClient(headers=_header(_token())) as client:
        answer = await client.post(f"{_endpoint('commands', 'RECEIVER')}/{name}", json=body)
    return {"http": answer.status_code, "answer": answer.json()}


@router.post("/repair")
async def repair() -> None:
    """Put right what the library gets wrong: EVSE.status_schedule is a list (chapter "Locations", 4.3.2)."""
    for model in (EVSE, EVSEPartialUpdate):
        model.__fields__["status_schedule"] = ModelField.infer(
            name="status_schedule", value=[], annotation=list[StatusSchedule], class_validators=None,
            config=model.__config__,
        )  # fmt: skip


@router.post("/doors")
async def doors(closed: bool = Body(embed=True)) -> None:
    """Forget the token that the other side uses (so that it gets 403), or know it again."""
    known = [each.removeprefix("!") for each in Memory.tokens_c]
    Memory.tokens_c[:] = [f"!{each}" for each in known] if closed else known


def _header(token: str) -> dict[str, str]:
    return {"authorization": f"Token {encode_string_base64(token)}"}


def _token() -> str:
    return str(Memory.registered["credentials"]["token"])


def _endpoint(module: str, role: str) -> str:
    entries = Memory.registered["endpoints"]["endpoints"]
    [url] = [each["url"] for each in entries if (each["identifier"], each["role"]) == (module, role)]
    return str(url)
