"""What we say about ourselves (chapters "Versions module" and "Credentials module")."""

import hashlib

from django.conf import settings

from ocpi import codec, v221
from ocpi.interfaces import ROOT, V221_INTERFACES
from ocpi.status import OcpiError, StatusCode
from roaming.models import Party

VERSION = v221.VersionNumber.V2_2_1


def versions_url() -> str:
    """Return the URL that we hand out and announce; never made from a Host header (VER-14)."""
    return f"{settings.OCPI_PUBLIC_URL}{ROOT}/versions"


def versions() -> list[v221.Version]:
    """Return the versions that we serve; the deprecated ones are not among them (VER-12)."""
    return [v221.Version(version=VERSION, url=f"{settings.OCPI_PUBLIC_URL}{ROOT}/{VERSION}")]


def details() -> v221.VersionDetails:
    """Return the endpoints of this installation, one for each entry of OCPI_INTERFACES (VER-03, VER-07)."""
    return v221.VersionDetails(
        version=VERSION,
        endpoints=tuple(
            v221.Endpoint(
                identifier=v221.ModuleID(module),
                role=v221.InterfaceRole(role),
                url=settings.OCPI_PUBLIC_URL + V221_INTERFACES[module, role].path,
            )
            for module, role in settings.OCPI_INTERFACES
        ),
    )


def hub() -> Party | None:
    """Return the party in whose name this installation is a hub; None where it is none."""
    return Party.objects.filter(platform=None, is_active=True, role=v221.Role.HUB).order_by("pk").first()


def operators() -> list[Party]:
    """Return the CPO parties that are hosted here: whoever runs depots, with or without a hub."""
    return list(Party.objects.filter(platform=None, is_active=True, role=v221.Role.CPO.value))


def parties() -> list[Party]:
    """Return the parties that we announce: with a hub, the hub only (CRD-06, CRD-07)."""
    own = list(Party.objects.filter(platform=None, is_active=True))
    hubs = [party for party in own if party.role == v221.Role.HUB]
    return hubs or own


def credentials(token: str) -> v221.Credentials:
    """Return our credentials object with a token for the partner.

    Raises OcpiError 3000 when no party of ours has been set up (`manage.py add_party`).
    """
    roles = tuple(
        v221.CredentialsRole(
            role=v221.Role(party.role),
            business_details=v221.BusinessDetails(name=party.name, website=party.website or None),
            party_id=party.party_id,
            country_code=party.country_code,
        )
        for party in parties()
    )
    if not roles:
        raise OcpiError(StatusCode.SERVER_ERROR, "this platform has no party yet")
    return v221.Credentials(token=token, url=versions_url(), roles=roles)


def announcement() -> str:
    """Return a digest of all that a partner learns in a handshake: when it changes they are told (CRD-35)."""
    told = codec.encode([versions(), details(), credentials("-")])
    return hashlib.sha256(told).hexdigest()
