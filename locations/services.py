"""Verbs of locations: what the stations report, and what each partner is shown of it.

Every verb locks the row of the Location first, so that all that writes one Location's bays and views follows each
other; a partner's bytes, their stamp and the obligation to tell the partner change in one transaction.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from locations import stored
from locations.changes import Notice, notices
from locations.models import EVSE, Depot, Location, PartnerView
from locations.publication import Publication
from locations.publishing import (
    COLUMNS,
    Change,
    Place,
    View,
    apply,
    owe,
    read_publication,
    rerender,
    views_of,
    write_publication,
)
from locations.render import BayState, next_stamp, shown_status, valid_until
from locations.wire import bay_state, location_document, location_facts
from ocpi import codec, v221
from roaming import rawsql
from roaming.models import Party, Platform
from roaming.quirks import dialects_of

_EVSES = EVSE._meta.db_table
# Only key and id are read: the lock also waits for whoever is changing the Location's views.
_LOCK = f"""
SELECT l.id, l.ocpi_id, d.operator_id FROM {Location._meta.db_table} l JOIN {Depot._meta.db_table} d ON d.id = l.depot_id
WHERE l.id = (SELECT location_id FROM {_EVSES}
              WHERE station_identity = %s AND ocpp_connector = %s AND NOT is_removed)
FOR NO KEY UPDATE OF l
"""
# One statement after the lock: it sees what the one before us has committed.
_REPORT = f"""
WITH bay AS (
    UPDATE {_EVSES} SET device_status = %s, ocpp_status = %s, device_status_at = %s
    WHERE station_identity = %s AND ocpp_connector = %s AND NOT is_removed
      AND (device_status_at IS NULL OR device_status_at <= %s)
    RETURNING uid, is_removed, is_online, offline_since, serving_party_id, is_reserved
)
SELECT bay.*, {COLUMNS} FROM bay LEFT JOIN {PartnerView._meta.db_table} v ON v.location_id = %s ORDER BY v.id
"""
_BAY_COLUMNS = 6


def report_status(
    *,
    station_identity: str,
    ocpp_connector: int,
    status: v221.Status,
    at: datetime,
    now: datetime,
    ocpp_status: str = "",
) -> bool:
    """Take over what a station says of one bay; False for an unknown bay and for a report older than the known one.

    `at` is the station's time, taken as now when it lies ahead: a station with a fast clock must not outrun its own
    later reports. Every partner's view follows in the same transaction.
    """
    bay = [station_identity, ocpp_connector]
    at = min(at, now)
    with transaction.atomic():
        locked = rawsql.fetch(_LOCK, bay)
        if not locked:
            return False
        place = Place(*locked[0])
        rows = rawsql.fetch(_REPORT, [status.value, ocpp_status, at, *bay, at, place.pk])
        if not rows:
            return False
        uid, is_removed, is_online, offline_since, serving_party, is_reserved = rows[0][:_BAY_COLUMNS]
        state = BayState(
            device_status=status,
            is_removed=is_removed,
            is_online=is_online,
            offline_since=offline_since,
            serving_party=serving_party,
            is_reserved=is_reserved,
        )
        # A bay that nobody is shown comes as one row without a view.
        views = [View(*row[_BAY_COLUMNS:]) for row in rows if row[_BAY_COLUMNS] is not None]
        _status_changed(place, uid, state, views, now)
    return True


def set_online(*, station_identity: str, is_online: bool, now: datetime) -> None:
    """Note that a station came or went; 15 minutes after it went its bays are shown as UNKNOWN (5.4)."""
    mine = EVSE.objects.filter(station_identity=station_identity, is_removed=False)
    with transaction.atomic():
        for location in _all_locked(Location.objects.filter(pk__in=mine.values("location_id"))):
            changed = mine.filter(location=location).exclude(is_online=is_online)
            if changed.update(is_online=is_online, offline_since=None if is_online else now):
                rerender(location, location_facts(location), views_of(location.pk), now)


def set_serving(*, evse: EVSE, party: Party | None, now: datetime) -> None:
    """Note whose session is live at a bay: that partner sees CHARGING whatever the hour (None: nobody's)."""
    _set_use(evse, now, serving_party=party, is_reserved=False)


def set_reserved(*, evse: EVSE, is_reserved: bool, now: datetime) -> None:
    """Keep a bay for a driver, or let it go: all partners see RESERVED until then, the driver's own too."""
    _set_use(evse, now, is_reserved=is_reserved)


def _set_use(evse: EVSE, now: datetime, **changes: Party | bool | None) -> None:
    with transaction.atomic():
        location = _locked(evse.location_id)
        EVSE.objects.filter(pk=evse.pk).update(**changes)
        state = bay_state(EVSE.objects.get(pk=evse.pk))
        _status_changed(Place.of(location), evse.uid, state, views_of(location.pk), now)


def remove_evse(*, evse: EVSE, now: datetime) -> None:
    """Take a bay out of service for good: partners see it as REMOVED for ever (LOC-06, LOC-07)."""
    with transaction.atomic():
        location = _locked(evse.location_id)
        EVSE.objects.filter(pk=evse.pk).update(is_removed=True, serving_party=None, is_reserved=False)
        rerender(location, location_facts(location), views_of(location.pk), now)


def publish_view(*, party: Party, location: Location, publication: Publication | None, now: datetime) -> bool:
    """Show a partner's party this Location as the Publication says; True when its document changed.

    None: the partner has no business here; a view that it had goes without a word. An equal document keeps bytes and
    stamp, and nothing is owed.
    """
    with transaction.atomic():
        location = _locked(location.pk)
        known = PartnerView.objects.filter(party=party, location=location).first()
        if publication is None:
            if known is not None:
                known.delete()
            return known is not None
        facts = location_facts(location)
        previous = stored.read_location(bytes(known.document)) if known else None
        current = location_document(
            facts=facts,
            publication=publication,
            viewer=party.pk,
            dialect=dialects_of([party.pk])[party.pk],
            previous=previous,
            now=now,
        )
        view = known or PartnerView(party=party, location=location, own_party=location.depot.operator)
        view.publication = write_publication(publication)
        view.next_edge_at = valid_until(facts, publication, now)
        view.is_ended = publication.ended
        if current is previous:
            view.save(update_fields=["publication", "next_edge_at", "is_ended"])
            return False
        view.document = codec.encode(current)
        view.last_updated = current.last_updated
        view.save()
        for notice in notices(previous, current):
            owe(Place.of(location), [party.pk], notice, now)
        return True


def rerender_location(*, location: Location, now: datetime) -> bool:
    """Bring all views of a Location to the present, e.g. after its bays were edited; True when any changed."""
    with transaction.atomic():
        locked = _locked(location.pk)
        return rerender(locked, location_facts(locked), views_of(locked.pk), now)


def reword_views(*, platform: Platform, now: datetime) -> None:
    """Render what a platform's parties are shown once more, after it asked for other words (roaming.quirks)."""
    parties = set(platform.parties.values_list("pk", flat=True))
    shown = PartnerView.objects.filter(party__in=parties)
    with transaction.atomic():
        for location in _all_locked(Location.objects.filter(pk__in=shown.values("location"))):
            views = [view for view in views_of(location.pk) if view.party_id in parties]
            rerender(location, location_facts(location), views, now)


def refresh_due_views(*, party: Party, now: datetime) -> int:
    """Bring those views of a party to the present that an edge has passed since; returns how many Locations.

    Whoever pulls at 20:00:00.001 sees the opening of 20:00 even when no worker ran yet.
    """
    return _refresh(PartnerView.objects.filter(party=party, next_edge_at__lte=now), now)


def refresh_all_due_views(*, now: datetime) -> int:
    """As `refresh_due_views` for all parties; returns how many Locations."""
    return _refresh(PartnerView.objects.filter(next_edge_at__lte=now), now)


def _locked(location_id: int) -> Location:
    return _all_locked(Location.objects.filter(pk=location_id))[0]


def _all_locked(locations: QuerySet[Location]) -> list[Location]:
    rows = locations.select_for_update(of=("self",), no_key=True).select_related("depot__operator")
    return list(rows.order_by("pk"))


def _status_changed(place: Place, uid: str, state: BayState, views: Iterable[View], now: datetime) -> None:
    """Bring the status of one bay into all views; the bytes of other bays are not touched.

    Views that an edge has passed meanwhile are rendered as a whole, as are those in which the bay is REMOVED.
    """
    changes: list[Change] = []
    overdue: list[View] = []
    told = (Notice(uid, ("status",)),)
    for view in views:
        if view.next_edge_at is not None and view.next_edge_at <= now:
            overdue.append(view)
            continue
        publication = read_publication(view.publication)
        status = shown_status(state, publication, viewer=view.party_id, at=now)
        stamp = next_stamp(view.last_updated, now)
        document = stored.with_status(view.document, uid, status, stamp)
        if document is not None and stored.is_removed(view.document, uid):
            # It may be left out for this partner: only rendering knows (locations.render).
            overdue.append(view)
        elif document is not None:
            changes.append(Change(view.pk, view.party_id, document, stamp, told))
    apply(place, changes, now)
    if overdue:
        location = Location.objects.select_related("depot__operator").get(pk=place.pk)
        rerender(location, location_facts(location), overdue, now)


def _refresh(due: QuerySet[PartnerView], now: datetime) -> int:
    keys = sorted(set(due.values_list("location_id", flat=True)))
    for location in Location.objects.filter(pk__in=keys).order_by("pk"):
        rerender_location(location=location, now=now)
    return len(keys)
