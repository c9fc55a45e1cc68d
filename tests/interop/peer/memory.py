"""What the library asks of whoever uses it: a store, and the tokens that are let in. All in memory."""

from typing import Any, ClassVar

from py_ocpi.core.authentication.authenticator import Authenticator
from py_ocpi.core.config import settings
from py_ocpi.core.crud import Crud
from py_ocpi.core.enums import Action, ModuleID, RoleEnum

VERSIONS_URL = f"{settings.PROTOCOL}://{settings.OCPI_HOST}/ocpi/versions"


class Memory(Crud):
    """All objects by module and id. The library has put the ids into lower case by then."""

    objects: ClassVar[dict[str, dict[str, Any]]] = {}
    registered: ClassVar[dict[str, Any]] = {}
    tokens_a: ClassVar[list[str]] = []
    tokens_c: ClassVar[list[str]] = []
    # Answers to authorize by uid; another card is allowed.
    verdicts: ClassVar[dict[str, dict[str, Any]]] = {}
    asked: ClassVar[list[Any]] = []
    _issued: ClassVar[int] = 0

    @classmethod
    def of(cls, module: str) -> dict[str, Any]:
        """The objects of one module."""
        return cls.objects.setdefault(str(getattr(module, "value", module)), {})

    @classmethod
    def issue(cls, kind: str) -> str:
        """Return a token that nobody had before."""
        cls._issued += 1
        return f"extrawest-{kind}-{cls._issued:04}"

    @classmethod
    def credentials(cls, token: str) -> dict[str, Any]:
        """The credentials object of this platform."""
        role = {
            "role": "EMSP",
            "business_details": {"name": "Randstad Taxi"},
            "country_code": settings.COUNTRY_CODE,
            "party_id": settings.PARTY_ID,
        }
        return {"token": token, "url": VERSIONS_URL, "roles": [role]}

    @classmethod
    async def get(cls, module: ModuleID, role: RoleEnum, id: Any, *args: Any, **kwargs: Any) -> Any:
        if module == ModuleID.credentials_and_registration:
            return cls.credentials(kwargs["auth_token"])
        return cls.of(module).get(str(id).lower())

    @classmethod
    async def list(
        cls, module: ModuleID, role: RoleEnum, filters: dict[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[list[Any], int, bool]:
        every = list(cls.of(module).values())
        first, limit = filters["offset"], filters["limit"]
        return every[first : first + limit], len(every), first + limit >= len(every)

    @classmethod
    async def create(
        cls, module: ModuleID, role: RoleEnum, data: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if module == ModuleID.credentials_and_registration:
            return cls._connect(data)
        cls.of(module)[str(data["id"]).lower()] = data
        return data

    @classmethod
    async def update(
        cls, module: ModuleID, role: RoleEnum, data: dict[str, Any], id: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if module == ModuleID.credentials_and_registration:
            return cls._connect(data)
        cls.of(module)[str(id).lower()] = data
        return data

    @classmethod
    async def delete(cls, module: ModuleID, role: RoleEnum, id: Any, *args: Any, **kwargs: Any) -> None:
        if module == ModuleID.credentials_and_registration:
            cls.tokens_c.clear()
            return
        cls.of(module).pop(str(id).lower(), None)

    @classmethod
    async def do(
        cls,
        module: ModuleID,
        role: RoleEnum | None,
        action: Action,
        *args: Any,
        data: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        assert (action, data is None) == (Action.authorize_token, False)
        uid = str(data["token_uid"])
        cls.asked.append(data["location_reference"])
        allowed = {"allowed": "ALLOWED", "authorization_reference": f"extrawest-{len(cls.asked)}"}
        return allowed | {"token": cls.of("tokens")[uid]} | cls.verdicts.get(uid, {})

    @classmethod
    def _connect(cls, data: dict[str, Any]) -> dict[str, Any]:
        cls.registered.update(data)
        token = cls.issue("c")
        cls.tokens_a.clear()
        cls.tokens_c[:] = [token]
        return cls.credentials(token)


class Doorkeeper(Authenticator):
    """Lets in whom the memory knows."""

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        return list(Memory.tokens_c)

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        return list(Memory.tokens_a)
