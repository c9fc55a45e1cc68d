"""The two groups of staff, and what each may see and do in the admin."""

from django.contrib.auth.models import Group, Permission

# Model by model: the actions of Operators and of Finance. What is not named is not visible.
OPERATORS = {
    "locations": {"depot": "view change", "location": "view change", "evse": "view change", "connector": "view change",
                  "partnerview": "view"},
    "access": {"grant": "view add change", "schedule": "view add change", "window": "view add change delete",
               "windowexception": "view add change delete", "holiday": "view add change delete", "edge": "view",
               "decision": "view", "fencedlocation": "view add change", "pass": "view add change",
               "passwindow": "view add change delete"},
    "tariffs": {"tariff": "view"},
    "tokens": {"token": "view change", "pull": "view"},
    "roaming": {"platform": "view add change", "party": "view change", "endpoint": "view", "lane": "view change",
                "agreement": "view add change", "hubdocument": "view",
                "obligation": "view change", "attempt": "view", "credentialstoken": "view",
                "finding": "view", "comparison": "view"},
    "charging_sessions": {"session": "view", "meterreading": "view"},
    "charging": {"command": "view", "reservation": "view change", "transaction": "view", "authorization": "view",
                 "unmatchedmessage": "view", "chargingprofile": "view", "profilerequest": "view"},
    "chargers": {"station": "view add change", "stationcall": "view"},
    "cdrs": {"cdr": "view", "review": "view", "creditrequest": "view"},
}  # fmt: skip
FINANCE = {
    "cdrs": {"cdr": "view", "review": "view change", "creditrequest": "view change"},
    "charging_sessions": {"session": "view", "meterreading": "view"},
    "tariffs": {"tariff": "view change"},
    "roaming": {"party": "view", "obligation": "view", "attempt": "view", "finding": "view"},
}
GROUPS = {"Operators": OPERATORS, "Finance": FINANCE}


def set_up_groups() -> None:
    """Create both groups and make their permissions exactly those of the tables above; idempotent."""
    for name, apps in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        wanted = [
            permission
            for app, models in apps.items()
            for model, actions in models.items()
            for permission in Permission.objects.filter(
                content_type__app_label=app, codename__in=[f"{action}_{model}" for action in actions.split()]
            )
        ]
        group.permissions.set(wanted)
