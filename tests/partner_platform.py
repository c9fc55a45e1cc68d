"""Fixtures and shorthands around the fake partner platform, which lives in `demo/partner.py`.

Use them with `from tests.partner_platform import partner, yardgate` in a conftest.
"""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from demo.partner import Partner
from roaming.handshake import invite_platform
from roaming.models import Party, Platform

__all__ = ["Partner", "connect", "invite", "partner", "yardgate"]


@pytest.fixture
def yardgate(live_server, settings) -> str:
    """Our own platform behind a real socket, with the party BE-YRD; returns its address."""
    settings.OCPI_PUBLIC_URL = live_server.url
    Party.objects.get_or_create(
        role="CPO", country_code="BE", party_id="YRD", defaults={"name": "Yardgate Depots"}
    )
    return live_server.url


@pytest.fixture
def partner() -> Iterator[Partner]:
    """The eMSP Randstad Taxi (NL-EMS), running, known to nobody yet."""
    with Partner() as running:
        yield running


def invite(partner: Partner) -> str:
    """Invite a partner platform and return its token A; there is no limit on its requests."""
    role = (partner.role, partner.country_code, partner.party_id)
    invitation = invite_platform(name=partner.name, roles=[role], now=timezone.now())
    Platform.objects.filter(pk=invitation.platform.pk).update(max_requests_per_second=0)
    return invitation.token_a


def connect(partner: Partner, yardgate: str) -> Platform:
    """Invite a partner platform, let it register over the wire, and return its row."""
    answer = partner.register(f"{yardgate}/ocpi/versions", invite(partner))
    assert (answer.http_status, answer.code) == (200, 1000), answer.body
    return Platform.objects.get(name=partner.name)
