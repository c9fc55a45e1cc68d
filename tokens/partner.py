"""Whether our credentials token for a partner may go to a URL."""

from django.conf import settings

from roaming.approved import is_approved
from roaming.models import Platform


def may_call(platform: Platform, url: str) -> bool:
    """Whether the URL lies on a host that was agreed with this partner (T15, O6)."""
    return is_approved(
        url, approved_hosts=platform.approved_hosts, require_https=settings.OUTBOUND_REQUIRE_HTTPS
    )
