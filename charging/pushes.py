"""What partners are told by charging: the results of their commands and profiles, and the limits in force."""

from datetime import datetime, timedelta

from charging import active_profiles
from charging.models import ChargingProfile
from charging.profiles import active
from charging.steering import supply_of
from ocpi import codec, v221
from roaming.models import Lane, Obligation
from roaming.pushes import Message, Push, register


class CommandResultPush(Push):
    """One bare CommandResult to the exact response_url of its command (CMD-04); tried once (CMD-08)."""

    kind = "command_result"
    module = "commands"
    shape = Obligation.Shape.SHORT_LIVED
    lane = Lane.Name.RESULT

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The sealed bytes; nothing is rendered."""
        return Message(method="POST", body=bytes(obligation.body or b""))


class ProfileResultPush(CommandResultPush):
    """One bare result of a GET, PUT or DELETE of a charging profile, to its response_url (CHP-01, CHP-02)."""

    kind = "profile_result"
    module = "chargingprofiles"
    role = "SENDER"


class ActiveProfilePush(Push):
    """The limits in force on a session, to who has set a profile on it (CHP-14); rendered when it is sent."""

    kind = active_profiles.KIND
    module = "chargingprofiles"
    role = "SENDER"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.LIVE

    # A useful span is 5 to 60 minutes; who wants more asks for it (CHP-16).
    SPAN = timedelta(minutes=30)

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """PUT of the ActiveChargingProfile; nothing once the session is over."""
        row = (
            ChargingProfile.objects.select_related("session")
            .filter(session__id=obligation.object_key, session__status=v221.SessionStatus.ACTIVE.value)
            .first()
        )
        supply = supply_of(row.session) if row is not None else None
        if row is None or supply is None:
            return None
        limits = active(
            active_profiles.schedule_in_force(row, supply, now),
            supply=supply,
            unit=v221.ChargingRateUnit(row.unit),
            start=now,
            seconds=int(self.SPAN.total_seconds()),
        )
        return Message(method="PUT", segments=(obligation.object_key,), body=codec.encode(limits))


register(CommandResultPush())
register(ProfileResultPush())
register(ActiveProfilePush())
