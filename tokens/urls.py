"""Where partners put their tokens; mounted by ocpi/urls.py from OCPI_INTERFACES."""

from django.urls import path

from tokens.views import TokensView

receiver = [path("<str:country_code>/<str:party_id>/<str:token_uid>", TokensView.as_view())]
