"""The usual way, for comparison: Django REST Framework with nested ModelSerializers over the same rows.

It answers the same objects (bench/serving.py compares them), with the same rules where a partner's grants decide what
is shown. Token and party come with one query, Locations with five.
"""

import base64
from functools import cache
from typing import Any, TypeVar

from django.db.models import Model, Prefetch
from django.urls import path
from django.utils import timezone
from rest_framework import authentication, exceptions, generics, serializers
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from locations.models import EVSE, Connector, Depot, Location, PartnerView
from locations.publication import status_schedule
from locations.publishing import read_publication
from locations.render import shown_status
from locations.wire import LANGUAGE, bay_state
from ocpi import codec, v221
from roaming.models import CredentialsToken, Party
from roaming.secrets import hash_token
from sessions.models import Session
from tokens.models import Token


class TokenAuthentication(authentication.BaseAuthentication):
    """As DRF's own: one look-up by the token, with what belongs to it."""

    def authenticate(self, request: Request) -> tuple[None, Party]:
        """The party of a token."""
        encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[2]
        token = CredentialsToken.objects.filter(
            hash=hash_token(base64.b64decode(encoded).decode()), revoked_at=None
        )
        party = Party.objects.select_related("platform").filter(platform__inbound_tokens__in=token).first()
        if party is None:
            raise exceptions.AuthenticationFailed
        return None, party


class ConnectorSerializer(serializers.ModelSerializer[Connector]):
    """A connector."""

    id = serializers.CharField(source="ocpi_id")
    tariff_ids = serializers.ListField(child=serializers.CharField(), source="evse.location.shown.tariff_ids")
    last_updated = serializers.DateTimeField(source="evse.location.view.last_updated")

    class Meta:
        model = Connector
        fields = ("id", "standard", "format", "power_type", "max_voltage", "max_amperage", "max_electric_power",
                  "tariff_ids", "last_updated")  # fmt: skip


class StatusScheduleSerializer(serializers.Serializer[v221.StatusSchedule]):
    """When an EVSE will be open."""

    period_begin = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    status = serializers.CharField()


class EvseSerializer(serializers.ModelSerializer[EVSE]):
    """An EVSE with its connectors."""

    status = serializers.SerializerMethodField()
    status_schedule = StatusScheduleSerializer(many=True, source="location.schedule")
    physical_reference = serializers.CharField(source="bay_label")
    last_updated = serializers.DateTimeField(source="location.view.last_updated")
    connectors = ConnectorSerializer(many=True)

    class Meta:
        model = EVSE
        fields = ("uid", "evse_id", "status", "status_schedule", "capabilities", "connectors", "physical_reference",
                  "parking_restrictions", "last_updated")  # fmt: skip

    def get_status(self, row: EVSE) -> str:
        """The status as this partner sees it."""
        place: Any = row.location
        return shown_status(bay_state(row), place.shown, viewer=place.view.party_id, at=timezone.now())


class CoordinatesSerializer(serializers.ModelSerializer[Depot]):
    """Where a depot is."""

    class Meta:
        model = Depot
        fields = ("latitude", "longitude")


class RegularHoursSerializer(serializers.Serializer[v221.RegularHours]):
    """One weekly opening."""

    weekday = serializers.IntegerField()
    period_begin = serializers.CharField()
    period_end = serializers.CharField()


class PeriodSerializer(serializers.Serializer[v221.ExceptionalPeriod]):
    """One opening or closing out of the rule."""

    period_begin = serializers.DateTimeField()
    period_end = serializers.DateTimeField()


class HoursSerializer(serializers.Serializer[v221.Hours]):
    """Opening hours."""

    twentyfourseven = serializers.BooleanField()
    regular_hours = RegularHoursSerializer(many=True)
    exceptional_openings = PeriodSerializer(many=True)
    exceptional_closings = PeriodSerializer(many=True)


class LocationSerializer(serializers.ModelSerializer[Location]):
    """A Location with its EVSEs."""

    id = serializers.CharField(source="ocpi_id")
    country_code = serializers.CharField(source="depot.operator.country_code")
    party_id = serializers.CharField(source="depot.operator.party_id")
    address = serializers.CharField(source="depot.address")
    city = serializers.CharField(source="depot.city")
    postal_code = serializers.CharField(source="depot.postal_code")
    country = serializers.CharField(source="depot.country")
    coordinates = CoordinatesSerializer(source="depot")
    time_zone = serializers.CharField(source="depot.time_zone")
    publish = serializers.BooleanField(source="shown.publish")
    directions = serializers.SerializerMethodField()
    opening_times = HoursSerializer(source="shown.opening_times")
    charging_when_closed = serializers.BooleanField(source="shown.charging_when_closed")
    last_updated = serializers.DateTimeField(source="view.last_updated")
    evses = EvseSerializer(many=True)

    class Meta:
        model = Location
        fields = ("country_code", "party_id", "id", "publish", "name", "address", "city", "postal_code", "country",
                  "coordinates", "parking_type", "evses", "directions", "facilities", "time_zone", "opening_times",
                  "charging_when_closed", "last_updated")  # fmt: skip

    def get_directions(self, row: Location) -> list[dict[str, str]]:
        """Our one language."""
        return [{"language": LANGUAGE, "text": row.directions}] if row.directions else []

    def to_representation(self, instance: Any) -> Any:
        """Read once per Location what the partner's grants say."""
        [instance.view] = instance.mine
        instance.shown = read_publication(bytes(instance.view.publication))
        instance.schedule = status_schedule(instance.shown, timezone.now())
        return super().to_representation(instance)


class PriceSerializer(serializers.ModelSerializer[Session]):
    """What a session costs so far."""

    excl_vat = serializers.DecimalField(source="total_cost", max_digits=12, decimal_places=2)
    incl_vat = serializers.DecimalField(source="total_cost_incl_vat", max_digits=12, decimal_places=2)

    class Meta:
        model = Session
        fields = ("excl_vat", "incl_vat")


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A session; what is stored as JSON is read and written again."""

    country_code = serializers.CharField(source="own_party.country_code")
    party_id = serializers.CharField(source="own_party.party_id")
    start_date_time = serializers.DateTimeField(source="started_at")
    end_date_time = serializers.DateTimeField(source="ended_at")
    cdr_token = serializers.SerializerMethodField()
    charging_periods = serializers.SerializerMethodField()
    location_id = serializers.CharField(source="location.ocpi_id")
    evse_uid = serializers.CharField(source="evse.uid")
    total_cost = PriceSerializer(source="*")

    class Meta:
        model = Session
        fields = ("country_code", "party_id", "id", "start_date_time", "end_date_time", "kwh", "cdr_token", "auth_method",
                  "authorization_reference", "location_id", "evse_uid", "connector_id", "currency",
                  "charging_periods", "total_cost", "status", "last_updated")  # fmt: skip

    def get_cdr_token(self, row: Session) -> Any:
        """The stored JSON as objects."""
        return codec.parse(bytes(row.cdr_token))

    def get_charging_periods(self, row: Session) -> Any:
        """The stored JSON as objects."""
        return codec.parse(bytes(row.charging_periods))


class TokenSerializer(serializers.ModelSerializer[Token]):
    """A token as it is put."""

    class Meta:
        model = Token
        fields = ("uid", "type", "contract_id", "valid", "whitelist", "last_updated")


class Pages(LimitOffsetPagination):
    """OCPI's limit and offset."""

    max_limit = 1000


_Row = TypeVar("_Row", bound=Model)


class _View(generics.GenericAPIView[_Row]):
    authentication_classes = (TokenAuthentication,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    pagination_class = Pages


class LocationList(_View[Location], generics.ListAPIView[Location]):
    """GET locations: as many queries for a large page as for a small one."""

    serializer_class = LocationSerializer

    def get_queryset(self) -> Any:
        """The Locations that this party sees."""
        viewer: Any = self.request.auth
        rows = Location.objects.filter(partner_views__party=viewer)
        mine = PartnerView.objects.filter(party=viewer).defer("document")
        shown = Prefetch("partner_views", mine, to_attr="mine")
        return (
            rows.select_related("depot__operator").prefetch_related("evses__connectors", shown).order_by("id")
        )


class SessionList(_View[Session], generics.ListAPIView[Session]):
    """GET sessions."""

    serializer_class = SessionSerializer

    def get_queryset(self) -> Any:
        """The sessions that this party pays for."""
        payer: Any = self.request.auth
        rows = Session.objects.filter(party=payer).order_by("created_at", "id")
        return rows.select_related("own_party", "location", "evse")


class TokenPut(_View[Token], generics.UpdateAPIView[Token]):
    """PUT of a token."""

    serializer_class = TokenSerializer

    def get_object(self) -> Token:
        """The token that is known, or a new one."""
        key: dict[str, Any] = {
            "own_party_id": _operator_id(),
            "party": self.request.auth,
            "uid_key": self.kwargs["uid"].upper(),
        }
        known = Token.objects.filter(**key, type=v221.TokenType.RFID.value).first()
        return known or Token(**key, document=b"{}")


@cache
def _operator_id() -> int:
    """The one operator of the installation that is measured: no query per request."""
    return Party.objects.get(platform=None).pk


urlpatterns = [
    path("drf/locations", LocationList.as_view()),
    path("drf/sessions", SessionList.as_view()),
    path("drf/tokens/<str:uid>", TokenPut.as_view()),
]
