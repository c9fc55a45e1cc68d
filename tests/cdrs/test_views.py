"""The OCPI face of CDRs through the whole stack: the sealed bytes, to whom they concern."""

from datetime import datetime, timedelta
from typing import ClassVar

import pytest

from cdrs.models import CDR
from ocpi.scalars import write_datetime
from roaming import pushes
from roaming.models import Obligation
from tests.cdrs.rows import in_review, sealed, sealed_or_reviewed
from tests.contracts import SenderContract
from tests.partners import PartnerClient, a_partner
from tests.sessions.rows import bay, completed

PATH = "/ocpi/2.2.1/sender/cdrs"


class TestCdrs(SenderContract):
    """The PAG suite on CDRs."""

    path: ClassVar[str] = PATH
    list_queries: ClassVar[int] = 3

    def make(self, partner: PartnerClient, count: int) -> list[str]:
        assert partner.party is not None
        made = []
        for number in range(count):
            sealed_at: datetime = self.at(number)
            started_at = sealed_at - timedelta(hours=2, seconds=2)
            cdr = sealed_or_reviewed(
                completed(party=partner.party, evse=bay(number), started_at=started_at, now=started_at)
            )
            assert isinstance(cdr, CDR)
            made.append(cdr.ocpi_id)
        return made


pytestmark = pytest.mark.django_db


def test_the_served_bytes_are_the_sealed_and_the_sent_ones() -> None:
    """CDR-07, SYN-06: byte for byte, in the list and in the POST."""
    taxi = a_partner()
    assert taxi.party is not None
    cdr = sealed(party=taxi.party, evse=bay())
    reply = taxi.get(PATH)
    served = reply.body.partition(b'"data":[')[2].partition(b'],"status_code"')[0]
    sent = pushes.get("cdr").message(Obligation.objects.get(kind="cdr"), now=cdr.last_updated)
    assert sent is not None
    assert served == sent.body == bytes(cdr.body)


def test_two_partners_see_disjoint_lists() -> None:
    """CDR-01, B2, B3: the total is the caller's own as well."""
    taxi, couriers = a_partner(), a_partner("NL", "TNM")
    assert taxi.party is not None
    assert couriers.party is not None
    first = sealed(party=taxi.party, evse=bay(1))
    second = sealed(party=couriers.party, evse=bay(2))
    for client, cdr in ((taxi, first), (couriers, second)):
        reply = client.get(PATH)
        assert [each["id"] for each in reply.data] == [cdr.ocpi_id]
        assert reply.headers["X-Total-Count"] == "1"


def test_a_session_in_review_is_not_served() -> None:
    """money.md 2: never sent, neither by push nor by pull."""
    taxi = a_partner()
    assert taxi.party is not None
    in_review(party=taxi.party, evse=bay())
    reply = taxi.get(PATH)
    assert (reply.data, reply.headers["X-Total-Count"]) == ([], "0")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_a_cdr_cannot_be_written_by_anyone(method: str) -> None:
    """CDR-07, F7."""
    taxi = a_partner()
    assert taxi.party is not None
    cdr = sealed(party=taxi.party, evse=bay())
    reply = taxi.call(method, PATH, {"id": cdr.ocpi_id, "total_energy": 0})
    assert (reply.http_status, reply.headers["Allow"]) == (405, "GET")
    assert bytes(CDR.objects.get().body) == bytes(cdr.body)


def states() -> list[str]:
    return list(Obligation.objects.filter(kind="cdr").order_by("id").values_list("state", flat=True))


def test_a_cdr_is_served_when_its_puller_has_moved_past_it() -> None:
    """delivery.md 4.11: pull_only; an answered page alone proves nothing, the next request does."""
    taxi = a_partner(platform__cdr_mode="pull_only")
    assert taxi.party is not None
    cdrs = [sealed(party=taxi.party, evse=bay(number)) for number in range(1, 4)]
    taxi.get(PATH, limit="2")
    assert states() == ["PENDING", "PENDING", "PENDING"]
    taxi.get(PATH, limit="2", offset="2")
    assert states() == ["SERVED", "SERVED", "PENDING"]
    newest = write_datetime(cdrs[2].last_updated)
    taxi.get(PATH, date_from=newest)
    assert states() == ["SERVED", "SERVED", "PENDING"]
    taxi.get(PATH, date_from=write_datetime(cdrs[2].last_updated + timedelta(milliseconds=1)))
    assert states() == ["SERVED", "SERVED", "SERVED"]


def test_what_was_never_shown_is_not_served() -> None:
    """A puller that begins in the middle has not fetched what came before."""
    taxi = a_partner(platform__cdr_mode="pull_only")
    assert taxi.party is not None
    cdrs = [sealed(party=taxi.party, evse=bay(number)) for number in range(1, 4)]
    for _ in range(2):
        taxi.get(PATH, date_from=write_datetime(cdrs[1].last_updated))
        taxi.get(PATH, date_from="2099-01-01T00:00:00Z")
        taxi.get(PATH, offset="1")
    assert states() == ["PENDING", "PENDING", "PENDING"]


def test_pulling_proves_nothing_where_cdrs_are_pushed() -> None:
    """push_and_pull: only an acknowledgement ends a delivery."""
    taxi = a_partner()
    assert taxi.party is not None
    sealed(party=taxi.party, evse=bay())
    taxi.get(PATH)
    taxi.get(PATH, date_from="2099-01-01T00:00:00Z")
    assert states() == ["PENDING"]
