"""The smallest partner platform: serves versions and details, prints all that is sent to it, says yes to everything.

    python3 examples/listener.py 8200        # an eMSP
    python3 examples/listener.py 8300 CPO    # a CPO behind our hub

Standard library only, and for trying things out only: it lets everybody in.
"""

import json
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8200
IS_CPO = sys.argv[2:] == ["CPO"]
HOME = f"http://127.0.0.1:{PORT}"
OF_CPOS = ("locations", "tariffs", "sessions", "cdrs")
OF_EMSPS = ("tokens", "commands")
SENT, RECEIVED = (OF_CPOS, OF_EMSPS) if IS_CPO else (OF_EMSPS, OF_CPOS)


class Listener(BaseHTTPRequestHandler):
    """Answers each request with the OCPI envelope."""

    def answer(self) -> None:
        """One answer for all methods: versions, details, an empty list, or yes."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        print(self.command, self.path, body, flush=True)
        content = json.dumps(
            {"data": self.data(), "status_code": 1000, "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def data(self) -> object:
        """The payload of a path."""
        if self.path == "/versions":
            return [{"version": "2.2.1", "url": f"{HOME}/2.2.1"}]
        if self.path == "/2.2.1":
            roles = dict.fromkeys(RECEIVED, "RECEIVER") | dict.fromkeys(("credentials", *SENT), "SENDER")
            endpoints = [
                {"identifier": name, "role": role, "url": f"{HOME}/2.2.1/{name}"}
                for name, role in roles.items()
            ]
            return {"version": "2.2.1", "endpoints": endpoints}
        if IS_CPO and self.path.startswith("/2.2.1/commands/"):
            return {"result": "ACCEPTED", "timeout": 30}
        return [] if self.command == "GET" else None

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        """Say nothing twice."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", PORT), Listener).serve_forever()
