"""django.contrib.sessions owns the label `sessions`; ours is `charging_sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "charging_sessions"
    verbose_name = "Charging sessions"
