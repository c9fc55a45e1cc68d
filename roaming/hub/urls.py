"""Routes of the hub: HubClientInfo, and Receiver interfaces of parties of ours that are no CPO; mounted by ocpi/urls.py."""

from django.urls import path

from roaming.hub import receiver
from roaming.hub.clientinfo import ClientsView, ClientView

_OWNED = "<str:country_code>/<str:party_id>"
_locations = receiver.LocationsView.as_view()

clientinfo_sender = [path("", ClientsView.as_view())]
clientinfo_receiver = [path(_OWNED, ClientView.as_view())]
locations_receiver = [
    path(f"{_OWNED}/<str:location_id>", _locations),
    path(f"{_OWNED}/<str:location_id>/<str:evse_uid>", _locations),
    path(f"{_OWNED}/<str:location_id>/<str:evse_uid>/<str:connector_id>", _locations),
]
tariffs_receiver = [path(f"{_OWNED}/<str:tariff_id>", receiver.TariffsView.as_view())]
sessions_receiver = [path(f"{_OWNED}/<str:session_id>", receiver.SessionsView.as_view())]
cdrs_receiver = [
    path("", receiver.CdrsView.as_view()),
    path("<str:cdr_id>", receiver.CdrView.as_view()),
]
