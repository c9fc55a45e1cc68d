"""The data folder of a stack: where its embedded servers, secrets and addresses live."""

import contextlib
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Addresses:
    """Where a running stack answers; written by `manage.py up`, read by every other command."""

    database_url: str
    redis_url: str
    http: str
    ocpp: str
    pid: int


def data_dir() -> Path:
    """The folder named by YARDGATE_DATA, by default `var/` beside manage.py."""
    return Path(os.environ.get("YARDGATE_DATA") or ROOT / "var").resolve()


def read_addresses(folder: Path) -> Addresses | None:
    """The addresses of the stack of this folder, or None when no stack has been started there."""
    file = folder / "stack.json"
    if not file.exists():
        return None
    return Addresses(**json.loads(file.read_text()))


def write_addresses(folder: Path, addresses: Addresses) -> None:
    """Publish the addresses in one step, so that a reader never sees half a file."""
    partial = folder / "stack.json.new"
    partial.write_text(json.dumps(asdict(addresses), indent=1))
    partial.replace(folder / "stack.json")


def secret(folder: Path, name: str) -> str:
    """A secret of this stack: from the environment, else made once and kept readable by its owner only."""
    if given := os.environ.get(name):
        return given
    file = folder / "secrets" / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=name)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_hex(32))
        # Of two processes that start at once exactly one makes the secret, and nobody reads half of it.
        with contextlib.suppress(FileExistsError):
            os.link(partial, file)
        os.unlink(partial)
    return file.read_text()
