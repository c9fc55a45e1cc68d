"""Where partners pull sessions; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from sessions.views import ChargingPreferencesView, SessionsView

sender = [
    path("", SessionsView.as_view()),
    path("<str:session_id>/charging_preferences", ChargingPreferencesView.as_view()),
]
