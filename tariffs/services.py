"""Verbs of tariffs: accept one, show it to the partners whose grants name it, withdraw it.

A partner sees a tariff while a TariffView says so; its bytes, its stamp and the obligation to tell the partner are
written together.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from ocpi import v221
from ocpi.headers import PartyId
from roaming.delivery.services import owe_state
from roaming.models import Party, Platform
from roaming.quirks import dialect_of
from tariffs.findings import Finding, Severity
from tariffs.lint import lint
from tariffs.models import Tariff, TariffView
from tariffs.wire import UNSTAMPED, document, next_stamp, tariff_object, worded


class TariffRefused(ValueError):
    """A tariff that must not be published, or not be withdrawn, with what to do about it."""

    def __init__(self, text: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(text)
        self.findings = tuple(findings)


def put_tariff(
    *, party: Party, tariff: v221.Tariff, now: datetime, name: str = "", time_zone: str = "UTC"
) -> bool:
    """Accept a new tariff of our `party`, or a new state of one; True when its content is news.

    `last_updated` in the object is not read: it is ours to set, and moves only with the content (LOC-05). Partners
    that see the tariff are owed the whole of it (TAR-02). `time_zone`: of the depots it is for; local hours are
    checked there. Errors: TariffRefused, by the linter or for another owner. Two calls at once follow each other on
    the row's lock; of two that make the same new id one fails on the unique key.
    """
    _require_sound(party, tariff, time_zone, now)
    digest = hashlib.sha256(document(tariff, UNSTAMPED)).digest()
    with transaction.atomic():
        known = Tariff.objects.select_for_update().filter(party=party, ocpi_id__iexact=tariff.id).first()
        if known is not None and bytes(known.content_sha256) == digest and not known.is_withdrawn:
            if name and known.name != name:
                Tariff.objects.filter(pk=known.pk).update(name=name)
            return False
        row = known or Tariff(party=party, ocpi_id=tariff.id)
        stamp = next_stamp(known.last_updated if known else None, now)
        row.name = name or row.name
        row.currency = tariff.currency
        row.document = document(tariff, stamp)
        row.content_sha256 = digest
        row.is_withdrawn = False
        row.last_updated = stamp
        row.save()
        _show(row, TariffView.objects.filter(tariff=row).select_related("party__platform"), now)
    return True


def withdraw_tariff(*, tariff: Tariff, now: datetime) -> None:
    """Take a tariff out of use, for good measure only when nobody is shown it any more (TAR-04).

    Partners were told to delete it when their last grant that names it went. Errors: TariffRefused while a partner
    still sees it.
    """
    with transaction.atomic():
        locked = Tariff.objects.select_for_update().get(pk=tariff.pk)
        viewers = [str(view.party) for view in locked.views.select_related("party").order_by("pk")]
        if viewers:
            raise TariffRefused(
                f"Tariff {locked} is in use by grants of {', '.join(viewers)}: give those grants another tariff first."
            )
        locked.is_withdrawn = True
        locked.save(update_fields=["is_withdrawn"])


def set_visible(*, party: Party, tariffs: Iterable[Tariff], now: datetime) -> None:
    """Let a partner's party see exactly these tariffs, and owe it what is new or gone.

    Callers at once for one party follow each other on its row; the tariffs are locked so that none changes its
    content between being read and being shown.
    """
    wanted = {tariff.pk for tariff in tariffs}
    with transaction.atomic():
        Party.objects.select_for_update(no_key=True).get(pk=party.pk)
        shown = {view.tariff_id: view for view in TariffView.objects.filter(party=party)}
        news, gone = wanted - shown.keys(), shown.keys() - wanted
        if not news and not gone:
            return
        rows = (
            Tariff.objects.select_for_update(of=("self",)).select_related("party").filter(pk__in=news | gone)
        )
        by_id = {row.pk: row for row in rows.order_by("pk")}
        for key in sorted(news):
            if not by_id[key].is_withdrawn:
                _show(by_id[key], [TariffView(tariff=by_id[key], party=party)], now)
        TariffView.objects.filter(pk__in=[shown[key].pk for key in gone]).delete()
        for key in sorted(gone):
            _owe(by_id[key], [party], now)


def reword_views(*, platform: Platform, now: datetime) -> None:
    """Write what a platform's parties see of tariffs in its words, after these changed; equal ones stay as they are."""
    mine = TariffView.objects.filter(party__platform=platform)
    with transaction.atomic():
        rows = Tariff.objects.select_for_update(of=("self",)).select_related("party")
        for tariff in rows.filter(pk__in=mine.values("tariff")).order_by("pk"):
            content = worded(tariff_object(tariff), dialect_of(platform))
            views = [
                view
                for view in mine.filter(tariff=tariff).select_related("party__platform").order_by("pk")
                if document(content, view.last_updated) != bytes(view.document)
            ]
            _show(tariff, views, now)


def _require_sound(party: Party, tariff: v221.Tariff, time_zone: str, now: datetime) -> None:
    owner = PartyId.of(tariff.country_code, tariff.party_id)
    if owner != party.ocpi_id:
        raise TariffRefused(f"country_code and party_id: must be {party.ocpi_id} (given {owner})")
    findings = lint(tariff, time_zone=time_zone, reference=now.date())
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise TariffRefused("; ".join(error.text for error in errors), errors)


def _show(tariff: Tariff, views: Iterable[TariffView], now: datetime) -> None:
    """Write the views of one tariff anew, each with a stamp later than its own before, and owe them."""
    content = tariff_object(tariff)
    parties = []
    for view in views:
        view.last_updated = next_stamp(view.last_updated, now)
        view.document = document(worded(content, dialect_of(view.party.platform)), view.last_updated)
        view.save()
        parties.append(view.party)
    _owe(tariff, parties, now)


def _owe(tariff: Tariff, parties: Sequence[Party], now: datetime) -> None:
    if not parties:
        return
    owe_state(
        own_party=tariff.party,
        parties=parties,
        kind="tariff",
        object_key=object_key(tariff),
        whole=True,
        now=now,
    )


def object_key(tariff: Tariff) -> str:
    """The tariff in the words of its push: owner and id."""
    return f"{tariff.party.country_code}/{tariff.party.party_id}/{tariff.ocpi_id}"
