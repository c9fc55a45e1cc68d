"""Registers the pushes of the delivery tests in a process of its own."""

from tests.roaming.deliveries import FACTS

FACTS.cdrs |= {
    key: b'{"country_code": "BE", "party_id": "YRD", "id": "%s", "total_cost": {"excl_vat": 12.1}, "currency": "EUR"}'
    % key.encode()
    for key in ("CDR-1", "CDR-2")
}
