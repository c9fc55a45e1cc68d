"""The OCPI face of tokens, through the whole stack."""

import json
import threading
from typing import Any, ClassVar

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from ocpi import codec, v221
from tests.contracts import ReceiverContract
from tests.factories import OwnPartyFactory, token_object
from tests.partners import PartnerClient, a_partner
from tokens.models import Token
from tokens.services import put_token, tokens_by_uid

PATH = "/ocpi/2.2.1/receiver/tokens"
URL = f"{PATH}/NL/EMS/04E1D2C3B4A580"


def as_json(token: v221.Token) -> dict[str, Any]:
    return json.loads(codec.encode(token))


class TestTokens(ReceiverContract):
    path: ClassVar[str] = PATH
    id_member: ClassVar[str] = "uid"
    optional: ClassVar[str] = "group_id"
    required: ClassVar[str] = "contract_id"
    change: ClassVar[dict[str, Any]] = {"valid": False, "whitelist": "NEVER"}

    def sample(self) -> dict[str, Any]:
        contract = v221.EnergyContract(supplier_name="Ecopower", contract_id="EC-1")
        return as_json(token_object(group_id="TAXI-A", language="nl", energy_contract=contract))

    def count(self) -> int:
        return Token.objects.count()


@pytest.fixture(autouse=True)
def _ours(db: None) -> None:
    OwnPartyFactory()


@pytest.fixture
def partner(_ours: None) -> PartnerClient:
    return a_partner()


def test_without_a_type_in_the_query_the_card_is_meant(partner: PartnerClient) -> None:
    """TOK-02: for GET, PUT and PATCH; DIS-53: a type in the body alone is believed."""
    app = as_json(token_object(type=v221.TokenType.APP_USER))
    assert partner.put(URL, app).http_status == 201
    assert partner.get(URL).http_status == 404
    assert partner.get(URL, type="APP_USER").data == app
    patch = {"valid": False, "last_updated": "2026-03-11T08:05:00Z"}
    assert partner.patch(URL, patch).http_status == 404
    assert partner.patch(f"{URL}?type=APP_USER", patch).status_code == 1000
    assert partner.get(URL, type="APP_USER").data == {**app, **patch}


def test_uid_and_type_are_the_key(partner: PartnerClient) -> None:
    """TOK-03."""
    for kind in (v221.TokenType.RFID, v221.TokenType.APP_USER):
        reply = partner.put(f"{URL}?type={kind}", as_json(token_object(type=kind)))
        assert reply.http_status == 201
    assert sorted(Token.objects.values_list("uid", "type")) == [
        ("04E1D2C3B4A580", "APP_USER"), ("04E1D2C3B4A580", "RFID")
    ]  # fmt: skip


def test_types_that_differ_are_refused(partner: PartnerClient) -> None:
    """TOK-04: in PUT, and in a PATCH that would turn a card into something else."""
    app = as_json(token_object(type=v221.TokenType.APP_USER))
    assert partner.put(f"{URL}?type=RFID", app).status_code == 2001
    assert partner.put(f"{URL}?type=CARD", app).status_code == 2001
    assert partner.get(URL, type="rfid").status_code == 2001
    assert Token.objects.count() == 0
    card = as_json(token_object())
    partner.put(URL, card)
    patch = {"type": "APP_USER", "last_updated": "2026-03-11T08:05:00Z"}
    assert partner.patch(URL, patch).status_code == 2001
    assert partner.get(URL).data == card


def test_a_token_is_invalidated_and_never_deleted(partner: PartnerClient) -> None:
    """TOK-05."""
    partner.put(URL, as_json(token_object()))
    assert partner.call("DELETE", URL).http_status == 405
    patch = {"valid": False, "last_updated": "2026-03-11T08:05:00Z"}
    assert partner.patch(URL, patch).status_code == 1000
    assert partner.get(URL).data["valid"] is False


def test_two_partners_may_own_one_uid_and_the_card_is_ambiguous_then(partner: PartnerClient) -> None:
    """TOK-06, B11: each sees and changes its own; who asks by uid gets both."""
    other = a_partner("DE", "FRE", platform__name="Freie Fahrt")
    mine = as_json(token_object())
    theirs = as_json(token_object(country_code="DE", party_id="FRE", contract_id="DE-FRE-1"))
    partner.put(URL, mine)
    reply = other.put(f"{PATH}/DE/FRE/04E1D2C3B4A580", theirs)
    assert (reply.http_status, reply.status_code) == (201, 1000)
    assert partner.get(URL).data == mine
    assert other.get(f"{PATH}/DE/FRE/04E1D2C3B4A580").data == theirs
    owners = [
        row.party
        for row in tokens_by_uid(own_party=OwnPartyFactory(), uid="04e1d2c3b4a580", type=v221.TokenType.RFID)
    ]
    assert owners == [partner.party, other.party]


def test_an_operators_block_outlives_what_the_owner_says(partner: PartnerClient) -> None:
    """B18: their field is theirs, our block is ours."""
    partner.put(URL, as_json(token_object(valid=False)))
    Token.objects.update(is_blocked_here=True)
    patch = {"valid": True, "last_updated": "2026-03-11T08:05:00Z"}
    assert partner.patch(URL, patch).status_code == 1000
    row = Token.objects.get()
    assert (row.valid, row.is_blocked_here) == (True, True)
    partner.put(URL, as_json(token_object(last_updated=row.last_updated, issuer="Other")))
    assert Token.objects.get().is_blocked_here is True


def test_a_put_is_two_statements(partner: PartnerClient) -> None:
    """The fast path: authenticate, write."""
    partner.put(URL, as_json(token_object()))
    for valid in (True, False):
        with CaptureQueriesContext(connection) as queries:
            partner.put(URL, as_json(token_object(valid=valid)))
        assert len(queries) == 2, [query["sql"][:100] for query in queries]


def test_tokens_of_a_role_that_was_given_up_are_not_found_by_uid(partner: PartnerClient) -> None:
    assert partner.party is not None
    partner.put(URL, as_json(token_object()))
    partner.party.is_active = False
    partner.party.save()
    assert tokens_by_uid(own_party=OwnPartyFactory(), uid="04E1D2C3B4A580", type=v221.TokenType.RFID) == []


def test_a_uid_that_no_card_can_have_is_not_looked_up(db: None) -> None:
    """T14, I5: what a reader sends is checked before the database sees it."""
    own_party = OwnPartyFactory()
    for uid in ("", "\x00", "ſ", "K", "04\n"):
        assert tokens_by_uid(own_party=own_party, uid=uid, type=v221.TokenType.RFID) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_puts_at_once_the_newer_stays() -> None:
    """Two real connections: whichever comes first, the state with the newer stamp is kept, and one is new."""
    OwnPartyFactory()
    party = a_partner().party
    assert party is not None
    tokens = [
        token_object(
            contract_id=f"C-{minute}", last_updated=token_object().last_updated.replace(minute=minute)
        )
        for minute in range(8)
    ]
    barrier = threading.Barrier(len(tokens))
    created = []

    def put(token: v221.Token) -> None:
        barrier.wait()
        created.append(
            put_token(own_party=OwnPartyFactory(), party=party, token=token, now=token.last_updated)
        )
        connections.close_all()

    threads = [threading.Thread(target=put, args=[token]) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 7 + [True]
    assert Token.objects.get().contract_id == "C-7"
