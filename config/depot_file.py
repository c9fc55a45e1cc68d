"""The depot file: one YAML document that describes a whole site, checked as a whole before anything is changed."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import msgspec
import yaml

from ocpi import codec, v221
from ocpi.plaintext import MAX_DISPLAY_TEXT, display_text_fault
from roaming.dialect import NACS

WEEKDAYS = {"MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6, "SUN": 7}
Weekday = Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,24}$")]
PartyRef = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}-[A-Z0-9]{3}$")]
LocalTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Minutes = Annotated[int, msgspec.Meta(ge=0, le=1440)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class OperatorPart(_Part, frozen=True, kw_only=True):
    """Our CPO party that runs the site; made when it does not exist yet."""

    party: PartyRef
    name: Text
    website: str = ""


class DepotPart(_Part, frozen=True, kw_only=True):
    """The site itself."""

    code: Key
    name: Text
    fleet: str = ""
    time_zone: str
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=45)]
    city: Annotated[str, msgspec.Meta(min_length=1, max_length=45)]
    postal_code: Annotated[str, msgspec.Meta(max_length=10)] = ""
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    latitude: Decimal
    longitude: Decimal


class HolidayPart(_Part, frozen=True, kw_only=True):
    """One holiday: closed, or counted as a weekday."""

    date: date
    name: Text
    counts_as: Weekday | Literal["CLOSED"] = "CLOSED"


class StationPart(_Part, frozen=True, kw_only=True):
    """One charging station and its OCPP password (left out: unchanged, a new station cannot log in yet)."""

    identity: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,48}$")]
    password: Annotated[str, msgspec.Meta(min_length=8, max_length=40)] | None = None


class TariffPart(_Part, frozen=True, kw_only=True):
    """One tariff, its elements in OCPI's own words (chapter mod_tariffs)."""

    id: Key
    name: str = ""
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    type: v221.TariffType | None = None
    elements: list[Any]
    min_price: dict[str, Any] | None = None
    max_price: dict[str, Any] | None = None
    alt_text: str = ""


# A pattern, since OCPI 2.2.1 has no word for NACS and an enum cannot be added to.
STANDARDS = f"^({'|'.join((*v221.ConnectorType, NACS))})$"


class ConnectorPart(_Part, frozen=True, kw_only=True):
    """One plug."""

    id: Key
    standard: Annotated[str, msgspec.Meta(pattern=STANDARDS)]
    format: v221.ConnectorFormat
    power_type: v221.PowerType
    max_voltage: Annotated[int, msgspec.Meta(gt=0, le=2000)]
    max_amperage: Annotated[int, msgspec.Meta(gt=0, le=3000)]
    max_electric_power: Annotated[int, msgspec.Meta(gt=0)] | None = None


class BayPart(_Part, frozen=True, kw_only=True):
    """One bay: an EVSE at a connector of a station."""

    evse_id: Annotated[str, msgspec.Meta(min_length=7, max_length=48)]
    label: Annotated[str, msgspec.Meta(max_length=16)] = ""
    station: str
    connector: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    capabilities: list[v221.Capability] = msgspec.field(
        default_factory=lambda: [v221.Capability.REMOTE_START_STOP_CAPABLE, v221.Capability.RFID_READER]
    )
    parking_restrictions: list[v221.ParkingRestriction] = msgspec.field(
        default_factory=lambda: [v221.ParkingRestriction.EV_ONLY, v221.ParkingRestriction.CUSTOMERS]
    )
    connectors: Annotated[list[ConnectorPart], msgspec.Meta(min_length=1)]


class LocationPart(_Part, frozen=True, kw_only=True):
    """One bay pool: an OCPI Location."""

    key: Key
    name: Text
    directions: Annotated[str, msgspec.Meta(max_length=MAX_DISPLAY_TEXT)] = ""
    parking_type: v221.ParkingType | None = None
    facilities: list[v221.Facility] = []
    bays: Annotated[list[BayPart], msgspec.Meta(min_length=1)]


class WindowPart(_Part, frozen=True, kw_only=True):
    """One weekly opening; weekdays left out means every day; an end at or before the start is tomorrow's."""

    weekdays: list[Weekday] = msgspec.field(default_factory=lambda: list(WEEKDAYS))  # type: ignore[arg-type]  # keys are the literals
    opens: LocalTime
    closes: LocalTime


class ExceptionPart(_Part, frozen=True, kw_only=True):
    """One date that differs."""

    date: date
    kind: Literal["OPEN", "CLOSED"]
    opens: LocalTime | None = None
    closes: LocalTime | None = None
    reason: str = ""


class SchedulePart(_Part, frozen=True, kw_only=True):
    """A named set of windows."""

    name: Text
    windows: list[WindowPart]
    exceptions: list[ExceptionPart] = []
    night_counts_to_start_day: bool = False


class GrantPart(_Part, frozen=True, kw_only=True):
    """Who may charge where and when, on what terms."""

    party: PartyRef
    location: str
    schedule: str
    tariff: str
    profile_tariffs: list[str] = []
    token_groups: list[Annotated[str, msgspec.Meta(min_length=1, max_length=36)]] = []
    end_policy: Literal["STOP", "GRACE", "FINISH"] = "GRACE"
    grace_minutes: Minutes = 15
    max_overrun_minutes: Minutes = 120
    min_useful_minutes: Minutes = 20
    last_start_offset_minutes: Minutes = 0
    max_session_minutes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    max_concurrent: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    status_mask: Literal["INOPERATIVE", "TRUTHFUL"] = "INOPERATIVE"
    valid_from: Instant | None = None
    valid_to: Instant | None = None


class DepotFile(_Part, frozen=True, kw_only=True):
    """The whole document."""

    operator: OperatorPart
    depot: DepotPart
    holidays: list[HolidayPart] = []
    stations: list[StationPart] = []
    tariffs: list[TariffPart] = []
    locations: list[LocationPart] = []
    schedules: list[SchedulePart] = []
    grants: list[GrantPart] = []


class DepotFileError(Exception):
    """Everything that is wrong with a depot file, one `line N: field: text` each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read(path: Path) -> DepotFile:
    """Read and check a depot file. Errors: DepotFileError naming line and field; OSError when unreadable."""
    text = path.read_text(encoding="utf-8")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        plain = yaml.load(text, Loader=_PlainLoader)  # noqa: S506  # a SafeLoader without dates and floats
    except yaml.YAMLError as error:
        raise DepotFileError([_yaml_problem(error)]) from error
    lines = Lines(root)
    try:
        file = msgspec.convert(plain, DepotFile, strict=False)
    except msgspec.ValidationError as error:
        raise DepotFileError([lines.name(str(error))]) from error
    problems = [f"line {lines.of(path)}: {path}: {text}" for path, text in _contradictions(file)]
    if problems:
        raise DepotFileError(problems)
    return file


class _PlainLoader(yaml.SafeLoader):
    """Knows whole numbers, yes/no and null; the rest is text: 12.10 stays 12.10, and 20:00 is no number."""


_KEPT = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?[0-9]+$"), list("-0123456789"))


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    return f"line {line}: not YAML: {getattr(error, 'problem', None) or error}"


class Lines:
    """Finds the line of a path such as `locations[0].bays[1].station` in the composed document."""

    def __init__(self, root: yaml.Node | None) -> None:
        self.root = root

    def of(self, path: str) -> int:
        """The line of the deepest node of the path that exists."""
        node, line = self.root, 1
        for step in path.replace("[", ".[").split("."):
            if node is None or not step:
                break
            found = self._child(node, step)
            if found is None:
                break
            node, line = found
        return line

    @staticmethod
    def _child(node: yaml.Node, step: str) -> tuple[yaml.Node, int] | None:
        if step.startswith("[") and isinstance(node, yaml.SequenceNode):
            index = step.strip("[]")
            if not index.isdigit() or int(index) >= len(node.value):
                return None
            child = node.value[int(index)]
            return child, child.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    return value, key.start_mark.line + 1
        return None

    def name(self, problem: str) -> str:
        """Turn msgspec's `… - at `$.depot.code`` into `line N: depot.code: …`."""
        text, _, where = problem.partition(" - at `$")
        path = where.rstrip("`").lstrip(".")
        return f"line {self.of(path)}: {path or 'file'}: {text}"


def tariff_of(part: TariffPart, party: str, now: datetime) -> v221.Tariff:
    """The OCPI tariff of a part. Errors: codec.Invalid."""
    country_code, party_id = party.split("-")
    return codec.decode(
        v221.Tariff,
        {
            "country_code": country_code,
            "party_id": party_id,
            "id": part.id,
            "currency": part.currency,
            "type": part.type.value if part.type else None,
            "elements": part.elements,
            "min_price": part.min_price,
            "max_price": part.max_price,
            "tariff_alt_text": [{"language": "en", "text": part.alt_text}] if part.alt_text else None,
            "last_updated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )


def _contradictions(file: DepotFile) -> Iterator[tuple[str, str]]:
    if file.depot.time_zone not in available_timezones():
        yield "depot.time_zone", f"'{file.depot.time_zone}' is no IANA time zone, for example Europe/Brussels"
    for field, bound in (("latitude", 90), ("longitude", 180)):
        degrees: Decimal = getattr(file.depot, field)
        if not (degrees.is_finite() and -bound <= degrees <= bound):
            yield f"depot.{field}", f"{degrees} is not between -{bound} and {bound} degrees"
    for number, location in enumerate(file.locations):
        fault = display_text_fault(location.directions)
        if fault is not None:
            yield f"locations[{number}].directions", fault
    yield from _repeats(file)
    yield from _dangling(file)
    for number, schedule in enumerate(file.schedules):
        if not schedule.windows and not schedule.exceptions:
            yield f"schedules[{number}].windows", "has no window at all; a grant on it would never open"
        for index, exception in enumerate(schedule.exceptions):
            if (exception.opens is None) != (exception.closes is None):
                yield f"schedules[{number}].exceptions[{index}]", "give both opens and closes, or neither"


def _repeats(file: DepotFile) -> Iterator[tuple[str, str]]:
    groups = {
        "stations": [(f"stations[{n}].identity", s.identity) for n, s in enumerate(file.stations)],
        "tariffs": [(f"tariffs[{n}].id", t.id.upper()) for n, t in enumerate(file.tariffs)],
        "locations": [(f"locations[{n}].key", loc.key.upper()) for n, loc in enumerate(file.locations)],
        "schedules": [(f"schedules[{n}].name", s.name) for n, s in enumerate(file.schedules)],
        "holidays": [(f"holidays[{n}].date", str(h.date)) for n, h in enumerate(file.holidays)],
        "bays": [(path, bay.evse_id.upper()) for path, bay in _bays(file, "evse_id")],
        "connectors": [
            (path, f"{bay.station} connector {bay.connector}") for path, bay in _bays(file, "station")
        ],
    }
    for entries in groups.values():
        seen: set[str] = set()
        for path, value in entries:
            if value in seen:
                yield path, f"'{value}' is given twice"
            seen.add(value)


def _bays(file: DepotFile, field: str) -> Iterator[tuple[str, BayPart]]:
    for number, location in enumerate(file.locations):
        for index, bay in enumerate(location.bays):
            yield f"locations[{number}].bays[{index}].{field}", bay


def _dangling(file: DepotFile) -> Iterator[tuple[str, str]]:
    stations = {station.identity for station in file.stations}
    for path, bay in _bays(file, "station"):
        if bay.station not in stations:
            yield path, f"'{bay.station}' is not among the stations of this file"
    known = {
        "location": {location.key for location in file.locations},
        "schedule": {schedule.name for schedule in file.schedules},
        "tariff": {tariff.id for tariff in file.tariffs},
    }
    for number, grant in enumerate(file.grants):
        for field, names in known.items():
            if getattr(grant, field) not in names:
                yield f"grants[{number}].{field}", f"'{getattr(grant, field)}' is not in this file"
        for place, tariff in enumerate(grant.profile_tariffs):
            if tariff not in known["tariff"]:
                yield f"grants[{number}].profile_tariffs[{place}]", f"'{tariff}' is not in this file"
