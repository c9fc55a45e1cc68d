"""What the commands of partners have in common: who orders, what is answered at once, and the row that is kept."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from charging.models import Command, Reservation
from locations.models import Location, PartnerView
from ocpi import v221
from ocpi.status import StatusCode
from roaming.models import Party
from sessions.models import Session

# The result is posted this long before the promised timeout ends, so that it arrives in time (CMD-06).
MARGIN_SECONDS = 10
# A station drops an accepted remote start after its own ConnectionTimeOut without a word (charging.md 5.4).
PLUG_IN_TIMEOUT = timedelta(seconds=135)


@dataclass(frozen=True)
class Order:
    """Who commands whom, and where the result goes."""

    party: Party
    own_party: Party
    response_url: str
    correlation_id: str


@dataclass(frozen=True)
class Reply:
    """The synchronous answer to a command, and the status code of the envelope around it."""

    response: v221.CommandResponse
    status_code: StatusCode = StatusCode.SUCCESS
    status_message: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a command is about, as far as it is known."""

    session: Session | None = None
    reservation: Reservation | None = None
    reserve_until: datetime | None = None
    id_tag: str = ""
    decision_ref: str = ""


NOTHING_KNOWN = About()


def record(*, order: Order, kind: v221.CommandType, about: About = NOTHING_KNOWN, now: datetime) -> Command:
    """Keep an accepted command until its one result is known."""
    return Command.objects.create(
        party=order.party,
        own_party=order.own_party,
        type=kind.value,
        state=Command.State.SENT,
        session=about.session,
        reservation=about.reservation,
        reserve_until=about.reserve_until,
        id_tag=about.id_tag,
        response_url=order.response_url,
        correlation_id=order.correlation_id,
        decision_ref=about.decision_ref,
        expires_at=now + timedelta(seconds=settings.COMMAND_TIMEOUT_SECONDS),
        created_at=now,
    )


def purpose_of(command: Command) -> str:
    """Whom the station's answer is for."""
    return f"command:{command.id}"


def not_after(command: Command) -> datetime:
    """Until when the station may be asked: later there would be no time for its answer."""
    return command.expires_at - timedelta(seconds=MARGIN_SECONDS)


def new_id_tag() -> str:
    """OCPP 1.6 knows 20 characters, a token uid has up to 36: the station is given a tag of ours."""
    return f"YG{secrets.token_hex(9).upper()}"


def is_own_token(party: Party, token: v221.Token) -> bool:
    """Whether a token is one of the commanding party (CMD-15); a hub is shown Locations to pass them on and has no
    drivers."""
    if party.role == v221.Role.HUB:
        return False
    owner = (token.country_code.upper(), token.party_id.upper())
    return owner == (party.country_code.upper(), party.party_id.upper())


def visible_location(order: Order, location_id: str) -> Location | None:
    """The Location as far as the addressed party of ours shows it to this partner (HUB-06)."""
    shown = (
        PartnerView.objects.filter(
            party=order.party,
            own_party=order.own_party,
            location__ocpi_id=location_id.upper(),
            is_ended=False,
        )
        .select_related("location__depot__operator")
        .first()
    )
    return shown.location if shown is not None else None


def foreign_token(party: Party, token: v221.Token) -> Reply:
    """The refusal of a token of somebody else."""
    return Reply(
        response(v221.CommandResponseType.REJECTED, "The token belongs to another party."),
        StatusCode.INVALID_PARAMETERS,
        f"token: belongs to {token.country_code}-{token.party_id}, but {party.country_code}-{party.party_id} "
        "is calling; start with a token of your own party",
    )


def unknown_location() -> Reply:
    """The same bytes whether the Location does not exist, is not granted or has no such EVSE (B16)."""
    return Reply(
        response(v221.CommandResponseType.REJECTED, "There is no such Location or EVSE."),
        StatusCode.UNKNOWN_LOCATION,
        "location_id: there is no such Location, EVSE or Connector",
    )


def accepted(text: str = "") -> Reply:
    """It is carried out; the result follows."""
    return Reply(response(v221.CommandResponseType.ACCEPTED, text))


def rejected(text: str) -> Reply:
    """It is not carried out, for the reason given; no result follows."""
    return Reply(response(v221.CommandResponseType.REJECTED, text))


def not_supported(text: str) -> Reply:
    """The bay cannot do it; no result follows."""
    return Reply(response(v221.CommandResponseType.NOT_SUPPORTED, text))


def response(result: v221.CommandResponseType, text: str = "") -> v221.CommandResponse:
    """The direct answer; only one that accepts promises a result within its timeout."""
    is_accepted = result is v221.CommandResponseType.ACCEPTED
    return v221.CommandResponse(
        result=result,
        timeout=settings.COMMAND_TIMEOUT_SECONDS if is_accepted else 0,
        message=(v221.DisplayText(language="en", text=text[:512]),) if text else (),
    )
