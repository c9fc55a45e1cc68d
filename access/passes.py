"""Verbs of fences around Locations of other operators: give, change, suspend and end passes."""

from django.db import transaction

from access.fenced import Pass


def change_pass(*, granted: Pass) -> Pass:
    """Save a new or edited pass as its next version; its status stays what it is. Safe beside itself: one row, locked."""
    with transaction.atomic():
        if granted.pk is not None:
            stored = Pass.objects.select_for_update().get(pk=granted.pk)
            granted.version = stored.version + 1
            granted.status = stored.status  # only `set_pass_status` moves it
        granted.save()
    return granted


def set_pass_status(*, granted: Pass, status: Pass.Status) -> Pass:
    """Suspend, resume or end a pass; ended is final (raises ValueError)."""
    with transaction.atomic():
        stored = Pass.objects.select_for_update().select_related("party", "fence__owner").get(pk=granted.pk)
        if stored.status == Pass.Status.ENDED:
            raise ValueError(f"The pass of {stored.party} has ended for good; give a new one instead.")
        stored.status = status
        stored.version += 1
        stored.save(update_fields=["status", "version"])
    return stored
