"""Brings a depot into the state that its file describes, in one transaction, and says what it changed."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from django.db import models, transaction

from access.models import Grant, Holiday, Schedule, Window, WindowException
from access.services import republish_depot, write_grant
from access.tariffs import require_distinct_tariffs
from chargers.models import Station
from chargers.passwords import hash_password, is_password
from config.depot_file import (
    WEEKDAYS,
    BayPart,
    DepotFile,
    GrantPart,
    LocationPart,
    SchedulePart,
    tariff_of,
)
from locations.models import EVSE, Connector, Depot, Location
from ocpi import codec
from roaming.hub.telling import tell_about
from roaming.models import Party
from tariffs.models import Tariff
from tariffs.services import TariffRefused, put_tariff


class NotHere(Exception):
    """A file that is sound in itself does not fit what this installation holds: field and reason."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path}: {text}")
        self.path = path
        self.text = text


@dataclass
class Report:
    """What loading a file did, one line per row."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0


def load(*, file: DepotFile, now: datetime) -> Report:
    """Create or change what differs; nothing is deleted but the windows and exceptions of a schedule in the file.

    All or nothing. Errors: NotHere when the file does not fit what is here (a partner that is not known,
    a tariff that the linter refuses, a bay of another depot).
    """
    return _Loader(file, now).load()


class _Loader:
    def __init__(self, file: DepotFile, now: datetime) -> None:
        self.file = file
        self.now = now
        self.report = Report()
        self.schedules: dict[str, Schedule] = {}
        self.locations: dict[str, Location] = {}
        self.tariffs: dict[str, Tariff] = {}

    def load(self) -> Report:
        with transaction.atomic():
            operator = self._operator()
            self.depot = self._depot(operator)
            for number, part in enumerate(self.file.tariffs):
                self._tariff(operator, number, part)
            for holiday in self.file.holidays:
                counts_as = WEEKDAYS.get(holiday.counts_as)
                self._put(Holiday, {"depot": self.depot, "date": holiday.date},
                          {"name": holiday.name, "counts_as": counts_as})  # fmt: skip
            self._stations()
            for schedule in self.file.schedules:
                self._schedule(schedule)
            for number, location in enumerate(self.file.locations):
                self._location(number, location)
            for number, grant in enumerate(self.file.grants):
                self._grant(number, grant)
            republish_depot(depot=self.depot, now=self.now)
            self._require_distinct_tariffs()
        return self.report

    def _operator(self) -> Party:
        part = self.file.operator
        country_code, party_id = part.party.split("-")
        taken = Party.objects.filter(
            country_code=country_code, party_id=party_id, role="CPO", platform__isnull=False
        )
        if taken.exists():
            raise NotHere("operator.party", f"{part.party} is a party of a partner platform, not ours")
        key = {"country_code": country_code, "party_id": party_id, "role": "CPO"}
        is_new = not Party.objects.filter(**key).exists()
        operator: Party = self._put(Party, key, {"name": part.name, "website": part.website})
        if is_new:
            tell_about([operator], now=self.now)
        return operator

    def _depot(self, operator: Party) -> Depot:
        part = self.file.depot
        values = {
            "operator": operator,
            "name": part.name,
            "fleet_name": part.fleet,
            "time_zone": part.time_zone,
            "address": part.address,
            "city": part.city,
            "postal_code": part.postal_code,
            "country": part.country,
            "latitude": round(part.latitude, 6),
            "longitude": round(part.longitude, 6),
        }
        depot: Depot = self._put(Depot, {"code": part.code}, values)
        return depot

    def _tariff(self, operator: Party, number: int, part: Any) -> None:
        try:
            tariff = tariff_of(part, self.file.operator.party, self.now)
            known = Tariff.objects.filter(party=operator, ocpi_id__iexact=part.id).first()
            changed = put_tariff(
                party=operator,
                tariff=tariff,
                name=part.name,
                time_zone=self.file.depot.time_zone,
                now=self.now,
            )
        except codec.Invalid as error:
            raise NotHere(f"tariffs[{number}]", str(error)) from error
        except TariffRefused as error:
            raise NotHere(f"tariffs[{number}]", str(error)) from error
        self._note(f"tariff {part.id}", is_new=known is None, is_changed=changed)
        self.tariffs[part.id] = Tariff.objects.get(party=operator, ocpi_id__iexact=part.id)

    def _stations(self) -> None:
        for number, part in enumerate(self.file.stations):
            known = Station.objects.filter(identity=part.identity).first()
            if known is not None and known.depot_id != self.depot.pk:
                raise NotHere(
                    f"stations[{number}].identity", f"'{part.identity}' stands at depot {known.depot}"
                )
            station = self._put(Station, {"identity": part.identity}, {"depot": self.depot})
            if part.password and not is_password(station.password_hash, part.password):
                station.password_hash = hash_password(part.password)
                station.save(update_fields=["password_hash"])
                if known is not None:
                    self.report.changed.append(f"station {part.identity}: password")

    def _schedule(self, part: SchedulePart) -> None:
        is_known = Schedule.objects.filter(depot=self.depot, name=part.name).exists()
        schedule = self._put(
            Schedule,
            {"depot": self.depot, "name": part.name},
            {"night_counts_to_start_day": part.night_counts_to_start_day},
        )
        windows = [
            {
                "weekdays": sorted(WEEKDAYS[day] for day in window.weekdays),
                "opens": time.fromisoformat(window.opens),
                "closes": time.fromisoformat(window.closes),
            }
            for window in part.windows
        ]
        exceptions = [
            {
                "date": exception.date,
                "kind": exception.kind,
                "opens": time.fromisoformat(exception.opens) if exception.opens else None,
                "closes": time.fromisoformat(exception.closes) if exception.closes else None,
                "reason": exception.reason,
            }
            for exception in part.exceptions
        ]
        for model, wanted in ((Window, windows), (WindowException, exceptions)):
            if self._replace(schedule, model, wanted) and is_known:
                self.report.changed.append(f"schedule {part.name}: {model._meta.verbose_name_plural}")
        self.schedules[part.name] = schedule

    def _replace(self, schedule: Schedule, model: type[models.Model], wanted: list[dict[str, Any]]) -> bool:
        """Make the rows of a schedule exactly the wanted ones; returns whether they were others before."""
        fields = list(wanted[0]) if wanted else []
        rows = model._default_manager.filter(schedule=schedule)
        stored = [dict(row) for row in rows.values(*fields)] if fields else list(rows.values())
        if sorted(map(str, stored)) == sorted(map(str, wanted)):
            return False
        rows.delete()
        model._default_manager.bulk_create([model(schedule=schedule, **values) for values in wanted])
        return True

    def _location(self, number: int, part: LocationPart) -> None:
        location = self._put(
            Location,
            {"depot": self.depot, "ocpi_id": f"{self.depot.code}-{part.key}".upper()[:36]},
            {
                "name": part.name,
                "directions": part.directions,
                "parking_type": part.parking_type.value if part.parking_type else "",
                "facilities": [facility.value for facility in part.facilities],
            },
        )
        self.locations[part.key] = location
        for index, bay in enumerate(part.bays):
            self._bay(location, f"locations[{number}].bays[{index}]", bay)

    def _bay(self, location: Location, path: str, part: BayPart) -> None:
        elsewhere = (
            EVSE.objects.filter(
                station_identity=part.station, ocpp_connector=part.connector, is_removed=False
            )
            .exclude(location=location, evse_id=part.evse_id)
            .first()
        )
        if elsewhere is not None:
            raise NotHere(
                f"{path}.connector",
                f"{part.station} connector {part.connector} is bay {elsewhere.evse_id} of {elsewhere.location}; "
                "remove that bay first",
            )
        known = EVSE.objects.filter(location=location, evse_id=part.evse_id, is_removed=False).first()
        evse = known or EVSE(location=location, evse_id=part.evse_id, uid=str(uuid.uuid4()).upper())
        values = {
            "bay_label": part.label,
            "station_identity": part.station,
            "ocpp_connector": part.connector,
            "capabilities": [capability.value for capability in part.capabilities],
            "parking_restrictions": [restriction.value for restriction in part.parking_restrictions],
        }
        self._assign(evse, values, f"bay {part.evse_id}", is_new=known is None)
        for connector in part.connectors:
            self._put(
                Connector,
                {"evse": evse, "ocpi_id": connector.id},
                {
                    "standard": connector.standard,
                    "format": connector.format.value,
                    "power_type": connector.power_type.value,
                    "max_voltage": connector.max_voltage,
                    "max_amperage": connector.max_amperage,
                    "max_electric_power": connector.max_electric_power,
                },
            )

    def _grant(self, number: int, part: GrantPart) -> None:
        country_code, party_id = part.party.split("-")
        party = (
            Party.objects.filter(country_code=country_code, party_id=party_id, platform__isnull=False)
            .order_by("pk")
            .first()
        )
        if party is None:
            raise NotHere(f"grants[{number}].party", f"'{part.party}' is no partner here; invite it first")
        key = {
            "party": party,
            "location": self.locations[part.location],
            "schedule": self.schedules[part.schedule],
        }
        known = (
            Grant.objects.filter(**key, token_groups=sorted(part.token_groups))
            .exclude(status=Grant.Status.ENDED)
            .first()
        )
        grant = known or Grant(**key, token_groups=sorted(part.token_groups))
        values = {
            "tariff": self.tariffs[part.tariff],
            "end_policy": part.end_policy,
            "grace_minutes": part.grace_minutes,
            "max_overrun_minutes": part.max_overrun_minutes,
            "min_useful_minutes": part.min_useful_minutes,
            "last_start_offset_minutes": part.last_start_offset_minutes,
            "max_session_minutes": part.max_session_minutes,
            "max_concurrent": part.max_concurrent,
            "status_mask": part.status_mask,
            "valid_from": part.valid_from,
            "valid_to": part.valid_to,
        }
        profiles = [self.tariffs[each] for each in part.profile_tariffs]
        differs = (
            known is None
            or any(getattr(grant, name) != value for name, value in values.items())
            or set(known.profile_tariffs.all()) != set(profiles)
        )
        for name, value in values.items():
            setattr(grant, name, value)
        if differs:
            try:
                write_grant(grant=grant, profile_tariffs=profiles, now=self.now)
            except ValueError as error:
                raise NotHere(f"grants[{number}].profile_tariffs", str(error)) from error
        self._note(f"grant of {part.party} at {part.location}", is_new=known is None, is_changed=differs)

    def _require_distinct_tariffs(self) -> None:
        """When all grants are written, and also where another depot's grants name a tariff of this file."""
        touched = Grant.objects.filter(tariff__in=self.tariffs.values()).exclude(status=Grant.Status.ENDED)
        for location in Location.objects.filter(grants__in=touched).distinct().order_by("pk"):
            try:
                require_distinct_tariffs(location=location)
            except TariffRefused as error:
                raise NotHere("grants", str(error)) from error

    def _put(self, model: type[Any], key: dict[str, Any], values: dict[str, Any]) -> Any:
        known = model._default_manager.filter(**key).first()
        row = known or model(**key)
        name = f"{model._meta.verbose_name} {next(reversed(key.values()))}"
        self._assign(row, values, name, is_new=known is None)
        return row

    def _assign(self, row: Any, values: dict[str, Any], name: str, *, is_new: bool) -> None:
        changed = (
            [] if is_new else sorted(name for name, value in values.items() if getattr(row, name) != value)
        )
        for field_name, value in values.items():
            setattr(row, field_name, value)
        if is_new or changed:
            row.save()
        self._note(f"{name}: {', '.join(changed)}" if changed and not is_new else name,
                   is_new=is_new, is_changed=bool(changed))  # fmt: skip

    def _note(self, name: str, *, is_new: bool, is_changed: bool) -> None:
        if is_new:
            self.report.created.append(name)
        elif is_changed:
            self.report.changed.append(name)
        else:
            self.report.unchanged += 1
