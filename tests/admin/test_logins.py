"""Coming in, and the frame around every page (S2, S5)."""

import pytest
from django.test import Client

from tests.admin.conftest import PASSWORD, staff
from tests.admin.test_actions import errors, verb
from tests.admin.world import changed_tables, everything

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/?next=/admin/"


def attempt(password: str, *, name: str = "olga", address: str = "192.0.2.7"):
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password})


def test_after_twenty_wrong_passwords_the_right_one_is_refused_too_from_there_only(world) -> None:
    staff("olga", "Operators")
    staff("fien", "Finance")
    assert {attempt(f"wrong-{number}").status_code for number in range(20)} == {200}
    locked = attempt(PASSWORD)
    assert "Too many attempts from here: try again in" in errors(locked)
    assert attempt(PASSWORD, address="192.0.2.8").status_code == 302
    assert attempt(PASSWORD, name="fien").status_code == 302


def test_passwords_cannot_be_guessed_on_a_signature_either(operator: Client, world) -> None:
    staff("fien", "Finance")
    before = everything()
    url = verb("roaming_obligation_cancel", world.delivery)
    for number in range(20):
        operator.post(url, {"reason": "x", "second_user": "fien", "second_password": f"wrong-{number}"})
    answer = operator.post(url, {"reason": "x", "second_user": "fien", "second_password": PASSWORD})
    assert "Too many attempts" in errors(answer)
    assert changed_tables(before) == set()


def test_pages_load_nothing_from_elsewhere_and_stand_in_no_frame(operator: Client) -> None:
    page = operator.get("/admin/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert (page.headers["X-Frame-Options"], page.headers["Referrer-Policy"]) == ("DENY", "no-referrer")
    assert "https://" not in page.content.decode().replace("https://goo.gl", "")


def test_partners_are_answered_with_their_own_policy(db) -> None:
    answer = Client().get("/ocpi/versions")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
