"""A partner platform (an eMSP) that speaks OCPI 2.2.1 over real sockets.

    partner = Partner("Randstad Taxi", "NL", "EMS").start()
    partner.register(versions_url, token_a)            # it registers with somebody
    somebody_registers(partner.versions_url, partner.invite())   # or somebody registers with it
    partner.add_token("04A2B3C4")                      # its drivers
    partner.push("PUT", "tokens", …)                   # its calls
    partner.cdrs, partner.sessions, partner.requests   # what it was told, and how
    partner.fail("drop_after_storing", on="POST /cdrs", times=1)

`python -m demo.partner --json` runs one in a process of its own.
"""

import argparse
import json
import re
import secrets
import signal
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlencode

from demo.http import (
    NOTHING,
    Answer,
    Reply,
    Request,
    Server,
    authorization,
    request,
    timestamp,
    to_json,
)
from demo.memory import Memory

BASE = "/ocpi/emsp"
OFFERED = (
    ("credentials", "SENDER"),
    ("tokens", "SENDER"),
    ("commands", "SENDER"),
    ("locations", "RECEIVER"),
    ("tariffs", "RECEIVER"),
    ("sessions", "RECEIVER"),
    ("cdrs", "RECEIVER"),
)


@dataclass
class Partner(Memory):
    """One partner platform with one party.

    ``token`` is what it presents to the other side; ``accepted`` are the tokens that it lets in;
    ``endpoints`` the other side's URLs by (module, role) as learned in the handshake.
    """

    name: str = "Randstad Taxi"
    country_code: str = "NL"
    party_id: str = "EMS"
    role: str = "EMSP"
    port: int = 0
    host: str = "127.0.0.1"

    # What it offers; change before a handshake.
    versions: list[str] = field(default_factory=lambda: ["2.2.1"])
    offered: list[tuple[str, str]] = field(default_factory=lambda: list(OFFERED))
    ends_urls_with_slash: bool = False
    page_size: int = 50
    encodes_token: bool = True
    # Members of its credentials that differ from the truth, e.g. {"url": "https://elsewhere.example"}.
    credentials_override: dict[str, Any] = field(default_factory=dict)
    # Entries added to version list and details, as a partner with extensions would have.
    extra_versions: list[dict[str, Any]] = field(default_factory=list)
    extra_endpoints: list[dict[str, Any]] = field(default_factory=list)
    # Answers to real-time authorization by token uid, e.g. {"04A2": {"allowed": "BLOCKED"}}.
    authorizations: dict[str, dict[str, Any]] = field(default_factory=dict)

    token: str = ""
    accepted: set[str] = field(default_factory=set)
    registered: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    callbacks: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._server: Server | None = None
        self._invitations: set[str] = set()

    # -- life

    def start(self) -> Self:
        """Listen; a partner that was stopped comes back at the same port with all it knew."""
        self._server = Server((self.host, self.port), self._answer, self.fault_for)
        self.port = self._server.server_address[1]
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Vanish: nobody listens, open connections break."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    def __enter__(self) -> Self:
        return self if self._server else self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # -- what it is

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    @property
    def versions_url(self) -> str:
        """Where its versions are."""
        return f"{self.url}{BASE}/versions"

    @property
    def details_url(self) -> str:
        """Where the details of its version are."""
        return f"{self.url}{BASE}/2.2.1"

    def endpoint(self, module: str) -> str:
        """Return the URL of one of its own endpoints, as it announces it."""
        return f"{self.url}{BASE}/2.2.1/{module}" + ("/" if self.ends_urls_with_slash else "")

    @property
    def credentials_role(self) -> dict[str, Any]:
        """Its one role, as in its credentials."""
        return {
            "role": self.role,
            "business_details": {"name": self.name},
            "country_code": self.country_code,
            "party_id": self.party_id,
        }

    def credentials(self, token: str) -> dict[str, Any]:
        """Return its credentials object with a token for the other side."""
        own = {"token": token, "url": self.versions_url, "roles": [self.credentials_role]}
        return own | self.credentials_override

    # -- what it does

    def invite(self) -> str:
        """Return a token A with which somebody may register."""
        token_a = secrets.token_urlsafe(24)
        self._invitations.add(token_a)
        self.accepted.add(token_a)
        return token_a

    def register(self, versions_url: str, token_a: str) -> Answer:
        """Register with somebody (POST); on success use their token, and their endpoints."""
        if not self._learn(versions_url, token_a):
            return self.callbacks[-1]
        return self._announce("POST", token_a)

    def rotate(self) -> Answer:
        """Replace both tokens (PUT)."""
        return self._announce("PUT", self.token)

    def unregister(self) -> Answer:
        """Leave (DELETE)."""
        answer = self.call("DELETE", self.endpoints["credentials", "SENDER"])
        if answer.code == 1000:
            self.accepted.clear()
        return answer

    def call(
        self,
        method: str,
        url: str,
        body: Any = NOTHING,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make one call with the current token; ``body`` is encoded unless it is bytes."""
        value = self.token if token is None else token
        sent = {
            "Authorization": authorization(value) if self.encodes_token else f"Token {value}",
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }
        content = None
        if body is not NOTHING:
            content = body if isinstance(body, bytes) else to_json(body)
            sent["Content-Type"] = "application/json"
        return request(method, url, body=content, headers=sent | (headers or {}))

    def routing(self, own_party: tuple[str, str] | None = None) -> dict[str, str]:
        """Return the routing headers of its calls; to the first party of the other side by default."""
        role = self.registered["roles"][0]
        country_code, party_id = own_party or (role["country_code"], role["party_id"])
        return {
            "OCPI-from-country-code": self.country_code,
            "OCPI-from-party-id": self.party_id,
            "OCPI-to-country-code": country_code,
            "OCPI-to-party-id": party_id,
        }

    def get(self, module: str, *segments: str, **query: Any) -> Answer:
        """GET from the other side's SENDER interface: a list, or with segments one object."""
        url = _joined(self.endpoints[module, "SENDER"], segments, query)
        return self.call("GET", url, headers=self.routing())

    def get_all(self, module: str, **query: Any) -> list[Any]:
        """Return a whole list, page by page."""
        url: str | None = _joined(self.endpoints[module, "SENDER"], (), query)
        objects: list[Any] = []
        while url:
            answer = self.call("GET", url, headers=self.routing())
            objects += answer.data
            found = re.match(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
            url = found.group(1) if found else None
        return objects

    def send(self, method: str, module: str, *segments: str, body: Any = NOTHING, **query: Any) -> Answer:
        """Call the other side's RECEIVER interface."""
        url = _joined(self.endpoints[module, "RECEIVER"], segments, query)
        return self.call(method, url, body, headers=self.routing())

    def add_token(self, uid: str, **members: Any) -> dict[str, Any]:
        """Give a driver a token (not yet told to anybody) and return it."""
        token = {
            "country_code": self.country_code,
            "party_id": self.party_id,
            "uid": uid,
            "type": "RFID",
            "contract_id": f"{self.country_code}-{self.party_id}-C{uid[-8:]}",
            "issuer": self.name,
            "valid": True,
            "whitelist": "ALWAYS",
            "last_updated": timestamp(),
        } | members
        self.store.tokens[uid] = token
        return token

    def push_token(self, uid: str) -> Answer:
        """PUT one of its tokens to the other side."""
        token = self.store.tokens[uid]
        path = (self.country_code, self.party_id, uid)
        return self.send("PUT", "tokens", *path, body=token, type=token["type"])

    def command(self, name: str, **members: Any) -> tuple[Answer, str]:
        """POST a command; return the answer, and the id under which its result will be in the store."""
        uid = secrets.token_hex(8)
        body = {"response_url": f"{self.url}{BASE}/2.2.1/commands/{name}/{uid}"} | members
        return self.send("POST", "commands", name, body=body), uid

    def profile(self, method: str, session_id: str, **members: Any) -> tuple[Answer, str]:
        """GET, PUT or DELETE a charging profile; return the answer, and the id of its result in the store.

        ``members`` are those of the body of a PUT, and query parameters otherwise.
        """
        uid = secrets.token_hex(8)
        url = f"{self.url}{BASE}/2.2.1/chargingprofiles/{method}/{uid}?request_id=5678&part=2"
        members = {"response_url": url} | members
        if method == "PUT":
            return self.send(method, "chargingprofiles", session_id, body=members), uid
        return self.send(method, "chargingprofiles", session_id, **members), uid

    # -- inside

    def _answer(self, received: Request) -> Reply:
        reply = self._reply_to(received)
        self.record(received)
        return reply

    def _reply_to(self, received: Request) -> Reply:
        token = received.token if self.encodes_token else received.raw_token
        if token not in self.accepted:
            return Reply(401, 2000, message="unknown token")
        path = received.path.rstrip("/")
        if path == f"{BASE}/versions":
            listed = [{"version": each, "url": f"{self.url}{BASE}/{each}"} for each in self.versions]
            return Reply(data=self.extra_versions + listed)
        if path == f"{BASE}/2.2.1":
            listed = [
                {"identifier": module, "role": role, "url": self.endpoint(module)}
                for module, role in self.offered
            ]
            return Reply(data={"version": "2.2.1", "endpoints": self.extra_endpoints + listed})
        if path == f"{BASE}/2.2.1/credentials":
            return self._credentials_reply(received)
        if not path.startswith(f"{BASE}/2.2.1/"):
            return Reply(404, 2000, message="not found")
        module, *segments = received.segments[3:]
        return self.store.reply(received, module, segments, self)

    def _credentials_reply(self, received: Request) -> Reply:
        is_invitation = received.token in self._invitations
        allowed = {True: ("GET", "POST"), False: ("GET", "PUT", "DELETE")}[is_invitation]
        if received.method not in allowed:
            return Reply(405, 2000, message="not allowed", headers={"Allow": ", ".join(allowed)})
        if received.method == "GET":
            return Reply(data=self.credentials(received.token or ""))
        if received.method == "DELETE":
            self.accepted.clear()
            self.token = ""
            return Reply()
        theirs = received.json
        # The specification's order: call back first, answer last.
        if not self._learn(theirs["url"], theirs["token"]):
            return Reply(code=3001, message="your versions could not be fetched")
        self.token, self.registered = theirs["token"], theirs
        token_c = secrets.token_urlsafe(24)
        self._invitations.discard(received.token or "")
        self.accepted = {token_c}
        return Reply(data=self.credentials(token_c))

    def _learn(self, versions_url: str, token: str) -> bool:
        """Fetch the other side's versions and details; return whether that went well."""
        answer = self.call("GET", versions_url, token=token)
        self.callbacks.append(answer)
        if answer.http_status != 200 or answer.code != 1000:
            return False
        url = next(each["url"] for each in answer.data if each["version"] == "2.2.1")
        details = self.call("GET", url, token=token)
        self.callbacks.append(details)
        if details.http_status != 200 or details.code != 1000:
            return False
        entries = details.data["endpoints"]
        self.endpoints = {(each["identifier"], each["role"]): each["url"] for each in entries}
        return True

    def _announce(self, method: str, token: str) -> Answer:
        token_b = secrets.token_urlsafe(24)
        before = set(self.accepted)
        self.accepted.add(token_b)
        url = self.endpoints["credentials", "SENDER"]
        answer = self.call(method, url, self.credentials(token_b), token=token)
        if answer.http_status == 200 and answer.code == 1000:
            self.token, self.registered = answer.data["token"], answer.data
            self.accepted = {token_b}
        else:
            self.accepted = before
        return answer


def _joined(url: str, segments: tuple[str, ...], query: dict[str, Any]) -> str:
    path = "/".join([url.rstrip("/"), *(quote(segment, safe="") for segment in segments)])
    return f"{path}?{urlencode(query)}" if query else path


def main() -> None:
    """Run one partner platform until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--name", default="Randstad Taxi")
    parser.add_argument("--country", default="NL")
    parser.add_argument("--party", default="EMS")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the address as JSON")
    parser.add_argument("--versions-url", help="register there")
    parser.add_argument("--token-a", help="token for that registration")
    options = parser.parse_args()
    partner = Partner(options.name, options.country, options.party, port=options.port).start()
    report: dict[str, Any] = {"versions_url": partner.versions_url, "token_a": partner.invite()}
    if options.versions_url:
        answer = partner.register(options.versions_url, options.token_a or "")
        report |= {"http_status": answer.http_status, "status_code": answer.code}
    lines = [f"{name}: {value}" for name, value in report.items()]
    print(json.dumps(report) if options.json else "\n".join(lines), flush=True)  # noqa: T201
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    partner.stop()


if __name__ == "__main__":
    main()
