"""From one party to another through the hub, over real sockets."""

from demo.http import Reply
from tests.roaming.hub.peers import Hub, Peer, parties_of

TOKEN = b'{"country_code":"NL", "party_id":"EMS","uid":"04A2","x_extra":{"deep":[1.000001]},"last_updated":"2026-03-11T08:00:00Z"}'


def test_both_legs(hub: Hub, cpo: Peer, emsp: Peer) -> None:
    """HUB-10, HUB-12, HUB-13, HUB-14, HUB-15"""
    answer = emsp.ask("PUT", "receiver/tokens/NL/EMS/04%20A2?type=APP_USER", to=cpo.ocpi_id, body=TOKEN)
    assert (answer.http_status, answer.code) == (200, 1000), answer.body
    call = cpo.only_call
    assert call.target == "/odd/~tnm/v2.2.1;x/tokens/NL/EMS/04%20A2?type=APP_USER"
    assert call.body == TOKEN
    assert parties_of(call) == (("NL", "TNM"), ("NL", "EMS"))
    assert parties_of(answer) == (("NL", "EMS"), ("NL", "TNM"))
