"""Our tariffs."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now, Upper

from roaming.models import Party


class Tariff(models.Model):
    """One tariff of one of our parties, as it was last accepted (mod_tariffs)."""

    party = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="tariffs", help_text="Our CPO party."
    )
    ocpi_id = models.CharField(max_length=36)
    name = models.CharField(max_length=100, blank=True, help_text="For the operator's eyes only.")
    currency = models.CharField(max_length=3)
    document = models.BinaryField(help_text="The v221.Tariff as JSON bytes.")
    content_sha256 = models.BinaryField(help_text="Of the document without last_updated.")
    is_withdrawn = models.BooleanField(default=False, help_text="Withdrawn: no grant can name it any more.")
    last_updated = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint("party", Upper("ocpi_id"), name="tariff_unique")]

    def __str__(self) -> str:
        return self.name or self.ocpi_id


class TariffView(models.Model):
    """One partner party may see this tariff because one of its grants names it."""

    tariff = models.ForeignKey(Tariff, on_delete=models.CASCADE, related_name="views")
    party = models.ForeignKey(Party, on_delete=models.CASCADE, related_name="tariff_views")
    document = models.BinaryField(help_text="The v221.Tariff as JSON bytes, as lists and pushes give it out.")
    last_updated = models.DateTimeField(
        help_text="When this partner's view of the tariff last changed (grant or content); as in the document."
    )

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tariff", "party"], name="tariff_view_unique")
        ]
        indexes: ClassVar = [
            models.Index(fields=["party", "id"], name="tariff_view_page"),
            models.Index(fields=["party", "last_updated"], name="tariff_view_delta"),
        ]

    def __str__(self) -> str:
        return f"{self.tariff} for {self.party}"
