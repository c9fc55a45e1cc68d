"""All URLs: the OCPI face, the admin, and a health check."""

from django.contrib import admin
from django.urls import include, path

from access.views import DecisionView
from config.health import health
from config.openapi import openapi
from ocpi.urls import mounted
from roaming import urls as roaming_urls

urlpatterns = [
    path("admin/", admin.site.urls),
    path("health", health),
    *mounted("ocpi/versions", roaming_urls.versions),
    *mounted("ocpi/2.2.1", roaming_urls.details),
    path("ocpi/2.2.1/openapi.json", openapi),
    path("ocpi/decisions/<str:ref>", DecisionView.as_view()),
    path("ocpi/", include("ocpi.urls")),
]
