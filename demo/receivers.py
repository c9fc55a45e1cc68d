"""What a partner platform keeps, and how its module endpoints answer."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demo.http import Reply, Request

if TYPE_CHECKING:
    from demo.partner import Partner

Key = tuple[str, str, str]


@dataclass
class Store:
    """Objects that the partner was told of, by owner and id, and its own tokens by uid.

    ``refuses_repeated_cdrs`` makes it answer 2001 to a CDR that it has, whatever it holds.
    """

    locations: dict[Key, Any] = field(default_factory=dict)
    tariffs: dict[Key, Any] = field(default_factory=dict)
    sessions: dict[Key, Any] = field(default_factory=dict)
    cdrs: dict[str, Any] = field(default_factory=dict)
    cdr_bytes: list[bytes] = field(default_factory=list)
    command_results: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    refuses_repeated_cdrs: bool = False
    # Results of its profile requests by id, and the limits in force that it was told of, newest last, by session.
    profile_results: dict[str, Any] = field(default_factory=dict)
    active_profiles: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def reply(self, received: Request, module: str, segments: list[str], partner: "Partner") -> Reply:
        """Answer a call of one of the functional modules."""
        with self._lock:
            if module in ("locations", "tariffs", "sessions") and len(segments) >= 3:
                return self._object(received, module, segments)
            if module == "cdrs":
                return self._cdr(received, segments, partner)
            if module == "commands" and len(segments) == 2 and received.method == "POST":
                self.command_results[segments[1]] = received.json
                return Reply()
            if module == "chargingprofiles":
                return self._profile(received, segments)
            if module == "tokens":
                return self._tokens(received, segments, partner)
        return _not_found()

    def _object(self, received: Request, module: str, segments: list[str]) -> Reply:
        objects: dict[Key, Any] = getattr(self, module)
        key = (segments[0], segments[1], segments[2])
        if module == "locations" and len(segments) > 3:
            return self._part(received, objects.get(key), segments[3:])
        if received.method == "PUT":
            is_new = key not in objects
            objects[key] = received.json
            return Reply(201 if is_new else 200)
        if key not in objects:
            return _not_found()
        if received.method == "PATCH":
            patch = received.json
            if module == "sessions":
                patch["charging_periods"] = [
                    *objects[key].get("charging_periods", []), *patch.get("charging_periods", [])
                ]  # fmt: skip
            objects[key].update(patch)
            return Reply()
        if received.method == "DELETE":
            del objects[key]
            return Reply()
        return Reply(data=objects[key]) if received.method == "GET" else _not_allowed()

    def _part(self, received: Request, location: Any, ids: list[str]) -> Reply:
        """Answer for an EVSE or a Connector of a Location."""
        if location is None:
            return _not_found()
        parent, parts, name = location, location.setdefault("evses", []), "uid"
        if len(ids) == 2:
            parent = next((each for each in parts if each["uid"] == ids[0]), None)
            if parent is None:
                return _not_found()
            parts, name = parent.setdefault("connectors", []), "id"
        known = next((each for each in parts if each[name] == ids[-1]), None)
        if received.method == "PUT":
            if known is not None:
                parts.remove(known)
            parts.append(received.json)
            return Reply(200 if known is not None else 201)
        if known is None:
            return _not_found()
        if received.method == "PATCH":
            known.update(received.json)
            return Reply()
        return Reply(data=known) if received.method == "GET" else _not_allowed()

    def _cdr(self, received: Request, segments: list[str], partner: "Partner") -> Reply:
        if received.method == "GET" and len(segments) == 1:
            known = self.cdrs.get(segments[0])
            return Reply(data=known) if known is not None else _not_found()
        if received.method != "POST" or segments:
            return _not_allowed()
        cdr = received.json
        self.cdr_bytes.append(received.body)
        known = self.cdrs.get(cdr["id"])
        if known is not None and (self.refuses_repeated_cdrs or known != cdr):
            return Reply(code=2001, message="this CDR is already here")
        self.cdrs[cdr["id"]] = cdr
        location = f"{partner.endpoint('cdrs').rstrip('/')}/{cdr['id']}"
        return Reply(201 if known is None else 200, headers={"Location": location})

    def _profile(self, received: Request, segments: list[str]) -> Reply:
        match received.method, segments:
            case "POST", [_, uid]:
                self.profile_results[uid] = received.json
            case "PUT", [session_id]:
                self.active_profiles.setdefault(session_id, []).append(received.json)
            case _:
                return _not_allowed()
        return Reply()

    def _tokens(self, received: Request, segments: list[str], partner: "Partner") -> Reply:
        if received.method == "GET" and not segments:
            return self._token_page(received, partner)
        if received.method == "POST" and len(segments) == 2 and segments[1] == "authorize":
            token = self.tokens.get(segments[0])
            if token is None:
                return Reply(404, 2004, message="unknown token")
            allowed = "ALLOWED" if token["valid"] else "BLOCKED"
            info = {"allowed": allowed, "token": token} | partner.authorizations.get(segments[0], {})
            return Reply(data=info)
        return _not_allowed()

    def _token_page(self, received: Request, partner: "Partner") -> Reply:
        since, until = received.query.get("date_from", ""), received.query.get("date_to", "~")
        found = [each for each in self.tokens.values() if since <= each["last_updated"] < until]
        offset = int(received.query.get("offset", 0))
        limit = min(int(received.query.get("limit", partner.page_size)), partner.page_size)
        headers = {"X-Total-Count": str(len(found)), "X-Limit": str(partner.page_size)}
        if offset + limit < len(found):
            query = received.query | {"offset": str(offset + limit), "limit": str(limit)}
            text = "&".join(f"{name}={value}" for name, value in query.items())
            headers["Link"] = f'<{partner.endpoint("tokens").rstrip("/")}?{text}>; rel="next"'
        return Reply(data=found[offset : offset + limit], headers=headers)


def _not_found() -> Reply:
    return Reply(404, 2000, message="not found")


def _not_allowed() -> Reply:
    return Reply(405, 2000, message="not allowed")
