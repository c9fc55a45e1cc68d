"""OCPP 1.6-J gateway: connections (no Django), the handlers over our rows, and a simulated charge point."""
