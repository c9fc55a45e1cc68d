"""The backstop (delivery.md 4.11): what was sent is compared with what the partner holds, and what waits too long is told."""
