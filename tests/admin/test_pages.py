"""Every page of the admin opens, hides what is secret, and changes nothing by being looked at."""

from collections import Counter
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from roaming.pages import change_url
from tests.admin.world import IMAGE, SCRIPT, SECRETS, changed_tables, everything

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
# It takes a snapshot of its own, which a test inside a transaction cannot give: see test_finance.py.
OWN_SNAPSHOT = {"cdrs_cdr_books"}
pytestmark = pytest.mark.django_db


def list_url(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def action_urls(model: type[Model]) -> Iterator[str]:
    """The pages of all verbs of a model, for its first row."""
    page = admin.site._registry[model]
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    for action in page._get_base_actions_list():
        if action.action_name in OWN_SNAPSHOT:
            continue
        yield reverse(f"admin:{action.action_name}")
    row = model._default_manager.first()
    for action in page._get_base_actions_detail():
        yield reverse(f"admin:{action.action_name}", args=[row.pk])
    yield reverse(f"admin:{name}_history", args=[row.pk])


def pages(model: type[Model]) -> Iterator[str]:
    yield list_url(model)
    for row in model._default_manager.all()[:5]:
        yield change_url(row)
    yield from action_urls(model)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_page_of_a_model_opens_and_changes_nothing(model: type[Model], root: Client) -> None:
    before = everything()
    for url in pages(model):
        page = root.get(url)
        assert page.status_code == 200, url
        text = page.content.decode()
        assert [secret for secret in SECRETS if secret in text] == [], url
        assert SCRIPT not in text, url
        assert IMAGE not in text, url
        assert page.headers["X-Frame-Options"] == "DENY"
    assert changed_tables(before) == set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_search_finds_and_does_not_break(model: type[Model], root: Client) -> None:
    page = root.get(list_url(model), {"q": "Gent <"})
    assert page.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_list_asks_the_database_the_same_question_once(model: type[Model], root: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert root.get(list_url(model)).status_code == 200
    repeated = {sql: count for sql, count in Counter(each["sql"] for each in asked).items() if count > 2}
    assert repeated == {}
    assert len(asked) <= 25


def test_the_partners_words_are_shown_as_words(root: Client, world) -> None:
    text = root.get(change_url(world.parked)).content.decode()
    assert "refused: 2001 &lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_stranger_is_sent_to_the_login(world) -> None:
    for model in MODELS:
        answer = Client().get(list_url(model))
        assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")
