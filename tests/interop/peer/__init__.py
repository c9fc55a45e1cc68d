"""An eMSP on the library `extrawest-ocpi`, as somebody else would build one; it runs in its own environment."""
