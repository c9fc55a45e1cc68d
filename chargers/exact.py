"""JSON of OCPP payloads in the database: numbers keep their digits, as they do on the wire. [pure]

OCPP allows one decimal in a limit. A double holds that, and PostgreSQL stores the text of it; read back it must be a
Decimal, as the schemas divide it by 0.1.
"""

import json
from decimal import Decimal
from typing import Any


class ExactEncoder(json.JSONEncoder):
    """Writes a Decimal as the number that it is."""

    def default(self, value: Any) -> Any:
        """Return what stands for a value that JSON does not know."""
        return float(value) if isinstance(value, Decimal) else super().default(value)


class ExactDecoder(json.JSONDecoder):
    """Reads numbers with a point as Decimal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "parse_float": Decimal})
