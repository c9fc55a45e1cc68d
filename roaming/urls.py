"""Routes of our configuration modules."""

from django.urls import path

from roaming.credentials import CredentialsView
from roaming.versions import DetailsView, VersionsView

versions = [path("", VersionsView.as_view())]
details = [path("", DetailsView.as_view())]
credentials = [path("", CredentialsView.as_view())]
