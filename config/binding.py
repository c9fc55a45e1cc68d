"""Host and port that a face of the stack listens on."""

import socket
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Binding:
    """One address to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `127.0.0.1:8000`; raise ValueError with what is wrong otherwise. Port 0 takes any free port."""
        host, _, port = text.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"'{text}' is not HOST:PORT, for example 127.0.0.1:8000")
        return cls(host, int(port) or _free_port(host))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def require_free(self) -> None:
        """Raise RuntimeError when something listens here already, or nobody can."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise RuntimeError(
                    f"{self} cannot be used ({error.strerror}); choose another port"
                ) from error

    def is_answering(self) -> bool:
        """Whether something listens here."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise ValueError(f"'{host}' is not an address of this machine ({error.strerror})") from error
        return int(probe.getsockname()[1])
