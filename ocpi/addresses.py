"""Which network addresses and URLs may be called: the wall against server-side request forgery. [pure]"""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS = 255
"""Length of an OCPI URL (chapter "Types")."""
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL_TEXT = re.compile(r"[!-~]+", re.ASCII)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?", re.ASCII)
# Only this block of IPv6 is handed out for use on the internet; all tunnels into IPv4 are named below.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2002::/16", "2001::/23", "2001:db8::/32", "3fff::/20", "64:ff9b::/96", "64:ff9b:1::/48")
)
# The anycast relay of 6to4, and what is_global of some Python releases lets through.
_REFUSED_V4 = tuple(ipaddress.IPv4Network(text) for text in ("192.88.99.0/24", "192.0.0.0/24"))


class Origin(NamedTuple):
    """Scheme, host (lower case, no dot at its end, no brackets) and port of a URL."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return host, and the port where it is not the scheme's own: the form of ``approved_hosts``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def origin(url: str) -> Origin:
    """Return where a URL points.

    Raises ValueError, with a text that can be shown, for: other schemes than http and https, user names,
    fragments, control or non-ASCII characters, hosts that are no host.
    """
    if not _URL_TEXT.fullmatch(url) or "\\" in url:
        raise ValueError("holds a character that a URL cannot have")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise ValueError("must be an absolute http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not name a user")
    if parts.fragment or url.endswith("#"):
        raise ValueError("must not have a fragment")
    if not _is_host(host, bracketed="[" in parts.netloc):
        raise ValueError("names no usable host")
    return Origin(parts.scheme, host.rstrip("."), port or DEFAULT_PORTS[parts.scheme])


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the internet at large.

    Private, loopback, link-local, shared, documentation, multicast and reserved addresses do not, nor do
    the tunnels that carry an IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64).
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _GLOBAL_UNICAST or any(address in network for network in _REFUSED_V6):
            return False
    elif any(address in network for network in _REFUSED_V4):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def is_local(address: Address) -> bool:
    """Tell whether an address is of this machine or a private network, and none of the special ones.

    These are what a developer's partners use; the addresses of cloud metadata services never count.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return is_local(address.ipv4_mapped)
    special = address.is_link_local or address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_loopback or (address.is_private and not special)


def _is_host(host: str, *, bracketed: bool) -> bool:
    if not bracketed:
        return len(host) <= 253 and _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host
