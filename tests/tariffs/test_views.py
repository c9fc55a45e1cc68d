"""The OCPI face of tariffs, through the whole stack."""

from typing import ClassVar

from roaming.models import Party
from tariffs.models import Tariff
from tariffs.services import put_tariff, set_visible
from tests.contracts import SenderContract
from tests.factories import tariff_object
from tests.partners import PartnerClient


class TestTariffs(SenderContract):
    """TAR-01."""

    path: ClassVar[str] = "/ocpi/2.2.1/sender/tariffs"
    # One to authenticate, one to read, one to count.
    list_queries: ClassVar[int] = 3

    def make(self, partner: PartnerClient, count: int) -> list[str]:
        ours = Party.objects.get(country_code="BE", party_id="YRD")
        shown: list[Tariff] = []
        for index in range(count):
            put_tariff(party=ours, tariff=tariff_object(id=f"GUEST-{index}"), now=self.at(index))
            shown.append(Tariff.objects.get(ocpi_id=f"GUEST-{index}"))
            assert partner.party is not None
            set_visible(party=partner.party, tariffs=shown, now=self.at(index))
        return [tariff.ocpi_id for tariff in shown]

    def test_the_chapter_has_no_single_tariffs_for_senders(self, partner: PartnerClient) -> None:
        """STS-07: an unknown URL below the root, with the envelope."""
        self.make(partner, 1)
        reply = partner.get(f"{self.path}/GUEST-0")
        assert (reply.http_status, reply.status_code, reply.data) == (404, 2000, None)

    def test_the_wire_form_of_a_tariff(self, partner: PartnerClient) -> None:
        """TAR-29: decimals as they were written."""
        self.make(partner, 1)
        reply = partner.get(self.path)
        assert (
            b'"elements":[{"price_components":[{"type":"ENERGY","price":0.45,"vat":21,"step_size":1}]}],'
            b'"last_updated":"2026-03-11T08:00:00Z"' in reply.body
        )
