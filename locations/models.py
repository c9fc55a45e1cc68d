"""Depots, their bay pools (OCPI Locations), EVSEs and connectors, and the published document per partner."""

import uuid
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from locations.validators import IanaZone, Words
from ocpi import v221
from roaming.dialect import NACS
from roaming.models import Party

# In upper case, as ids ignore case; and nothing that JSON or a URL would have to escape.
ID_PATTERN = r"^[A-Z0-9._*-]+$"


def random_id() -> str:
    """Return an id that tells nothing about the hardware and is never given twice (B21, LOC-08)."""
    return str(uuid.uuid4()).upper()


def _choices(enum: type) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]  # type: ignore[attr-defined]  # a StrEnum class


class Depot(models.Model):
    """One physical site with one clock, run by one of our CPO parties."""

    operator = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="depots", help_text="Our CPO party."
    )
    code = models.SlugField(max_length=36, unique=True)
    name = models.CharField(max_length=100)
    fleet_name = models.CharField(max_length=100, blank=True, help_text="The fleet that lives here.")
    time_zone = models.CharField(
        max_length=64, validators=[IanaZone()], help_text="IANA name, e.g. Europe/Brussels."
    )
    address = models.CharField(max_length=45)
    city = models.CharField(max_length=45)
    postal_code = models.CharField(max_length=10, blank=True)
    country = models.CharField(max_length=3, help_text="ISO 3166-1 alpha-3, e.g. BEL.")
    latitude = models.DecimalField(
        max_digits=9, decimal_places=6, validators=[MinValueValidator(-90), MaxValueValidator(90)]
    )
    longitude = models.DecimalField(
        max_digits=9, decimal_places=6, validators=[MinValueValidator(-180), MaxValueValidator(180)]
    )
    is_closed_to_guests = models.BooleanField(
        default=False, help_text="Kill switch: no guest may start anywhere on this site."
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(country__regex=r"^[A-Z]{3}$"),
                name="depot_country_alpha_3",
                violation_error_message="country: three capital letters of ISO 3166-1, e.g. BEL.",
            ),
            models.CheckConstraint(
                condition=models.Q(latitude__range=(-90, 90), longitude__range=(-180, 180)),
                name="depot_on_earth",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Location(models.Model):
    """One bay pool of a depot: EVSEs with the same physical access and publication rule (mod_locations)."""

    depot = models.ForeignKey(Depot, on_delete=models.PROTECT, related_name="locations")
    ocpi_id = models.CharField(
        max_length=36,
        default=random_id,
        editable=False,
        help_text="Never changes once published.",
    )
    name = models.CharField(max_length=255)
    directions = models.CharField(max_length=512, blank=True, help_text="How a guest finds the bays.")
    parking_type = models.CharField(max_length=20, blank=True, choices=_choices(v221.ParkingType))
    facilities = models.JSONField(default=list, blank=True, validators=[Words(v221.Facility)])

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ocpi_id"], name="location_id_unique"),
            models.CheckConstraint(condition=models.Q(ocpi_id__regex=ID_PATTERN), name="location_id_form"),
        ]
        verbose_name = "location (bay pool)"
        verbose_name_plural = "locations (bay pools)"

    def __str__(self) -> str:
        return self.name


class EVSE(models.Model):
    """One bay: it serves one vehicle at a time. Uids are random and never reused (B21, LOC-08)."""

    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="evses")
    uid = models.CharField(max_length=36, unique=True, default=random_id, editable=False)
    evse_id = models.CharField(max_length=48, help_text="eMI3 id that drivers read, e.g. BE*YRD*E0001.")
    bay_label = models.CharField(max_length=16, blank=True, help_text="Painted on the ground.")
    station_identity = models.CharField(max_length=48, help_text="OCPP identity of the charging station.")
    ocpp_connector = models.PositiveSmallIntegerField(default=1, help_text="Connector number at the station.")
    capabilities = models.JSONField(default=list, blank=True, validators=[Words(v221.Capability)])
    parking_restrictions = models.JSONField(
        default=list, blank=True, validators=[Words(v221.ParkingRestriction)]
    )
    device_status = models.CharField(
        max_length=12, choices=_choices(v221.Status), default=v221.Status.UNKNOWN.value, editable=False
    )
    device_status_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The station's own time of that report."
    )
    ocpp_status = models.CharField(
        max_length=20, blank=True, editable=False, help_text="The station's own word, e.g. Preparing."
    )
    is_online = models.BooleanField(default=False, editable=False)
    offline_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the station was lost; later shown as UNKNOWN."
    )
    serving_party = models.ForeignKey(
        Party,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Partner whose session is live here; that partner sees CHARGING whatever the mask.",
    )
    is_reserved = models.BooleanField(
        default=False,
        editable=False,
        help_text="A partner's driver has it reserved: everybody sees RESERVED, whatever the station can say.",
    )
    is_removed = models.BooleanField(default=False, help_text="Final: shown as REMOVED for ever.")

    class Meta:
        verbose_name = "EVSE (bay)"
        verbose_name_plural = "EVSEs (bays)"
        ordering: ClassVar = ["location", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["station_identity", "ocpp_connector"],
                condition=models.Q(is_removed=False),
                name="evse_one_per_station_connector",
            ),
            models.CheckConstraint(condition=models.Q(uid__regex=ID_PATTERN), name="evse_uid_form"),
        ]

    def __str__(self) -> str:
        return self.bay_label or self.evse_id


class Connector(models.Model):
    """One plug or socket of an EVSE."""

    evse = models.ForeignKey(EVSE, on_delete=models.CASCADE, related_name="connectors")
    ocpi_id = models.CharField(max_length=36)
    standard = models.CharField(
        max_length=30,
        choices=[*_choices(v221.ConnectorType), (NACS, f"{NACS} (NACS)")],
        help_text="NACS is no word of OCPI 2.2.1: each partner is shown what its platform is set to.",
    )
    format = models.CharField(max_length=6, choices=_choices(v221.ConnectorFormat))
    power_type = models.CharField(max_length=18, choices=_choices(v221.PowerType))
    max_voltage = models.PositiveIntegerField(help_text="V, line to neutral for three phases.")
    max_amperage = models.PositiveIntegerField(help_text="A.")
    max_electric_power = models.PositiveIntegerField(
        null=True, blank=True, help_text="W, when below volts × amperes."
    )

    class Meta:
        ordering: ClassVar = ["evse", "ocpi_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["evse", "ocpi_id"], name="connector_unique")]

    def __str__(self) -> str:
        return f"{self.evse} / {self.ocpi_id}"


class PartnerView(models.Model):
    """The published document of one Location for one partner party: what lists, objects and pushes all serve.

    The bytes change only together with `last_updated` and the obligation to tell the partner, in one transaction.
    """

    # The indexes below lead with the party. Each index less makes a status cheaper: it is written once per partner.
    party = models.ForeignKey(
        Party,
        on_delete=models.PROTECT,
        db_index=False,
        related_name="partner_views",
        help_text="The partner that sees this.",
    )
    own_party = models.ForeignKey(
        Party,
        on_delete=models.PROTECT,
        db_index=False,
        related_name="+",
        help_text="The operator of the depot, which publishes it.",
    )
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="partner_views")
    publication = models.BinaryField(
        help_text="The locations.publication.Publication that access decided on."
    )
    document = models.BinaryField(help_text="The v221.Location as JSON bytes.")
    last_updated = models.DateTimeField(help_text="The one inside the document.")
    next_edge_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The document is exact until then; afterwards it is rendered again first.",
    )
    is_ended = models.BooleanField(
        default=False, help_text="The last grant has ended; EVSEs show as REMOVED."
    )

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["party", "location"], name="partner_view_unique")
        ]
        # None on last_updated: a change of status then stays within its page of the table (a "HOT" update).
        indexes: ClassVar = [
            models.Index(fields=["party", "own_party", "id"], name="partner_view_page"),
            models.Index(fields=["party", "own_party", "next_edge_at"], name="partner_view_due_of_party"),
            models.Index(fields=["next_edge_at"], name="partner_view_due"),
        ]

    def __str__(self) -> str:
        return f"{self.location} as {self.party} sees it"
