"""Which hosts a partner's URLs may lie on: our token for a partner goes nowhere else (T15, O3, O6). [pure]"""

from collections.abc import Iterable

from ocpi.addresses import MAX_URL_CHARS, origin


def host_of(url: str) -> str:
    """Return the host of a URL as it is kept in ``approved_hosts``: with the port where it is not the usual.

    Raises ValueError, with a text that can be shown, when the URL is none that we could call.
    """
    _require_short(url)
    return str(origin(url))


def require_approved(url: str, *, approved_hosts: Iterable[str], require_https: bool) -> None:
    """Refuse a URL that is not the partner's.

    An approved ``ocpi.example.com`` covers this host at the usual port only, ``ocpi.example.com:8443`` at
    that one. Raises ValueError with a text that can be shown.
    """
    _require_short(url)
    require_approved_host(url, approved_hosts=approved_hosts, require_https=require_https)


def require_approved_host(url: str, *, approved_hosts: Iterable[str], require_https: bool) -> None:
    """As ``require_approved``, for URLs that were made in a conversation and may be of any length."""
    host = str(origin(url))
    if require_https and not url.lower().startswith("https://"):
        raise ValueError("must be https")
    if host not in {approved.lower() for approved in approved_hosts}:
        raise ValueError(f"host {host} is not agreed for this connection")


def is_approved(url: str, *, approved_hosts: Iterable[str], require_https: bool) -> bool:
    """Tell whether a URL is the partner's; see ``require_approved``."""
    return len(url) <= MAX_URL_CHARS and is_on_approved_host(
        url, approved_hosts=approved_hosts, require_https=require_https
    )


def is_on_approved_host(url: str, *, approved_hosts: Iterable[str], require_https: bool) -> bool:
    """Tell whether a URL of any length lies on a host of the partner."""
    try:
        require_approved_host(url, approved_hosts=approved_hosts, require_https=require_https)
    except ValueError:
        return False
    return True


def _require_short(url: str) -> None:
    if len(url) > MAX_URL_CHARS:
        raise ValueError(f"is longer than {MAX_URL_CHARS} characters")
