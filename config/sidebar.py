"""The navigation of the admin, grouped by who uses it; each entry only for those who may open it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

# Group → (title, icon, label of the model).
GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Depot",
        (
            ("Depots", "warehouse", "locations.depot"),
            ("Bay pools", "grid_view", "locations.location"),
            ("Bays", "ev_station", "locations.evse"),
            ("Sessions", "bolt", "charging_sessions.session"),
            ("Reservations", "event_seat", "charging.reservation"),
        ),
    ),
    (
        "Access",
        (
            ("Grants", "handshake", "access.grant"),
            ("Hours", "schedule", "access.schedule"),
            ("Holidays", "event", "access.holiday"),
            ("Decisions", "rule", "access.decision"),
            ("Edges", "update", "access.edge"),
            ("What partners see", "visibility", "locations.partnerview"),
        ),
    ),
    (
        "Partners",
        (
            ("Platforms", "hub", "roaming.platform"),
            ("Parties", "groups", "roaming.party"),
            ("Agreements", "handshake", "roaming.agreement"),
            ("Tokens", "badge", "tokens.token"),
            ("Token lists", "sync", "tokens.pull"),
            ("Deliveries", "outbox", "roaming.obligation"),
            ("Lanes", "alt_route", "roaming.lane"),
            ("Findings", "troubleshoot", "roaming.finding"),
            ("Comparisons", "compare", "roaming.comparison"),
            ("Commands", "terminal", "charging.command"),
            ("Charging profiles", "show_chart", "charging.chargingprofile"),
            ("Profile requests", "query_stats", "charging.profilerequest"),
        ),
    ),
    (
        "Hub",
        (
            ("Kept for partners", "inventory_2", "roaming.hubdocument"),
            ("Fences", "fence", "access.fencedlocation"),
            ("Passes", "key", "access.pass"),
        ),
    ),
    (
        "Money",
        (
            ("Tariffs", "sell", "tariffs.tariff"),
            ("CDRs", "receipt_long", "cdrs.cdr"),
            ("Reviews", "rate_review", "cdrs.review"),
            ("Credits", "undo", "cdrs.creditrequest"),
        ),
    ),
    (
        "Chargers",
        (
            ("Stations", "ev_charger", "chargers.station"),
            ("Calls", "swap_horiz", "chargers.stationcall"),
            ("Transactions", "electric_meter", "charging.transaction"),
            ("Authorizations", "contactless", "charging.authorization"),
            ("Unmatched messages", "help", "charging.unmatchedmessage"),
        ),
    ),
    (
        "Staff",
        (
            ("Users", "person", "auth.user"),
            ("Groups", "group", "auth.group"),
            ("Who did what", "history", "admin.logentry"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with the entries that this person may open (UNFOLD["SIDEBAR"]["navigation"])."""
    home = {"title": "What is happening", "icon": "dashboard", "link": reverse("admin:index")}
    groups = [{"items": [home]}]
    for title, entries in GROUPS:
        items = [_item(*entry) for entry in entries if _may_open(request, entry[2])]
        if items:
            groups.append({"title": title, "separator": True, "items": items})  # type: ignore[dict-item]  # of any shape
    return groups


def _item(title: str, icon: str, label: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(f"admin:{label.replace('.', '_')}_changelist")}


def _may_open(request: HttpRequest, label: str) -> bool:
    app, model = label.split(".")
    return request.user.has_perm(f"{app}.view_{model}") or request.user.has_perm(f"{app}.change_{model}")
