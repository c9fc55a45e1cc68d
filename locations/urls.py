"""Where partners pull Locations; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from locations.views import LocationsView

sender = [
    path("", LocationsView.as_view()),
    path("<str:location_id>", LocationsView.as_view()),
    path("<str:location_id>/<str:evse_uid>", LocationsView.as_view()),
    path("<str:location_id>/<str:evse_uid>/<str:connector_id>", LocationsView.as_view()),
]
