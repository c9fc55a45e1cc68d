"""Staff of one operator and the rows of another: by id, in lists, filters, choices, look-ups, verbs and exports (S1).

Walks every registered page, so a new one fails here until it says whose its rows are.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.fenced import FencedLocation, Pass
from config.groups import set_up_groups
from roaming.models import Agreement, Comparison, HubDocument, Lane, Obligation, Party, Platform
from roaming.operators import OperatorAdmin
from roaming.pages import change_url
from tests.admin.conftest import PASSWORD, logged_in, staff
from tests.admin.test_pages import MODELS, list_url
from tests.admin.world import World, changed_tables, everything, furnish
from tests.two_operators import load_antwerp
from tokens.models import Pull

pytestmark = pytest.mark.django_db

PAGES: dict[type[Model], Any] = dict(admin.site._registry)
SHARED = {Platform, Party, Lane, Pull, Agreement, Comparison, FencedLocation, HubDocument, Pass}
# Of nobody in particular: for superusers, or for those who act for all operators.
NOBODYS = {"auth.User", "auth.Group", "admin.LogEntry"}
OWNED = [model for model in MODELS if model not in SHARED and model._meta.label not in NOBODYS]
named = pytest.mark.parametrize("model", OWNED, ids=lambda model: model._meta.label)


@pytest.fixture(scope="module")
def evening(django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """As everywhere here, and BE-ANT has a depot like Gent Noord; all that `world` holds is BE-YRD's."""
    with django_db_blocker.unblock(), transaction.atomic():
        set_up_groups()
        world = furnish()
        load_antwerp(tmp_path_factory.mktemp("antwerp"), now=timezone.now())
        yield world
        transaction.set_rollback(True)


@pytest.fixture
def antwerp(world: World) -> Party:
    return Party.objects.get(party_id="ANT")


def with_every_permission(name: str, *operators: Party) -> User:
    """The worst case: only the scope stands in the way."""
    user = staff(name, operators=operators)
    user.user_permissions.set(Permission.objects.all())
    return user


@pytest.fixture
def bart(antwerp: Party) -> Client:
    """Of BE-ANT, with every permission there is."""
    return logged_in(with_every_permission("bart", antwerp))


def rows_of_others(model: type[Model]) -> list[Model]:
    """The rows that BE-YRD's staff see of a model."""
    olga = User.objects.filter(username="olga").first()
    olga = olga or with_every_permission("olga", Party.objects.get(party_id="YRD"))
    return list(PAGES[model].rows_for(olga, model._default_manager.all()))


def refused(answer: Any) -> bool:
    """Django answers a row that is not there with a way back to the first page; verbs answer 404."""
    return answer.status_code == 404 or (answer.status_code, getattr(answer, "url", "")) == (302, "/admin/")


def test_every_page_says_whose_its_rows_are() -> None:
    undeclared = {
        model._meta.label
        for model, page in PAGES.items()
        if not isinstance(page, OperatorAdmin)
        or not (page.is_shared or page.operator_path or type(page).rows_of is not OperatorAdmin.rows_of)
    }
    assert undeclared == NOBODYS
    assert {model for model, page in PAGES.items() if getattr(page, "is_shared", False)} == SHARED


@named
def test_rows_of_another_operator_are_not_there(model: type[Model], world, bart: Client) -> None:
    rows = rows_of_others(model)
    assert rows
    before = everything()
    listed = bart.get(list_url(model))
    assert not set(listed.context["cl"].queryset) & set(rows)
    for row in rows[:3]:
        for url in (change_url(row), reverse(f"admin:{_name(model)}_history", args=[row.pk])):
            assert refused(bart.get(url)), url
        assert refused(bart.post(change_url(row), {"name": "Mine now", "status": "ENDED"})) or (
            bart.post(change_url(row)).status_code == 403
        )
    assert changed_tables(before) == set()


@named
def test_verbs_do_not_reach_rows_of_another_operator(model: type[Model], world, bart: Client) -> None:
    rows = rows_of_others(model)
    before = everything()
    for action in PAGES[model]._get_base_actions_detail():
        url = reverse(f"admin:{action.action_name}", args=[rows[0].pk])
        assert [bart.get(url).status_code, bart.post(url).status_code] == [404, 404], url
    chosen = [str(row.pk) for row in rows]
    for name in PAGES[model].actions or ():
        for confirmed in ("", "yes"):
            bart.post(
                list_url(model), {"action": name, "_selected_action": chosen, "is_confirmed": confirmed}
            )
    deletion = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    bart.post(list_url(model), deletion)
    assert changed_tables(before) == set()


@named
def test_filters_and_forms_name_no_row_of_another_operator(model: type[Model], world, bart: Client) -> None:
    strangers = {each: set(rows_of_others(each)) for each in OWNED}
    listed = bart.get(list_url(model)).context["cl"]
    for spec in listed.filter_specs:
        field = getattr(spec, "field", None)
        if field is not None and field.remote_field and field.related_model in strangers:
            offered = {str(key) for key, _ in spec.lookup_choices}
            assert not offered & {str(row.pk) for row in strangers[field.related_model]}, spec.title
    for form in _forms(model, bart):
        for name, field in form.fields.items():
            rows = getattr(field, "queryset", None)
            # A hidden one is the row itself: it takes none but those below the row of the page.
            if rows is not None and rows.model in strangers and not field.widget.is_hidden:
                assert not set(rows) & strangers[rows.model], name


@named
def test_filtering_by_a_row_of_another_operator_finds_nothing(
    model: type[Model], world, bart: Client
) -> None:
    rows = set(rows_of_others(model))
    for row in list(rows)[:2]:
        found = bart.get(list_url(model), {"pk__exact": row.pk, "e": "0"})
        if found.status_code == 200:
            assert not set(found.context["cl"].queryset) & rows


@named
def test_look_ups_find_no_row_of_another_operator(model: type[Model], world, bart: Client) -> None:
    """The admin's own look-up answers for every relation that leads to a page with a search, used or not."""
    strangers = {str(row.pk) for row in rows_of_others(model)}
    for source in MODELS:
        for field in source._meta.fields:
            if field.related_model is not model or not PAGES[model].search_fields:
                continue
            asked = {
                "app_label": source._meta.app_label,
                "model_name": source._meta.model_name,
                "field_name": field.name,
            }
            answer = bart.get(reverse("admin:autocomplete"), asked)
            assert answer.status_code == 200
            assert not {each["id"] for each in answer.json()["results"]} & strangers


@named
def test_of_two_operators_staff_of_one_see_all_of_its_rows(
    model: type[Model], world, root: Client, bart: Client
) -> None:
    """What is closed to the other stays open to the one: what both see is, together, everything that is anybody's."""
    olga = logged_in(with_every_permission("olga", Party.objects.get(party_id="YRD")))
    seen = [set(each.get(list_url(model)).context["cl"].queryset) for each in (root, olga, bart)]
    assert seen[0] == seen[1] | seen[2]
    assert not seen[1] & seen[2]


def test_staff_without_a_scope_see_no_row_at_all(world, antwerp: Party) -> None:
    nobody = logged_in(with_every_permission("newcomer"))
    assert nobody.get("/admin/").status_code == 200
    for model in MODELS:
        answer = nobody.get(list_url(model))
        assert answer.status_code == 403 or not answer.context["cl"].queryset.exists(), model


def test_only_superusers_change_people(world, antwerp: Party, root: Client) -> None:
    both = logged_in(with_every_permission("both", antwerp, Party.objects.get(party_id="YRD")))
    for url in ("/admin/auth/user/", "/admin/auth/group/", "/admin/auth/user/add/"):
        assert (both.get(url).status_code, root.get(url).status_code) == (403, 200)


def test_what_operators_share_is_changed_by_who_works_for_all_of_them(
    world, antwerp: Party, bart: Client
) -> None:
    both = logged_in(with_every_permission("both", antwerp, Party.objects.get(party_id="YRD")))
    platform, lane = world.party.platform, world.parked.lane
    verbs = [
        reverse("admin:roaming_platform_suspend", args=[platform.pk]),
        reverse("admin:roaming_platform_rotate", args=[platform.pk]),
        reverse("admin:roaming_platform_invite"),
        reverse("admin:roaming_lane_try_again_now", args=[lane.pk]),
        reverse("admin:tokens_pull_read_now", args=[platform.pk]),
        reverse("admin:cdrs_cdr_books"),
    ]
    before = everything()
    for url in verbs:
        assert (bart.get(url).status_code, bart.post(url).status_code) == (403, 403), url
    assert bart.get(change_url(platform)).status_code == 200
    assert bart.post(change_url(platform), {"name": "Mine"}).status_code == 403
    assert changed_tables(before) == set()
    assert {both.get(url).status_code for url in verbs[:-1]} == {200}


def test_the_first_page_shows_only_ones_own_depots(world, bart: Client, root: Client) -> None:
    mine, everybodys = (each.get("/admin/").context for each in (bart, root))
    assert [depot.name for depot in mine["depots"]] == ["Antwerpen Zuid"]
    assert [depot.name for depot in everybodys["depots"]] == ["Antwerpen Zuid", "Gent Noord"]
    assert (mine["running"], mine["refusals"], mine["deliveries"]) == ([], [], [])
    assert [len(everybodys[name]) for name in ("running", "refusals", "deliveries")] == [1, 1, 1]
    assert {each["identity"] for each in mine["away"]} == {"ANTW-01", "ANTW-02"}


def test_an_export_holds_only_ones_own_cdrs(world, antwerp: Party, bart: Client, root: Client) -> None:
    month = {"month": f"{world.cdr.ended_at:%Y-%m}"}
    url = reverse("admin:cdrs_cdr_export")
    depots = bart.get(url).context["form"].fields["depot"].queryset
    assert [depot.code for depot in depots] == ["antwerpen-zuid"]
    named = bart.post(url, month | {"depot": "gent-noord"})
    assert "Select a valid choice" in str(named.context["form"].errors)
    for client, count in ((bart, 0), (root, 1)):
        form = client.post(url, month).context["form"]
        assert form.selection().count() == count


def test_a_second_person_of_another_operator_does_not_count(world, antwerp: Party) -> None:
    """S3: who may not see the row cannot agree to what becomes of it."""
    with_every_permission("bart", antwerp)
    with_every_permission("fien", Party.objects.get(party_id="YRD"))
    olga = logged_in(with_every_permission("olga", Party.objects.get(party_id="YRD")))
    url = reverse("admin:roaming_obligation_cancel", args=[world.delivery.pk])
    before = everything()
    signed = {"reason": "billed twice", "second_user": "bart", "second_password": PASSWORD}
    answer = olga.post(url, signed)
    assert "does not work for this operator" in str(answer.context["form"].errors)
    assert changed_tables(before) == set()
    olga.post(url, signed | {"second_user": "fien"})
    assert Obligation.objects.get(pk=world.delivery.pk).state == "CANCELLED"


def test_all_alike_are_those_of_the_same_operator(world, antwerp: Party, root: Client) -> None:
    error = world.parked.last_error
    theirs = Obligation.objects.filter(own_party=antwerp, kind="location")
    assert theirs.update(state="PARKED", last_error=error) == 1
    root.post(reverse("admin:roaming_obligation_replay_alike", args=[world.parked.pk]))
    assert (Obligation.objects.get(pk=world.parked.pk).state, theirs.get().state) == ("PENDING", "PARKED")


def _name(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def _forms(model: type[Model], client: Client) -> Iterator[Any]:
    """The forms of a page: of a new row, and of one of the person's own."""
    urls = [f"{list_url(model)}add/"]
    mine = client.get(list_url(model)).context["cl"].queryset.first()
    if mine is not None:
        urls.append(change_url(mine))
    for url in urls:
        answer = client.get(url)
        if answer.status_code == 200 and answer.context and "adminform" in answer.context:
            yield answer.context["adminform"].form
            for formset in answer.context["inline_admin_formsets"]:
                yield from formset.formset.forms
