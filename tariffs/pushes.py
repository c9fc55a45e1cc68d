"""What partners are told about tariffs (chapter "Tariffs module", receiver interface)."""

from datetime import datetime

from roaming.models import Lane, Obligation, Platform
from roaming.pushes import Message, Push, register
from tariffs.models import TariffView
from tariffs.services import reword_views


class TariffPush(Push):
    """PUT of the whole tariff while the partner sees it (TAR-02), DELETE afterwards (TAR-03); there is no PATCH.

    In one lane with Locations, so that a tariff arrives before the Location that names it (LOC-14).
    """

    kind = "tariff"
    module = "tariffs"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The tariff as the partner sees it now; nothing when it never heard of one that is gone."""
        country_code, party_id, tariff_id = segments = tuple(obligation.object_key.split("/", 2))
        view = TariffView.objects.filter(
            party_id=obligation.party_id,
            tariff__party__country_code=country_code,
            tariff__party__party_id=party_id,
            tariff__ocpi_id=tariff_id,
        ).first()
        if view is not None:
            return Message(method="PUT", segments=segments, body=bytes(view.document))
        if obligation.confirmed_version == 0 and obligation.attempts == 0:
            return None
        return Message(method="DELETE", segments=segments)

    def reworded(self, platform: Platform, *, now: datetime) -> None:
        """The end of a day is written as the platform reads it."""
        reword_views(platform=platform, now=now)


register(TariffPush())
