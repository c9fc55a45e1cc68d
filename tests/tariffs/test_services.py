"""Accepting tariffs, showing them to partners and withdrawing them."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connections, transaction
from msgspec.structs import replace

from ocpi import codec, v221
from roaming.models import Obligation, Party
from tariffs.models import Tariff, TariffView
from tariffs.services import TariffRefused, put_tariff, set_visible, withdraw_tariff
from tests.factories import MORNING, OwnPartyFactory, tariff_object
from tests.partners import a_partner

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def ours() -> Party:
    return OwnPartyFactory()


@pytest.fixture
def taxi(ours: Party) -> Party:
    party = a_partner().party
    assert party is not None
    return party


def accepted(ours: Party, id_: str = "GUEST", **changes) -> Tariff:
    put_tariff(party=ours, tariff=tariff_object(id=id_, **changes), now=MORNING)
    return Tariff.objects.get(ocpi_id=id_)


def price(euros: str) -> tuple[v221.TariffElement, ...]:
    component = v221.PriceComponent(
        type=v221.TariffDimensionType.ENERGY, price=Decimal(euros), vat=Decimal(21), step_size=1
    )
    return (v221.TariffElement(price_components=(component,)),)


def owed(party: Party) -> list[tuple[str, str, bool]]:
    rows = Obligation.objects.filter(party=party, state="PENDING").order_by("object_key")
    return [(row.kind, row.object_key, row.force_put) for row in rows]


def delivered() -> None:
    for row in Obligation.objects.all():
        row.state, row.confirmed_version, row.force_put = "ACKED", row.wanted_version, False
        row.save()


def test_a_tariff_is_kept_with_a_stamp_of_ours(ours: Party) -> None:
    tariff = accepted(ours, last_updated=MORNING - HOUR)
    assert codec.decode_bytes(v221.Tariff, bytes(tariff.document)) == tariff_object(last_updated=MORNING)
    assert (tariff.last_updated, tariff.currency, tariff.is_withdrawn) == (MORNING, "EUR", False)


def test_equal_content_moves_nothing(ours: Party, taxi: Party) -> None:
    """LOC-05 for tariffs: also with another stamp in the object; a new name is ours alone."""
    tariff = accepted(ours)
    set_visible(party=taxi, tariffs=[tariff], now=MORNING)
    delivered()
    again = tariff_object(last_updated=MORNING + HOUR)
    assert put_tariff(party=ours, tariff=again, name="Guests", now=MORNING + HOUR) is False
    row = Tariff.objects.get()
    assert (row.last_updated, row.name) == (MORNING, "Guests")
    assert TariffView.objects.get().last_updated == MORNING
    assert owed(taxi) == []


def test_new_content_reaches_every_view_and_is_owed_as_a_whole(ours: Party, taxi: Party) -> None:
    """TAR-02."""
    vans = a_partner("DE", "FRE", platform__name="Freie Fahrt").party
    tariff = accepted(ours)
    set_visible(party=taxi, tariffs=[tariff], now=MORNING)
    delivered()
    dearer = tariff_object(elements=price("0.55"))
    assert put_tariff(party=ours, tariff=dearer, now=MORNING + HOUR) is True
    view = TariffView.objects.get()
    assert codec.decode_bytes(v221.Tariff, bytes(view.document)) == replace(
        dearer, last_updated=MORNING + HOUR
    )
    assert view.last_updated == MORNING + HOUR
    assert owed(taxi) == [("tariff", "BE/YRD/GUEST", True)]
    assert owed(vans) == []


def test_stamps_rise_when_the_clock_steps_back(ours: Party) -> None:
    accepted(ours)
    put_tariff(party=ours, tariff=tariff_object(elements=price("0.55")), now=MORNING - HOUR)
    assert Tariff.objects.get().last_updated == MORNING + timedelta(milliseconds=1)


def test_a_tariff_that_the_linter_refuses_changes_nothing(ours: Party, taxi: Party) -> None:
    tariff = accepted(ours)
    set_visible(party=taxi, tariffs=[tariff], now=MORNING)
    delivered()
    before = (Tariff.objects.values().get(), TariffView.objects.values().get())
    broken = tariff_object(currency="XXX")
    with pytest.raises(TariffRefused, match="XXX") as refusal:
        put_tariff(party=ours, tariff=broken, now=MORNING + HOUR)
    assert [finding.severity for finding in refusal.value.findings] == ["error"]
    assert (Tariff.objects.values().get(), TariffView.objects.values().get()) == before
    assert owed(taxi) == []


def test_a_tariff_in_the_name_of_somebody_else_is_refused(ours: Party) -> None:
    with pytest.raises(TariffRefused, match="must be BE-YRD"):
        accepted(ours, party_id="EMS")
    assert Tariff.objects.count() == 0


def test_ids_ignore_case(ours: Party) -> None:
    """TYP-01: `guest` is the tariff GUEST in a new state; two rows are impossible."""
    accepted(ours)
    put_tariff(party=ours, tariff=tariff_object(id="guest", elements=price("0.55")), now=MORNING + HOUR)
    row = Tariff.objects.get()
    with pytest.raises(IntegrityError, match="tariff_unique"), transaction.atomic():
        Tariff.objects.create(
            party=ours, ocpi_id="gUEST", currency="EUR", document=row.document, content_sha256=b""
        )


def test_exactly_the_given_tariffs_are_visible(ours: Party, taxi: Party) -> None:
    day, night, fleet = (accepted(ours, id_) for id_ in ("DAY", "NIGHT", "FLEET"))
    set_visible(party=taxi, tariffs=[day, night], now=MORNING)
    delivered()
    kept = TariffView.objects.values().get(tariff=night)
    set_visible(party=taxi, tariffs=[night, fleet], now=MORNING + HOUR)
    assert set(TariffView.objects.values_list("tariff__ocpi_id", flat=True)) == {"NIGHT", "FLEET"}
    assert TariffView.objects.values().get(tariff=night) == kept
    # A tariff that is older than the grant is news to this partner all the same.
    assert TariffView.objects.get(tariff=fleet).last_updated == MORNING + HOUR
    assert owed(taxi) == [("tariff", "BE/YRD/DAY", True), ("tariff", "BE/YRD/FLEET", True)]


def test_a_tariff_in_use_cannot_be_withdrawn(ours: Party, taxi: Party) -> None:
    """TAR-04: refused with the names of those who see it, and nothing changes."""
    tariff = accepted(ours)
    set_visible(party=taxi, tariffs=[tariff], now=MORNING)
    with pytest.raises(TariffRefused, match="NL-EMS"):
        withdraw_tariff(tariff=tariff, now=MORNING + HOUR)
    assert Tariff.objects.get().is_withdrawn is False
    set_visible(party=taxi, tariffs=[], now=MORNING + HOUR)
    withdraw_tariff(tariff=tariff, now=MORNING + HOUR)
    assert Tariff.objects.get().is_withdrawn is True


def test_a_withdrawn_tariff_is_shown_to_nobody_until_it_is_put_again(ours: Party, taxi: Party) -> None:
    tariff = accepted(ours)
    withdraw_tariff(tariff=tariff, now=MORNING)
    set_visible(party=taxi, tariffs=[tariff], now=MORNING)
    assert TariffView.objects.count() == 0
    assert put_tariff(party=ours, tariff=tariff_object(), now=MORNING + HOUR) is True
    set_visible(party=taxi, tariffs=[tariff], now=MORNING + HOUR)
    assert TariffView.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_tariff_that_changes_while_it_becomes_visible_is_shown_in_its_new_state() -> None:
    """Two real connections, many rounds: the view never holds older content than the tariff."""
    ours = OwnPartyFactory()
    taxi = a_partner().party
    assert taxi is not None
    tariff = accepted(ours)
    for round_ in range(10):
        set_visible(party=taxi, tariffs=[], now=MORNING)
        changed = tariff_object(elements=price(f"0.{50 + round_}"))
        at = MORNING + (round_ + 1) * HOUR
        work = [
            lambda at=at: set_visible(party=taxi, tariffs=[tariff], now=at),
            lambda at=at, changed=changed: put_tariff(party=ours, tariff=changed, now=at),
        ]
        threads = [threading.Thread(target=closing(each)) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        view = codec.decode_bytes(v221.Tariff, bytes(TariffView.objects.get().document))
        assert view.elements == changed.elements


def closing(work):
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    return run
