"""The story: a partner finds the depot, charges inside its window, and is billed.

Everything happens over real HTTP and real WebSockets against a running stack; the partners and the stations are
other programs' sides of the wire and import nothing of the product but the simulator's own package.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chargers.simulator import Vehicle
from demo.partner import Partner
from demo.stage import ROOT, Checks, CommandFailed, Manage, Stations, wait_for

ZONE = ZoneInfo("Europe/Brussels")
CENT = Decimal("0.01")


@dataclass
class Story:
    """One performance on one stack."""

    http: str
    ocpp: str
    folder: Path
    checks: Checks

    def __post_init__(self) -> None:
        self.manage = Manage(self.folder)
        self.taxi = Partner("Randstad Taxi", "NL", "EMS").start()
        self.stranger = Partner("Nordlicht Mobil", "DE", "NLM").start()
        self.stations = Stations(self.ocpp)
        self.opens_at = datetime.now(UTC)

    def play(self) -> bool:
        """Play all scenes; returns whether everything held."""
        scenes = [
            self.meet,
            self.open_depot,
            self.look_around,
            self.come_too_early,
            self.charge_by_app,
            self.bill,
            self.charge_by_card,
            self.partner_goes_down,
            self.finance,
        ]
        for scene in scenes:
            self.checks.tell(f"\n{(scene.__doc__ or '').splitlines()[0]}")
            try:
                scene()
            except (
                AssertionError,
                CommandFailed,
                ValueError,
                IndexError,
                TimeoutError,
                KeyError,
                OSError,
                StopIteration,
            ) as error:
                self.checks.expect(False, f"{scene.__name__}: {type(error).__name__}", error)
                break
        return self.checks.is_passed

    def close(self) -> None:
        """Switch partners and stations off."""
        self.stations.stop()
        self.taxi.stop()
        self.stranger.stop()

    def meet(self) -> None:
        """1. Partners connect, one registering with us, one invited by us to be registered with."""
        expect = self.checks.expect
        self.manage("add_party", "--country", "BE", "--party", "YRD", "--name", "Yardgate Depots")
        invitation = self.manage.json(
            "invite_partner", "--country", "NL", "--party", "EMS", "--role", "EMSP", "--name", "Randstad Taxi"
        )
        expect(
            {"token_a", "versions_url"} <= set(invitation),
            "the invitation has a token A and our versions URL",
        )
        answer = self.taxi.register(invitation["versions_url"], invitation["token_a"])
        expect(answer.code == 1000, "the partner registers: versions, details, POST credentials", answer.code)
        called_back = [str(each) for each in self.taxi.received("GET", "/ocpi/emsp")]
        expect(len(called_back) >= 2, "we call back for its versions and details before we answer")
        dead = self.taxi.call("GET", invitation["versions_url"], token=invitation["token_a"])
        expect(dead.http_status == 401, "token A is dead afterwards", dead.http_status)
        expect(self.taxi.token not in ("", invitation["token_a"]), "both sides hold new tokens")
        self.manage(
            "register_partner", "--versions-url", self.stranger.versions_url,
            "--token-a", self.stranger.invite(), "--name", "Nordlicht Mobil",
        )  # fmt: skip
        versions = self.stranger.call("GET", f"{self.http}/ocpi/versions")
        expect(versions.code == 1000, "the other way round: we register with a partner that invited us")

    def open_depot(self) -> None:
        """2. The operator loads the depot, and its stations connect."""
        expect = self.checks.expect
        file = self._depot_file(opens_in=timedelta(minutes=10))
        report = self.manage.json("load_depot", str(file))
        expect(report["created"], "load_depot creates the site", f"{len(report['created'])} rows")
        again = self.manage.json("load_depot", str(file))
        expect(
            again["created"] == again["changed"] == [],
            "loading it again changes nothing",
            f"{again['unchanged']} unchanged",
        )
        self.stations.start()
        expect(
            self.stations.fast.is_registered and self.stations.slow.is_registered,
            "two OCPP 1.6 stations boot over WebSockets with their passwords",
        )

    def _depot_file(self, *, opens_in: timedelta) -> Path:
        """The example depot; its guests may come from then on, to the second (windows are whole minutes)."""
        now = datetime.now(UTC).replace(microsecond=0).astimezone(ZONE)
        self.opens_at = now + opens_in
        hours = f'opens: "{now:%H:%M}", closes: "{now + timedelta(hours=3):%H:%M}"'
        text = (ROOT / "examples" / "gent-noord.yaml").read_text()
        text = text.replace('opens: "20:00", closes: "05:00"', hours)
        tariff = "    tariff: GENT-TAXI\n"
        text = text.replace(tariff, f"{tariff}    valid_from: {self.opens_at.isoformat()}\n")
        file = self.folder / "gent-noord.yaml"
        file.write_text(text)
        return file

    def look_around(self) -> None:
        """3. Partners look around: each sees its own view."""
        expect = self.checks.expect
        locations = self.taxi.get_all("locations", limit=1)
        tariffs = self.taxi.get_all("tariffs")
        expect(
            [each["name"] for each in locations] == ["Gent Noord - guest bays"],
            "the taxi partner sees the guest bays",
        )
        expect([each["id"] for each in tariffs] == ["GENT-TAXI"], "and its own tariff")
        statuses = {evse["status"] for evse in locations[0]["evses"]}
        expect(statuses == {"INOPERATIVE"}, "before the window its bays are INOPERATIVE, with a schedule",
               locations[0]["evses"][0].get("status_schedule", [{}])[0].get("period_begin", ""))  # fmt: skip
        expect(self.stranger.get_all("locations") == [], "the partner without a grant sees an empty list")
        guessed = self.stranger.get("locations", locations[0]["id"])
        expect(guessed.http_status == 404, "and 404 for a guessed id", guessed.http_status)
        self.location = locations[0]

    def come_too_early(self) -> None:
        """4. Before the window opens nobody starts."""
        expect = self.checks.expect
        self.card = self.taxi.add_token("04A2B3C4D5E680")
        self.app = self.taxi.add_token("driver-17@randstad", type="APP_USER", whitelist="NEVER")
        pushed = [self.taxi.push_token(uid).code for uid in (self.card["uid"], self.app["uid"])]
        expect(pushed == [1000, 1000], "the partner PUTs its RFID and app tokens")
        answer, _ = self._start(self.stations.fast.identity)
        text = answer.data.get("message", [{}])[0].get("text", "") if answer.data else ""
        refused = answer.code == 1000 and answer.data["result"] == "REJECTED"
        expect(
            refused and "Opens" in text and "Ref d-" in text,
            "START_SESSION is REJECTED with the opening and a reference",
            text,
        )
        shown = self.stations.do(self.stations.slow.tap(1, self.card["uid"]))
        expect(shown == "Blocked", "a card at the reader is refused as well", shown)

    def _start(self, identity: str) -> tuple[Any, str]:
        evse = self._evse(identity)
        answer, uid = self.taxi.command(
            "START_SESSION", token=self.app, location_id=self.location["id"], evse_uid=evse["uid"]
        )
        return answer, uid

    def _evse(self, identity: str) -> dict[str, Any]:
        wanted = {"GENT-01": "BE*YRD*E0001", "GENT-02": "BE*YRD*E0002"}[identity]
        found: dict[str, Any] = next(each for each in self.location["evses"] if each["evse_id"] == wanted)
        return found

    def charge_by_app(self) -> None:
        """5. The window opens; a driver charges by app."""
        expect = self.checks.expect
        report = self.manage.json("load_depot", str(self._depot_file(opens_in=timedelta(seconds=12))))
        expect(
            report["changed"] == ["grant of NL-EMS at guest"],
            "the operator lets guests in earlier: load_depot changes the grant and nothing else",
        )
        self.taxi.forget()
        time.sleep(max(0.0, (self.opens_at - datetime.now(UTC)).total_seconds()))
        begun = time.monotonic()
        seen = self.taxi.wait_until(lambda: self._partner_sees() == {"AVAILABLE"}, 12)
        expect(
            seen,
            "the partner is told that the bays are AVAILABLE",
            f"{time.monotonic() - begun:.1f} s after the opening",
        )
        answer, uid = self._start("GENT-01")
        expect(answer.data and answer.data["result"] == "ACCEPTED", "START_SESSION is ACCEPTED")
        expect(self.taxi.wait_until(lambda: uid in self.taxi.command_results), "the result arrives at response_url",
               self.taxi.command_results.get(uid, {}).get("result"))  # fmt: skip
        expect(self.taxi.wait_until(lambda: "PENDING" in self._statuses()), "the Session is PUT as PENDING")
        self.stations.run(lambda: self.stations.fast.plug(1, Vehicle(max_w=Decimal(150_000))))
        became = self.taxi.wait_until(lambda: self._statuses() == ["PENDING", "ACTIVE"])
        expect(became, "the driver plugs in: PENDING → ACTIVE", " → ".join(self._statuses()))
        growing = self.taxi.wait_until(lambda: self._kwh() > 0, 15)
        expect(growing, "meter values arrive at the partner", f"{self._kwh()} kWh so far")
        stop, stop_uid = self.taxi.command("STOP_SESSION", session_id=self._session()["id"])
        expect(stop.data and stop.data["result"] == "ACCEPTED", "STOP_SESSION is ACCEPTED")
        self.taxi.wait_until(lambda: stop_uid in self.taxi.command_results)
        expect(
            self.taxi.wait_until(lambda: self._session()["status"] == "COMPLETED"),
            "the Session ends COMPLETED",
            f"{self._kwh()} kWh",
        )
        self.stations.run(lambda: self.stations.fast.unplug(1))

    def _partner_sees(self) -> set[str]:
        return {evse["status"] for each in self.taxi.locations.values() for evse in each.get("evses", [])}

    def _statuses(self) -> list[str]:
        """Statuses of all session pushes so far, without repeats."""
        told = [
            each.json.get("status")
            for each in self.taxi.received(path="/sessions/")
            if each.method in ("PUT", "PATCH")
        ]
        return list(dict.fromkeys(status for status in told if status))

    def _session(self) -> dict[str, Any]:
        return max(self.taxi.sessions.values(), key=lambda each: str(each["start_date_time"]))

    def _session_of(self, uid: str) -> dict[str, Any]:
        """The newest Session of a token, empty while there is none."""
        own = [each for each in self.taxi.sessions.values() if each["cdr_token"]["uid"] == uid]
        return max(own, key=lambda each: str(each["start_date_time"])) if own else {}

    def _kwh(self) -> Decimal:
        return Decimal(str(self._session().get("kwh", 0))) if self.taxi.sessions else Decimal(0)

    def bill(self) -> None:
        """6. The CDR: priced, sealed, delivered."""
        expect = self.checks.expect
        session = self._session()
        expect(self.taxi.wait_until(lambda: self._cdrs_of(session)), "the CDR is POSTed to the partner")
        self._check_bill(session)
        deliveries = wait_for(lambda: [each for each in self._deliveries() if each["location_url"]], 5)
        expect(
            deliveries,
            "the Location that the partner gave is kept",
            deliveries[0]["location_url"] if deliveries else "",
        )

    def _deliveries(self) -> list[dict[str, Any]]:
        return [each for each in self.manage.json("deliveries", "--kind", "cdr") if each["state"] == "ACKED"]

    def _cdrs_of(self, session: dict[str, Any]) -> list[dict[str, Any]]:
        return [each for each in self.taxi.cdrs.values() if each["session_id"] == session["id"]]

    def _check_bill(self, session: dict[str, Any]) -> None:
        """Price it again by hand: 0.50 + 0.39 per kWh + 3.00 per hour parked, 21 % VAT."""
        [cdr] = self._cdrs_of(session)
        kwh, parked = Decimal(str(cdr["total_energy"])), Decimal(str(cdr.get("total_parking_time", 0)))
        exact = Decimal("0.50") + kwh * Decimal("0.39") + parked * 3
        expected = (
            exact.quantize(CENT, ROUND_HALF_UP),
            (exact * Decimal("1.21")).quantize(CENT, ROUND_HALF_UP),
        )
        total = Decimal(str(cdr["total_cost"]["excl_vat"])), Decimal(str(cdr["total_cost"]["incl_vat"]))
        self.checks.expect(
            total == expected,
            "the total is what the tariff says, to the cent",
            f"{kwh} kWh = EUR {total[0]} ({total[1]} incl. VAT)",
        )

    def charge_by_card(self) -> None:
        """7. A driver charges by card, authorized by the partner in real time."""
        expect = self.checks.expect
        card = self.taxi.add_token("04FFEE11223344", whitelist="NEVER")
        self.taxi.push_token(card["uid"])
        self.stations.run(lambda: self.stations.slow.plug(1, Vehicle(max_w=Decimal(22_000))))
        before = len(self.taxi.received("POST", "/authorize"))
        shown = self.stations.do(self.stations.slow.tap(1, card["uid"]))
        asked = self.taxi.received("POST", "/authorize")[before:]
        expect(
            shown == "Accepted" and len(asked) == 1,
            "the partner is asked in real time, with the place",
            shown,
        )
        expect(
            asked and asked[0].json.get("location_id") == self.location["id"],
            "the question names the Location",
        )
        uid = card["uid"]
        expect(
            self.taxi.wait_until(lambda: self._session_of(uid).get("status") == "ACTIVE"),
            "its Session is ACTIVE",
            self._session_of(uid).get("auth_method"),
        )
        self.taxi.wait_until(lambda: Decimal(str(self._session_of(uid).get("kwh", 0))) > 0, 12)
        self.stations.do(self.stations.slow.tap(1, card["uid"]))
        expect(self.taxi.wait_until(lambda: self._cdrs_of(self._session_of(uid))), "the second CDR arrives")
        self._check_bill(self._session_of(uid))
        self.stations.run(lambda: self.stations.slow.unplug(1))

    def partner_goes_down(self) -> None:
        """8. The partner goes down during a session, and comes back."""
        expect = self.checks.expect
        self.stations.run(lambda: self.stations.fast.plug(1, Vehicle(max_w=Decimal(150_000))))
        self.stations.do(self.stations.fast.tap(1, self.card["uid"]))
        uid = self.card["uid"]
        expect(
            self.taxi.wait_until(lambda: self._session_of(uid).get("status") == "ACTIVE"),
            "a third Session runs",
        )
        self.taxi.stop()
        time.sleep(4)
        self.stations.do(self.stations.fast.tap(1, self.card["uid"]))
        time.sleep(2)
        self.taxi.forget()
        self.taxi.start()
        expect(
            self.taxi.wait_until(lambda: self._session_of(uid).get("status") == "COMPLETED", 20),
            "back again, it has the present state of the Session",
        )
        expect(self.taxi.wait_until(lambda: self._cdrs_of(self._session_of(uid)), 20), "and the CDR")
        time.sleep(2)
        copies = [
            each
            for each in self.taxi.received("POST", "/cdrs")
            if each.json["session_id"] == self._session_of(uid)["id"]
        ]
        expect(
            len(self._cdrs_of(self._session_of(uid))) == 1 and len({each.body for each in copies}) == 1,
            "exactly one CDR",
            f"sent {len(copies)} times",
        )
        self._check_bill(self._session_of(uid))
        self.stations.run(lambda: self.stations.fast.unplug(1))

    def finance(self) -> None:
        """9. Finance exports the month."""
        expect = self.checks.expect
        out = self.folder / "cdrs.csv"
        month = f"{datetime.now(UTC).astimezone(ZONE):%Y-%m}"
        export = self.manage.json("export_cdrs", "--month", month, "--out", str(out))
        sums = [
            sum(Decimal(str(cdr["total_cost"][part])) for cdr in self.taxi.cdrs.values())
            for part in ("excl_vat", "incl_vat")
        ]
        totals = export["totals"]["EUR"]
        given = [Decimal(str(totals[part])) for part in ("excl_vat", "incl_vat")]
        expect(
            export["rows"] == 3 and given == sums,
            "the CSV's total equals the CDRs that the partner holds",
            f"EUR {given[0]} ({given[1]} incl. VAT)",
        )
        books = self.manage.json("check_books")
        expect(books["is_balanced"], "the books agree: every session is sealed, every CDR acknowledged")
