"""An app whose pushes are those of the delivery tests."""
