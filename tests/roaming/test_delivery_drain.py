import pytest
from roaming.delivery.models import Attempt, Obligation
from tests.roaming.deliveries import *

pytestmark = pytest.mark.django_db(transaction=True)

def test_smoke(partner):
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    owe_cdr(party, "CDR-1")
    drain()
    print([str(r) for r in partner.requests])
    print(list(Obligation.objects.values_list("object_key","state","last_error")), list(Attempt.objects.values_list("outcome","error","milliseconds")))
    let_pass(2)
    owe_bay(party, "B1", "CHARGING")
    drain()
    print([str(r) for r in partner.requests], partner.requests[-1].headers)
    assert partner.sessions[("BE","YRD","B1")]["status"]=="CHARGING"
