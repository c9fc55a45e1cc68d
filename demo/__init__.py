"""The other side of the wire: a partner platform that speaks real OCPI. It imports nothing of the product."""
