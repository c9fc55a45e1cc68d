"""The operator's commands: what they print, and that a refusal changes nothing."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from roaming.models import Agreement, Party, Platform
from roaming.secrets import read_outbound_token
from tests.factories import PartyFactory
from tests.partner_platform import connect
from tests.roaming.hubs import client_info, connected, rhine
from tests.roaming.support import snapshot

__all__ = ["rhine"]

pytestmark = pytest.mark.django_db(transaction=True)

RANDSTAD = ("--name", "Randstad Taxi", "--country", "NL", "--party", "EMS", "--role", "EMSP")


def run(*arguments):
    """Return what a command reports with --json."""
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def refusal(*arguments):
    """Return the text of a refusal, after checking that nothing changed and nothing was printed."""
    before, out = snapshot(), StringIO()
    with pytest.raises(CommandError) as refused:
        call_command(*arguments, stdout=out)
    assert (snapshot(), out.getvalue()) == (before, "")
    return str(refused.value)


def test_a_partner_comes_to_us(yardgate, partner):
    """CRD-09: invite, list, suspend, resume, rotate, unregister."""
    invitation = run("invite_partner", *RANDSTAD)
    assert invitation["versions_url"] == f"{yardgate}/ocpi/versions"
    assert partner.register(invitation["versions_url"], invitation["token_a"]).code == 1000
    (listed,) = run("list_partners")
    assert (listed["name"], listed["status"], listed["parties"]) == (
        "Randstad Taxi",
        "CONNECTED",
        ["EMSP NL-EMS"],
    )
    assert listed["endpoints"]["tokens SENDER"] == partner.endpoint("tokens")
    named = ("--name", "Randstad Taxi")
    assert run("suspend_partner", *named) == {"Randstad Taxi": "SUSPENDED"}
    assert run("suspend_partner", *named, "--resume") == {"Randstad Taxi": "CONNECTED"}
    assert run("rotate_credentials", *named) == {"Randstad Taxi": "rotated"}
    assert run("rotate_credentials", "--changed") == {}
    assert run("unregister_partner", *named) == {"Randstad Taxi": "unregistered"}
    assert [each["status"] for each in run("list_partners")] == ["UNREGISTERED"]


def test_we_go_to_a_partner(yardgate, partner):
    """CRD-28."""
    report = run(
        "register_partner", "--versions-url", partner.versions_url, "--token-a", partner.invite(), "--name", "Randstad"
    )  # fmt: skip
    assert (report["status"], report["parties"]) == ("CONNECTED", ["EMSP NL-EMS"])


def test_an_invitation_with_several_roles_and_hosts(yardgate):
    """CRD-05, T15."""
    run("invite_partner", *RANDSTAD, "--also", "EMSP/BE/EMS", "--approved-host", "OCPI.randstad.example")
    platform = Platform.objects.get()
    assert platform.allowed_roles == [["EMSP", "NL", "EMS"], ["EMSP", "BE", "EMS"]]
    assert platform.approved_hosts == ["ocpi.randstad.example"]


def test_parties_of_our_own(yardgate):
    """CRD-07: safe to repeat; a new name is taken over."""
    brussels = ("add_party", "--country", "be", "--party", "yr2", "--name")
    first = run(*brussels, "Yardgate Brussels")
    assert first["party"] == "CPO BE-YR2"
    assert run(*brussels, "Yardgate Brussels")["id"] == first["id"]
    assert run(*brussels, "Yardgate Bruxelles")["id"] == first["id"]
    assert Party.objects.get(party_id="YR2").name == "Yardgate Bruxelles"


def test_reports_for_people(yardgate, partner):
    out = StringIO()
    call_command("list_partners", stdout=out)
    assert out.getvalue() == "no partners yet (manage.py invite_partner)\n"
    connect(partner, yardgate)
    out = StringIO()
    call_command("list_partners", stdout=out)
    assert out.getvalue().startswith("Randstad Taxi: CONNECTED, EMSP NL-EMS, last seen 2")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("invite_partner", *RANDSTAD[:-1], "emsp"), "role must be one of"),
        (("invite_partner", *RANDSTAD, "--also", "EMSP-BE-EMS"), "--also: must be ROLE/COUNTRY/PARTY"),
        (("invite_partner", "--name", "X", "--country", "BE", "--party", "YRD", "--role", "CPO"), "belongs to this"),
        (("register_partner", "--versions-url", "ftp://x/", "--token-a", "A", "--name", "X"), "the versions URL must be"),
        (("register_partner", "--versions-url", "http://127.0.0.1:1/", "--token-a", "A", "--name", "X"), "could not be fetched"),
        (("rotate_credentials", "--name", "Nobody"), "there is no platform 'Nobody' (known: none yet)"),
        (("unregister_partner", "--name", "Nobody"), "there is no platform"),
        (("suspend_partner", "--name", "Nobody"), "there is no platform"),
        (("add_party", "--country", "BEL", "--party", "YRD", "--name", "X"), "a party is two letters"),
        (("add_party", "--country", "BE", "--party", "YR2", "--name", ""), "name: shorter than 1 character"),
    ],
)  # fmt: skip
def test_refusals(yardgate, arguments, text):
    """A clear text, exit code 1, and nothing changed."""
    assert text in refusal(*arguments)


def test_a_partners_party_does_not_become_ours(yardgate, partner):
    """CRD-08."""
    connect(partner, yardgate)
    text = refusal("add_party", "--country", "NL", "--party", "EMS", "--role", "EMSP", "--name", "Ours")
    assert text == "EMSP NL-EMS belongs to platform 'Randstad Taxi'"


def test_a_partner_that_is_gone(yardgate, partner):
    """CRD-36: it cannot be told; the operator may end it all the same."""
    connect(partner, yardgate)
    partner.stop()
    assert "could not be told (refused)" in refusal("unregister_partner", "--name", "Randstad Taxi")
    assert run("unregister_partner", "--name", "Randstad Taxi", "--without-telling") == {
        "Randstad Taxi": "unregistered"
    }


def test_a_new_key(yardgate, partner, settings):
    """Security 6.2: the newest key writes; without the old one nothing is changed, or lost."""
    old, new = "11" * 32, "22" * 32
    settings.FIELD_ENCRYPTION_KEYS = [old]
    platform = connect(partner, yardgate)
    token = read_outbound_token(platform)
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert "no usable outbound token" in refusal("reencrypt_tokens")
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    assert run("reencrypt_tokens") == {"written": 1}
    settings.FIELD_ENCRYPTION_KEYS = [new]
    platform.refresh_from_db()
    assert read_outbound_token(platform) == token


def test_agreements_by_command():
    """HUB-28, HCI-04: in force, planned, ended; for some modules, which stay until others are said; each party by its
    role where it has several."""
    taxi, cpo = PartyFactory(party_id="EMS"), PartyFactory(role="CPO", country_code="BE", party_id="CPO")
    both = ("agree", "--one", "nl-ems", "--other", "BE-CPO")
    report = {"one": "EMSP NL-EMS", "other": "CPO BE-CPO", "status": "PLANNED", "modules": "all"}
    assert run(*both, "--planned") == report
    assert run(*both, "--modules", "locations, commands") == report | {
        "status": "ACTIVE", "modules": ["commands", "locations"]
    }  # fmt: skip
    some = report | {"modules": ["commands", "locations"]}
    assert run(*both, "--end") == some | {"status": "ENDED"}
    assert run(*both) == some | {"status": "ACTIVE"}
    assert "--modules: names modules, or the word all" in refusal(*both, "--modules", " ,")
    assert Agreement.objects.get().modules == some["modules"]
    assert run(*both, "--modules", "all") == report | {"status": "ACTIVE"}
    PartyFactory(role="NSP", country_code="BE", party_id="CPO", platform=cpo.platform)
    assert "say one of CPO/BE-CPO, NSP/BE-CPO" in refusal(*both)
    assert run("agree", "--one", "NL-EMS", "--other", "cpo/be-cpo") == report | {"status": "ACTIVE"}
    assert "no partner has the party 'NL-XXX'" in refusal("agree", "--one", "NL-XXX", "--other", "NL-EMS")
    assert "needs two parties" in refusal("agree", "--one", "NL-EMS", "--other", "NL-EMS")
    assert "modules: versions" in refusal(
        "agree", "--one", "NL-EMS", "--other", "cpo/be-cpo", "--modules", "versions"
    )
    assert Agreement.objects.get().one == taxi


def test_the_clients_of_a_hub_by_command(rhine):
    """HCI-13: now, rather than within the hour; a partner that is no hub has no clients."""
    assert run("pull_clientinfo") == {}
    connected(rhine)
    rhine.clients = [client_info(), {"party_id": "?"}]
    report = {"Rhine Hub": {"received": 2, "foreign": 0, "broken": 1}}
    assert run("pull_clientinfo") == run("pull_clientinfo", "--name", "Rhine Hub") == report
    assert Party.objects.get(party_id="EMS").presence == "CONNECTED"
    PartyFactory(party_id="EM2", platform__name="Randstad Taxi")
    assert "is no connected hub" in refusal("pull_clientinfo", "--name", "Randstad Taxi")
