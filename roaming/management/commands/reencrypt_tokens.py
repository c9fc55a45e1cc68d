"""`manage.py reencrypt_tokens`: write every outbound token with the newest key."""

from datetime import datetime
from typing import Any

from django.db import transaction

from roaming.management.reporting import ReportingCommand
from roaming.models import Platform
from roaming.secrets import read_outbound_token, write_outbound_token


class Command(ReportingCommand):
    help = "Encrypt our tokens for partners again with the first key of FIELD_ENCRYPTION_KEYS; all or none."

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        with transaction.atomic():
            platforms = Platform.objects.select_for_update().exclude(outbound_token=None)
            for platform in platforms:
                write_outbound_token(platform, read_outbound_token(platform))
                platform.save(update_fields=["outbound_token"])
            return {"written": len(platforms)}
