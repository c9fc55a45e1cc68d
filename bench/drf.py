"""The usual way, for comparison: Django REST Framework with nested ModelSerializers over the same rows."""

from typing import Any

from django.urls import path
from rest_framework import generics, serializers
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer

from locations.models import EVSE, Connector, Location
from roaming.auth import CredentialsTokenAuthentication
from tokens.models import Token


class ConnectorSerializer(serializers.ModelSerializer[Connector]):
    class Meta:
        model = Connector
        fields = ("ocpi_id", "standard", "format", "power_type", "max_voltage", "max_amperage", "max_electric_power",
                  "last_updated")  # fmt: skip


class EvseSerializer(serializers.ModelSerializer[EVSE]):
    connectors = ConnectorSerializer(many=True)

    class Meta:
        model = EVSE
        fields = ("uid", "evse_id", "device_status", "capabilities", "parking_restrictions", "bay_label", "connectors")


class LocationSerializer(serializers.ModelSerializer[Location]):
    evses = EvseSerializer(many=True)

    class Meta:
        model = Location
        fields = ("ocpi_id", "name", "directions", "parking_type", "facilities", "evses")


class Pages(LimitOffsetPagination):
    max_limit = 1000


class LocationList(generics.ListAPIView[Location]):
    authentication_classes = (CredentialsTokenAuthentication,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    pagination_class = Pages
    serializer_class = LocationSerializer

    def get_queryset(self) -> Any:
        return (
            Location.objects.filter(partner_views__party=self.request.auth.party)
            .prefetch_related("evses__connectors")
            .order_by("id")
        )


class LocationDetail(generics.RetrieveAPIView[Location]):
    authentication_classes = (CredentialsTokenAuthentication,)
    renderer_classes = (JSONRenderer,)
    serializer_class = LocationSerializer
    lookup_field = "ocpi_id"

    def get_queryset(self) -> Any:
        return Location.objects.filter(partner_views__party=self.request.auth.party).prefetch_related(
            "evses__connectors"
        )


class TokenSerializer(serializers.ModelSerializer[Token]):
    class Meta:
        model = Token
        fields = ("uid", "type", "contract_id", "valid", "whitelist", "last_updated")


class TokenPut(generics.UpdateAPIView[Token]):
    authentication_classes = (CredentialsTokenAuthentication,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    serializer_class = TokenSerializer
    lookup_field = "uid"

    def get_object(self) -> Token:
        party, uid = self.request.auth.party, self.kwargs["uid"]
        known = Token.objects.filter(party=party, uid_key=uid.upper(), type="RFID").first()
        return known or Token(party=party, uid_key=uid.upper(), document=b"{}")

    def perform_update(self, serializer: Any) -> None:
        serializer.save()


urlpatterns = [
    path("drf/locations", LocationList.as_view()),
    path("drf/locations/<str:ocpi_id>", LocationDetail.as_view()),
    path("drf/tokens/<str:uid>", TokenPut.as_view()),
]
