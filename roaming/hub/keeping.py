"""What all views share that keep what partners push: to which party of ours it goes, and whose it is."""

from typing import TypeVar

from django.http import HttpRequest

from ocpi import v221
from ocpi.headers import PartyId
from ocpi.http import read_body
from ocpi.status import OcpiError, StatusCode, invalid, not_found
from ocpi.views import OcpiView
from roaming.auth import Caller
from roaming.hub import merging, seeing
from roaming.models import Party
from roaming.routing import SHAREABLE, Route, addressed_roles

T = TypeVar("T")

_NO_RECIPIENTS = frozenset({v221.Role.CPO.value, v221.Role.HUB.value})


class KeptView(OcpiView):
    """Base of the views; ``interface`` names the module."""

    # Set by the authentication of every view.
    caller: Caller

    @property
    def module(self) -> str:
        """The module that this view serves."""
        return self.interface[0]

    def recipient(self) -> Party:
        """Return the addressed party: the hub, or another one of ours that is no CPO.

        Raises OcpiError 404 when there is none, 2000 for what is never sent to a hub itself (HUB-39).
        """
        addressed = self.caller.own_party
        if addressed is not None and addressed.role == v221.Role.CPO:
            addressed = _other_role(addressed)
        if addressed is None:
            raise not_found()
        if addressed.role == v221.Role.HUB and self.module not in SHAREABLE:
            raise OcpiError(
                StatusCode.CLIENT_ERROR, f"{self.module} concern one party: they are never broadcast"
            )
        return addressed

    def owner_among_callers(self, owner: PartyId) -> Party | None:
        """Return the caller's own party of this id, in the role that owns such objects."""
        mine = (party for party in self.caller.parties if party.ocpi_id == owner)
        return seeing.role_of(mine, owning_roles(self.module))

    def body(self) -> bytes:
        """Return the JSON text of the request, checked to be an object. Raises as ``read_json`` does, and Invalid."""
        django_request: HttpRequest = self.request._request
        # The parsed value is remembered: the view decodes from it.
        if not isinstance(self.payload, dict):
            raise invalid("the body must be an object")
        body = read_body(django_request)
        merging.members(body)
        return body


def owning_roles(module: str) -> tuple[str, ...]:
    """Return the roles that own the objects of a module, the most likely first."""
    return addressed_roles(Route(module, v221.InterfaceRole.SENDER.value))


def asking_roles(module: str) -> tuple[str, ...]:
    """Return the roles for which the objects of a module are meant, the most likely first."""
    return addressed_roles(Route(module, v221.InterfaceRole.RECEIVER.value))


def rows_of(party: PartyId) -> list[Party]:
    """Return the roles that are known of a party."""
    rows = Party.objects.filter(country_code=party.country_code, party_id=party.party_id, is_active=True)
    return list(rows.order_by("role"))


def found(value: T | None) -> T:
    """Return the value; OcpiError 404 when there is none."""
    if value is None:
        raise not_found()
    return value


def may_be_id(*texts: str) -> bool:
    """Tell whether these can be ids: what no CiString can be is not asked of the database."""
    return all(text.isascii() and text.isprintable() for text in texts)


def _other_role(addressed: Party) -> Party | None:
    rows = rows_of(addressed.ocpi_id)
    return next((party for party in rows if party.is_own and party.role not in _NO_RECIPIENTS), None)
