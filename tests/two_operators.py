"""A second operator on the installation: Antwerp Depots (BE-ANT), with a depot, a tariff and ids of its own."""

from datetime import datetime
from pathlib import Path

from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE, Location

OWN, OTHER = ("BE", "YRD"), ("BE", "ANT")
"""The two operators, as routing headers name them."""

_WORDS = (
    ("BE-YRD", "BE-ANT"),
    ("BE*YRD", "BE*ANT"),
    ("Yardgate Depots", "Antwerp Depots"),
    ("gent-noord", "antwerpen-zuid"),
    ("GENT-", "ANTW-"),
    ("Gent Noord", "Antwerpen Zuid"),
)


def load_antwerp(folder: Path, *, now: datetime) -> EVSE:
    """Load the same depot as Gent Noord once more, for BE-ANT; returns its bay 1."""
    text = (ROOT / "examples" / "gent-noord.yaml").read_text()
    for ours, theirs in _WORDS:
        text = text.replace(ours, theirs)
    file = folder / "antwerpen-zuid.yaml"
    file.write_text(text)
    depots.load(file=depot_file.read(file), now=now)
    return EVSE.objects.get(station_identity="ANTW-01")


def antwerp() -> Location:
    """Its guest bays."""
    found: Location = Location.objects.select_related("depot__operator").get(depot__code="antwerpen-zuid")
    return found


def routed(to: tuple[str, str], from_: tuple[str, str] = ("NL", "EMS")) -> dict[str, str]:
    """The four routing headers of a call."""
    return {
        "OCPI-to-country-code": to[0],
        "OCPI-to-party-id": to[1],
        "OCPI-from-country-code": from_[0],
        "OCPI-from-party-id": from_[1],
    }
