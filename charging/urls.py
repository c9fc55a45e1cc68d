"""Where partners command us; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from charging.views import CommandView

receiver = [path("<str:command>", CommandView.as_view())]
