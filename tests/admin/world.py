"""One evening at Gent Noord with a row of every model, made by the services wherever there is one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone

from access.decisions import StartRequest
from access.fenced import FencedLocation, Pass
from access.models import Grant
from access.services import decide_start, republish
from cdrs.credits import ask_credit
from cdrs.models import CDR, CreditRequest, Review
from chargers.models import Station, StationCall
from charging.models import (
    Authorization,
    ChargingProfile,
    Command,
    ProfileRequest,
    Reservation,
    Transaction,
    UnmatchedMessage,
)
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE, Location
from ocpi import codec, v221
from roaming.checks import findings
from roaming.connections import issue
from roaming.hub.agreements import set_agreement
from roaming.hub.pushes import hub_push
from roaming.models import (
    Agreement,
    Attempt,
    Comparison,
    CredentialsToken,
    HubDocument,
    Obligation,
    Party,
)
from roaming.secrets import write_outbound_token
from sessions.models import Session
from tests.cdrs.rows import in_review, sealed
from tests.charging.conftest import connected_partner
from tests.factories import OwnPartyFactory, token_object
from tests.sessions.rows import active, pending
from tokens.models import Pull, Token
from tokens.services import put_token

# What no page may ever show: credentials in both directions, and whole uids of cards.
TOKEN_C = "token-C-that-randstad-taxi-presents-to-us"
OUTBOUND = "token-that-we-present-to-randstad-taxi"
CARD = "04E1D2C3B4A580"
SESSION_CARD = "04A2B3C4D5E680"
SECRETS = (TOKEN_C, OUTBOUND, CARD, SESSION_CARD)
# What a partner may call itself, and what must not come alive anywhere (I11, S5).
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class World:
    """The rows that tests act on."""

    party: Party
    location: Location
    evse: EVSE
    grant: Grant
    token: Token
    session: Session
    cdr: CDR
    review: Review
    credit: CreditRequest
    delivery: Obligation
    parked: Obligation
    reservation: Reservation


def furnish() -> World:
    """Everything once; all partner's texts try to be HTML."""
    now = timezone.now()
    party = connected_partner(f"Taxi {SCRIPT}", "NL", "EMS")
    write_outbound_token(party.platform, OUTBOUND)
    party.platform.save()
    issue(party.platform, CredentialsToken.Kind.SESSION, TOKEN_C)
    depots.load(file=depot_file.read(ROOT / "examples" / "gent-noord.yaml"), now=now)
    location = Location.objects.get()
    EVSE.objects.update(is_online=True, device_status="AVAILABLE", ocpp_status="<b>Available</b>")
    Station.objects.update(is_online=True, vendor=IMAGE, last_seen_at=now)
    republish(location=location, now=now)
    first, second = EVSE.objects.order_by("pk")
    put_token(
        own_party=OwnPartyFactory(),
        party=party,
        token=token_object(issuer=SCRIPT, visual_number="0042-7788-11"),
        now=now,
    )
    decide_start(
        request=StartRequest(source="START_SESSION", party="DE-XXX", location_id=location.ocpi_id),
        party=party,
        location=location,
        now=now,
    )
    cdr = sealed(party=party, evse=first)
    credit = ask_credit(cdr=cdr, reason=SCRIPT, by="otto", now=now)
    review = in_review(party=party, evse=first, started_at=datetime(2026, 11, 19, 19, 0, tzinfo=UTC))
    session = active(party=party, evse=second, must_end_by=now + timedelta(minutes=20))
    _charging(party, session, now)
    reservation = _reservation(party, first, now)
    parked = _deliveries(party, now)
    cpo = connected_partner(IMAGE, "DE", "NLI")
    Party.objects.filter(pk=cpo.pk).update(role="CPO", presence="OFFLINE")
    set_agreement(one=party, other=cpo, status=Agreement.Status.ACTIVE)
    findings.note(
        findings.Found(
            kind="state_copy",
            object_key=str(parked.pk),
            text=IMAGE,
            remedy=SCRIPT,
            platform=party.platform,
            own_party=parked.own_party,
        ),
        now=now,
    )
    Comparison.objects.create(platform=party.platform, module="locations", problem=IMAGE)
    Pull.objects.create(platform=party.platform, finished_at=now, received=3, problem=IMAGE)
    _fences(party)
    LogEntry.objects.create(
        user=User.objects.create(username="archivist"),
        content_type=ContentType.objects.get_for_model(Party),
        object_id=party.pk,
        object_repr=SCRIPT,
        action_flag=CHANGE,
        change_message=IMAGE,
    )
    return World(
        party=party,
        location=location,
        evse=first,
        grant=Grant.objects.get(),
        token=Token.objects.get(),
        session=session,
        cdr=cdr,
        review=review,
        credit=credit,
        delivery=Obligation.objects.get(kind="cdr"),
        parked=parked,
        reservation=reservation,
    )


def _fences(party: Party) -> None:
    owner = Party.objects.create(
        platform=party.platform, role="CPO", country_code="DE", party_id="CPO", name=SCRIPT
    )
    fence = FencedLocation.objects.create(owner=owner, location_id="LOC1", name=SCRIPT)
    Pass.objects.create(fence=fence, party=party, token_groups=[SCRIPT])


def _charging(party: Party, session: Session, now: datetime) -> None:
    own = session.own_party
    Command.objects.create(
        party=party, own_party=own, type="START_SESSION", state=Command.State.REFUSED, response_url="https://partner.example/1",
        correlation_id="c-1", message=SCRIPT, expires_at=now, created_at=now,
    )  # fmt: skip
    Transaction.objects.create(
        station_identity="GENT-02", ocpp_connector=1, id_tag=CARD, started_at=now, meter_start_wh=1, id_tag_status="Accepted",
        session=session,
    )  # fmt: skip
    profile = b'{"charging_rate_unit":"A","charging_profile_period":[{"start_period":0,"limit":16}]}'
    ChargingProfile.objects.create(session=session, profile=profile, unit="A", changed_at=now)
    ProfileRequest.objects.create(
        party=party, own_party=own, session=session, method="PUT", profile=profile, unit="A", message=SCRIPT,
        response_url="https://partner.example/2", correlation_id="c-2", expires_at=now + timedelta(minutes=1), created_at=now,
    )  # fmt: skip
    Authorization.objects.create(
        station_identity="GENT-02", id_tag=CARD, party=party, token=codec.encode(token_object()), auth_method="WHITELIST",
        created_at=now, expires_at=now,
    )  # fmt: skip
    UnmatchedMessage.objects.create(
        station_identity="GENT-02",
        action="StopTransaction",
        payload={"idTag": CARD, "note": SCRIPT},
        reason=IMAGE,
    )
    StationCall.objects.create(
        identity="GENT-02",
        action="RemoteStartTransaction",
        payload={"idTag": CARD},
        not_after=now,
        error=SCRIPT,
    )


def _reservation(party: Party, evse: EVSE, now: datetime) -> Reservation:
    """A bay kept for the driver of a card, at its station and in force."""
    status = v221.SessionStatus.RESERVATION
    session = pending(party=party, evse=evse, now=now, started_at=now, status=status)
    row = Reservation.objects.create(
        party=party, location=evse.location, evse=evse, session=session, ocpi_id=SCRIPT[:36], id_tag=CARD,
        state=Reservation.State.PLACED, is_at_station=True, starts_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    Command.objects.create(
        party=party, own_party=session.own_party, type="RESERVE_NOW", state=Command.State.ANSWERED, result="ACCEPTED",
        response_url="https://partner.example/2", correlation_id="c-2", expires_at=now, created_at=now, session=session,
        reservation=row, reserve_until=row.expires_at,
    )  # fmt: skip
    return row


def _deliveries(party: Party, now: datetime) -> Obligation:
    """The location that the partner was owed was refused by it, with words of its own."""
    parked = Obligation.objects.filter(kind="location").get()
    Obligation.objects.filter(pk=parked.pk).update(
        state=Obligation.State.PARKED,
        attempts=2,
        http_status=200,
        ocpi_status=2001,
        last_error=f"refused: 2001 {SCRIPT}",
        owed_since=now - timedelta(hours=30),
    )
    Attempt.objects.create(
        obligation=parked, ended_at=now, worker="w1", request_id="r1", method="PUT", url="https://partner.example/locations",
        http_status=200, ocpi_status=2001, outcome="PARK", error=SCRIPT, milliseconds=31,
    )  # fmt: skip
    parked.refresh_from_db()
    _broadcast(party, parked, now)
    return parked


def _broadcast(party: Party, parked: Obligation, now: datetime) -> None:
    """A card that the partner pushed to a party of ours, and its delivery to somebody else: the uid is in all of it."""
    token = codec.encode(token_object(issuer=SCRIPT))
    kept = HubDocument.objects.create(
        recipient=parked.own_party, owner=party, module="tokens", object_key=f"{CARD}/RFID", document=token,
        last_updated=now,
    )  # fmt: skip
    push = hub_push("tokens")
    sent = Obligation.objects.create(
        lane=parked.lane, own_party=parked.own_party, party=party, shape=push.shape, kind=push.kind,
        object_key=push.key_of(kept), state=Obligation.State.ACKED,
    )  # fmt: skip
    Attempt.objects.create(
        obligation=sent, ended_at=now, worker="w1", request_id="r2", method="PUT",
        url=f"https://partner.example/tokens/NL/EMS/{CARD}?type=RFID", outcome="ACK", milliseconds=9,
    )  # fmt: skip


def everything() -> dict[str, str]:
    """A digest of every row of every table, except those that a login itself writes."""
    with connection.cursor() as cursor:
        tables = sorted(set(connection.introspection.table_names(cursor)) - {"django_session", "auth_user"})
        digests = {}
        for table in tables:
            cursor.execute(
                f"SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {table} t"
            )
            digests[table] = cursor.fetchone()[0]
    return digests


def changed_tables(before: dict[str, str]) -> set[str]:
    """Tables whose rows are not those of before."""
    after = everything()
    return {table for table, digest in before.items() if after[table] != digest}


def a_form(page: Any) -> dict[str, Any]:
    """What a browser would post from the change form of a page, inlines included."""
    form = page.context["adminform"].form
    forms = [
        form,
        *(each for formset in page.context["inline_admin_formsets"] for each in formset.formset.forms),
    ]
    data = {each.add_prefix(name): _posted(each, name) for each in forms for name in each.fields}
    for formset in page.context["inline_admin_formsets"]:
        management = formset.formset.management_form
        data |= {management.add_prefix(name): management[name].value() for name in management.fields}
    return {name: value for name, value in data.items() if value is not None and value is not False}


def _posted(form: Any, name: str) -> Any:
    field = form[name]
    value = field.value()
    if hasattr(value, "pk"):
        return value.pk
    prepared = field.field.prepare_value(value)
    return [str(each) for each in prepared] if isinstance(prepared, list | tuple) else prepared
