"""Routes of the HubClientInfo module; mounted by ocpi/urls.py."""

from django.urls import path

from roaming.hub.clientinfo import ClientsView, ClientView

clientinfo_sender = [path("", ClientsView.as_view())]
clientinfo_receiver = [path("<str:country_code>/<str:party_id>", ClientView.as_view())]
