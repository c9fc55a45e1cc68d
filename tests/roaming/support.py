"""What handshake tests compare: everything that is stored about partners, but for when somebody was last seen."""

from typing import Any

from roaming.models import CredentialsToken, Endpoint, Party, Platform

_FLEETING = {"last_used_at", "last_seen_at"}


def snapshot() -> dict[str, list[dict[str, Any]]]:
    """Return all rows about platforms; equal before and after means that nothing changed."""
    return {
        model.__name__: [
            {name: _comparable(value) for name, value in row.items() if name not in _FLEETING}
            for row in model.objects.order_by("pk").values()
        ]
        for model in (Platform, Party, CredentialsToken, Endpoint)
    }


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
