"""Where partners pull CDRs; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from cdrs.views import CdrsView

sender = [path("", CdrsView.as_view())]
