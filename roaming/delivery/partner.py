"""The partner at the other end of a lane: its token, its endpoints, whether it is there."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings

from ocpi.client import CallFailed, call
from roaming.approved import is_approved
from roaming.discovery import Access, discover
from roaming.models import Endpoint, Platform
from roaming.pushes import Message, Side, all_pushes
from roaming.secrets import read_outbound_token
from roaming.targets import target

log = logging.getLogger(__name__)

# A module that the partner does not serve (any more) is tried again after this time.
MODULE_OFF = timedelta(hours=1)
# A request must be over long before the lease is.
_SHARE_OF_LEASE = 0.6


@dataclass
class Partner:
    """What a sender needs to know of a platform while it holds one of its lanes."""

    platform: Platform
    token: str
    endpoints: dict[Side, Endpoint] = field(default_factory=dict)

    @classmethod
    def load(cls, platform_id: int) -> Self:
        """Read a platform. Raises SecretUnreadableError when its token cannot be read."""
        platform = Platform.objects.get(pk=platform_id)
        partner = cls(platform, read_outbound_token(platform))
        wanted = {push.side for push in all_pushes()}
        for endpoint in Endpoint.objects.filter(platform=platform):
            side = (endpoint.module, endpoint.role)
            if side not in wanted:
                continue
            if partner.may_call(endpoint.url):
                partner.endpoints[side] = endpoint
            else:
                log.error("delivery.host_not_approved platform=%s module=%s", platform.pk, endpoint.module)
        return partner

    @property
    def sealed_token(self) -> bytes:
        """The token as it is stored: changes with every new one."""
        return bytes(self.platform.outbound_token or b"")

    @property
    def requests_per_second(self) -> float:
        """The limit that was agreed with this partner."""
        return float(self.platform.requests_per_second)

    def serves(self, side: Side, *, now: datetime) -> bool:
        """Whether something can be sent to this side of a module now."""
        endpoint = self.endpoints.get(side)
        return endpoint is not None and (endpoint.off_until is None or endpoint.off_until <= now)

    def has_newer_token(self) -> bool:
        """Read the token again, and tell whether it has changed since."""
        known = self.sealed_token
        self.platform.refresh_from_db(fields=["outbound_token"])
        if self.sealed_token == known:
            return False
        self.token = read_outbound_token(self.platform)
        return True

    def may_call(self, url: str) -> bool:
        """Whether our token for this partner may go to this URL (O6, O8)."""
        return is_approved(
            url,
            approved_hosts=self.platform.approved_hosts,
            require_https=settings.OUTBOUND_REQUIRE_HTTPS,
        )

    def is_alive(self) -> bool:
        """Ask for the partner's versions: the specification's own still-alive check, without side effects."""
        if not self.platform.versions_url:
            return True
        try:
            answer = call(
                "GET",
                self.platform.versions_url,
                token=self.token,
                timeout_seconds=timeout_seconds(),
                raw_token=self.platform.accept_raw_token,
            )
        except CallFailed as failure:
            log.info("delivery.probe_failed platform=%s reason=%s", self.platform.pk, failure)
            return False
        log.info("delivery.probed platform=%s http=%s", self.platform.pk, answer.http_status)
        return 200 <= answer.http_status < 300

    def find_again(self, side: Side) -> bool:
        """Read the versions again; True when the endpoint of this side lies elsewhere now.

        Raises OcpiError when they cannot be read.
        """
        access = Access(self.token, self.platform.approved_hosts, self.platform.accept_raw_token)
        roles = set(self.platform.parties.filter(is_active=True).values_list("role", flat=True))
        found = discover(self.platform.versions_url, access, roles=roles)
        offers = {(each.module, each.role): each.url for each in found}
        endpoint, url = self.endpoints[side], offers.get(side)
        log.info("delivery.versions_read_again platform=%s module=%s", self.platform.pk, side[0])
        if url is None or url == endpoint.url:
            return False
        endpoint.url = url
        Endpoint.objects.filter(pk=endpoint.pk).update(url=url)
        return True

    def turn_off(self, side: Side, *, reason: str, now: datetime) -> None:
        """Send nothing to this side of a module for an hour, and say so."""
        endpoint = self.endpoints[side]
        endpoint.off_until = now + MODULE_OFF
        Endpoint.objects.filter(pk=endpoint.pk).update(off_until=endpoint.off_until, off_reason=reason[:255])
        log.error(
            "delivery.module_off platform=%s module=%s reason=%s: re-read the partner's versions with it",
            self.platform.pk, side[0], reason,
        )  # fmt: skip

    def turn_on(self, side: Side) -> None:
        """Forget that a side was off: it has just taken something."""
        endpoint = self.endpoints.get(side)
        if endpoint is not None and endpoint.off_until is not None:
            endpoint.off_until = None
            Endpoint.objects.filter(pk=endpoint.pk).update(off_until=None, off_reason="")


def timeout_seconds() -> float:
    """The total deadline of one request."""
    return min(
        float(settings.OUTBOUND_TIMEOUT_SECONDS), float(settings.DELIVERY_LEASE_SECONDS * _SHARE_OF_LEASE)
    )


def target_url(endpoint_url: str, message: Message, *, slash: bool = False) -> str:
    """Return where a message goes: the endpoint exactly as it was announced, plus the message's own path."""
    return target(endpoint_url, message.segments, message.query, slash=slash)
