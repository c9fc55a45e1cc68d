"""Who may open and do what: operators no money, finance no access rules, everybody else nothing (S1, S5)."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from config.groups import GROUPS, set_up_groups
from roaming.pages import change_url
from tests.admin.conftest import logged_in, staff
from tests.admin.test_pages import MODELS, list_url
from tests.admin.world import changed_tables, everything

pytestmark = pytest.mark.django_db


def may_view(group: str, model: type[Model]) -> bool:
    return "view" in GROUPS[group].get(model._meta.app_label, {}).get(model._meta.model_name, "").split()


@pytest.mark.parametrize("group", sorted(GROUPS))
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_group_sees_exactly_the_pages_of_its_table(group: str, model: type[Model], world) -> None:
    client = logged_in(staff("somebody", group))
    row = model._default_manager.first()
    wanted = 200 if may_view(group, model) else 403
    assert [client.get(url).status_code for url in (list_url(model), change_url(row))] == [wanted, wanted]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_staff_without_a_group_sees_nothing(model: type[Model], world) -> None:
    assert logged_in(staff("newcomer")).get(list_url(model)).status_code == 403


def test_who_is_no_staff_does_not_come_in(world) -> None:
    driver = User.objects.create_user("driver", password="x" * 12)
    answer = logged_in(driver).get("/admin/")
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")


MONEY = (
    "cdrs_cdr_export", "cdrs_cdr_take_back", "cdrs_cdr_bill_again", "cdrs_creditrequest_approve",
    "cdrs_creditrequest_decline", "cdrs_review_seal", "cdrs_review_waive", "tariffs_tariff_withdraw",
)  # fmt: skip
ACCESS = (
    "locations_depot_close_to_guests", "locations_evse_take_out", "tokens_token_block_one", "roaming_platform_rotate",
    "roaming_platform_suspend", "roaming_platform_end", "roaming_platform_invite", "roaming_platform_register",
    "roaming_obligation_replay_one", "roaming_obligation_cancel", "roaming_lane_try_again_now", "chargers_station_new_password",
    "tokens_pull_read_now", "access_grant_would_it_be_allowed", "roaming_agreement_agree", "charging_reservation_cancel",
)  # fmt: skip


def action_url(name: str, world) -> str:
    rows = {
        "cdrs_review": world.review, "cdrs_creditrequest": world.credit,
        "cdrs_cdr_": world.cdr, "tariffs_tariff": world.grant.tariff, "locations_depot": world.location.depot,
        "locations_evse": world.evse, "tokens_token": world.token, "roaming_platform": world.party.platform,
        "roaming_obligation": world.parked, "roaming_lane": world.parked.lane,
        "chargers_station": world.location.depot.stations.first(), "tokens_pull": world.party.platform.token_pull,
        "charging_reservation": world.reservation,
    }  # fmt: skip
    listed = name in (
        "cdrs_cdr_export",
        "roaming_platform_invite",
        "roaming_platform_register",
        "access_grant_would_it_be_allowed",
        "roaming_agreement_agree",
    )
    row = next((row for prefix, row in rows.items() if name.startswith(prefix)), None)
    return reverse(f"admin:{name}", args=[] if listed else [row.pk])


@pytest.mark.parametrize("name", MONEY)
def test_operators_have_no_money_actions(name: str, operator: Client, finance: Client, world) -> None:
    before = everything()
    url = action_url(name, world)
    assert (operator.get(url).status_code, operator.post(url).status_code) == (403, 403)
    assert finance.get(url).status_code == 200
    assert changed_tables(before) == set()


@pytest.mark.parametrize("name", ACCESS)
def test_finance_has_no_actions_on_access_partners_and_stations(
    name: str, operator: Client, finance: Client, world
) -> None:
    before = everything()
    url = action_url(name, world)
    assert (finance.get(url).status_code, finance.post(url).status_code) == (403, 403)
    assert operator.get(url).status_code == 200
    assert changed_tables(before) == set()


def test_list_actions_are_not_offered_to_those_who_may_only_look(finance: Client, world) -> None:
    data = {"action": "replay", "_selected_action": [world.parked.pk]}
    before = everything()
    page = finance.post(list_url(type(world.parked)), data)
    assert "Send again now" not in page.content.decode()
    assert changed_tables(before) == set()


def test_every_pages_verbs_ask_for_a_permission() -> None:
    """A verb without one would be open to everybody who is staff."""
    open_verbs = set()
    for model, page in admin.site._registry.items():
        if not hasattr(page, "_get_base_actions_list"):
            continue
        for action in (*page._get_base_actions_list(), *page._get_base_actions_detail()):
            if not getattr(action.method, "allowed_permissions", None):
                open_verbs.add((model._meta.label, action.action_name))
    assert open_verbs == set()


def test_groups_get_exactly_their_permissions_again(world) -> None:
    from django.contrib.auth.models import Group

    group = Group.objects.get(name="Finance")
    wanted = set(group.permissions.values_list("codename", flat=True))
    group.permissions.add(Permission.objects.get(codename="change_grant"))
    set_up_groups()
    assert set(group.permissions.values_list("codename", flat=True)) == wanted


def test_the_navigation_shows_only_what_opens(operator: Client, finance: Client, world) -> None:
    for client in (operator, finance):
        groups = client.get("/admin/").context["sidebar_navigation"]
        links = [str(item["link"]) for group in groups for item in group["items"]]
        assert {client.get(link).status_code for link in links} == {200}
    assert [group.get("title") for group in groups] == [None, "Depot", "Partners", "Money"]
