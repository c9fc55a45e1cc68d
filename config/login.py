"""The login of staff: as Django's, but not without end."""

from typing import Any

from unfold.forms import AuthenticationForm

from roaming.logins import count_attempt


class LoginForm(AuthenticationForm):
    """Counts attempts by user and address before it looks at the password."""

    def clean(self) -> dict[str, Any]:
        """Refuse after too many, the right password included."""
        count_attempt(self.request, self.cleaned_data.get("username") or "")
        data: dict[str, Any] = super().clean()
        return data
