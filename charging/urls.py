"""Where partners command us and limit their sessions; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from charging.profile_views import ChargingProfileView
from charging.views import CommandView

receiver = [path("<str:command>", CommandView.as_view())]
profiles = [path("<str:session_id>", ChargingProfileView.as_view())]
