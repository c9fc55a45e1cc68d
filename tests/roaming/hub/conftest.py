"""A hub with a CPO and an eMSP around it, each behind a real socket."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.roaming.hub.peers import Hub, Peer, a_hub


@pytest.fixture
def hub(live_server: Any, settings: Any) -> Iterator[Hub]:
    """The hub DE-HUB."""
    with a_hub(live_server.url, settings) as running:
        yield running


@pytest.fixture
def cpo(hub: Hub) -> Peer:
    """The CPO Tank en Meer (NL-TNM)."""
    return hub.join("Tank en Meer", "NL", "TNM", "CPO")


@pytest.fixture
def emsp(hub: Hub, cpo: Peer) -> Peer:
    """The eMSP Randstad Taxi (NL-EMS), which has an agreement with Tank en Meer."""
    peer = hub.join("Randstad Taxi", "NL", "EMS", "EMSP")
    hub.agree(peer, cpo)
    return peer


@pytest.fixture
def other(hub: Hub) -> Peer:
    """The eMSP Ruhr Mobil (DE-RMO), which has an agreement with nobody."""
    return hub.join("Ruhr Mobil", "DE", "RMO", "EMSP")
