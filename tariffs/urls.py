"""Where partners pull tariffs; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from tariffs.views import TariffsView

sender = [path("", TariffsView.as_view())]
