"""Our platform and a partner platform, each behind a real socket."""

from tests.partner_platform import partner, yardgate

__all__ = ["partner", "yardgate"]
