"""What a partner platform offers: its versions and the details of ours (chapters "Versions module" and
"Credentials module"). Makes HTTP calls and touches no row."""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.conf import settings

from ocpi import codec, v221
from ocpi.client import Answer, CallFailed, call
from ocpi.status import OcpiError, StatusCode
from roaming.approved import host_of, require_approved
from roaming.own import VERSION

log = logging.getLogger(__name__)

# One text for every reason: it must not tell what our network can reach (O1).
UNUSABLE = "the versions of your platform could not be fetched with the token given"


@dataclass(frozen=True)
class Offer:
    """One entry of a partner's version details that we understand and may call."""

    module: str
    role: str
    url: str


@dataclass(frozen=True)
class Access:
    """How to reach a partner: the token it expects, the hosts it may name, whether it encodes tokens."""

    token: str
    approved_hosts: Sequence[str]
    raw_token: bool = False


def discover(versions_url: str, access: Access, *, roles: Collection[str] = ()) -> tuple[Offer, ...]:
    """Fetch versions and details, and return the endpoints of the partner (CRD-10, CRD-28).

    ``roles`` are those that the partner has; before it has told them, it is taken for what it offers. Both calls
    together end within OUTBOUND_TIMEOUT_SECONDS. Raises OcpiError 3001 when they cannot be fetched or name URLs that
    are not the partner's, 3002 without a common version, 3003 when an endpoint of OCPI_REQUIRED_ENDPOINTS is missing.
    """
    deadline = time.monotonic() + settings.OUTBOUND_TIMEOUT_SECONDS
    versions = _fetch(versions_url, access, deadline)
    details_url = _details_url(versions)
    details = _fetch(details_url, access, deadline)
    offers = _offers(details, access)
    offered = {(offer.module, offer.role) for offer in offers}
    missing = [
        f"{module} {side}"
        for role in sorted(roles or _likely_roles(offered))
        for module, side in settings.OCPI_REQUIRED_ENDPOINTS.get(role, ())
        if (module, side) not in offered
    ]
    if missing:
        raise OcpiError(
            StatusCode.NO_MATCHING_ENDPOINTS, f"your platform offers no endpoint for {', '.join(missing)}"
        )
    return offers


def _likely_roles(offered: Collection[tuple[str, str]]) -> frozenset[str]:
    """Who takes tokens of others is a CPO; everybody else registers with us as an eMSP, or it is of no use to us."""
    is_cpo = (v221.ModuleID.TOKENS.value, v221.InterfaceRole.RECEIVER.value) in offered
    return frozenset({v221.Role.CPO.value if is_cpo else v221.Role.EMSP.value})


def _fetch(url: str, access: Access, deadline: float) -> Answer:
    try:
        _require_callable(url, access)
        answer = call(
            "GET",
            url,
            token=access.token,
            timeout_seconds=max(0.0, deadline - time.monotonic()),
            raw_token=access.raw_token,
        )
    except (ValueError, CallFailed) as error:
        log.warning("discovery.failed reason=%s", error)
        raise _unusable() from None
    if not answer.is_success:
        log.warning("discovery.refused http=%s ocpi=%s", answer.http_status, answer.status_code)
        raise _unusable()
    return answer


def _require_callable(url: str, access: Access) -> None:
    if host_of(url) == host_of(settings.OCPI_PUBLIC_URL):
        raise ValueError("is our own")
    require_approved(url, approved_hosts=access.approved_hosts, require_https=settings.OUTBOUND_REQUIRE_HTTPS)


def _details_url(versions: Answer) -> str:
    if not isinstance(versions.data, list):
        raise _unusable()
    # Versions that we do not know are left out like broken entries (VER-10).
    known, _ = codec.decode_each(v221.Version, versions.data)
    for entry in known:
        if entry.version == VERSION:
            return entry.url
    raise OcpiError(StatusCode.UNSUPPORTED_VERSION, f"your platform does not offer version {VERSION}")


def _offers(details: Answer, access: Access) -> tuple[Offer, ...]:
    members = details.data if isinstance(details.data, dict) else {}
    entries = members.get("endpoints")
    if members.get("version", VERSION) != VERSION or not isinstance(entries, list):
        raise _unusable()
    known, _ = codec.decode_each(v221.Endpoint, entries)
    offers: dict[tuple[str, str], Offer] = {}
    for entry in known:
        # The role of the credentials endpoint means nothing, and some list it under both (VER-04).
        is_credentials = entry.identifier == v221.ModuleID.CREDENTIALS
        role = v221.InterfaceRole.SENDER if is_credentials else entry.role
        try:
            _require_callable(entry.url, access)
        except ValueError as error:
            log.warning("discovery.endpoint_refused module=%s reason=%s", entry.identifier, error)
            raise _unusable() from None
        offer = Offer(str(entry.identifier), str(role), entry.url)
        offers.setdefault((offer.module, offer.role), offer)
    return tuple(offers.values())


def _unusable() -> OcpiError:
    return OcpiError(StatusCode.CLIENT_API_UNUSABLE, UNUSABLE)
