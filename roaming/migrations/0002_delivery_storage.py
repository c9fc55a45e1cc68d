"""The delivery tables are written all the time: room in their pages and an eager vacuum keep them small."""

from django.db import migrations

_BUSY = "SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)"
_USUAL = "RESET (fillfactor, autovacuum_vacuum_scale_factor)"


class Migration(migrations.Migration):
    dependencies = [("roaming", "0001_initial")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE roaming_lane {_BUSY}; ALTER TABLE roaming_obligation {_BUSY}; ALTER TABLE roaming_attempt {_BUSY}",
            f"ALTER TABLE roaming_lane {_USUAL}; ALTER TABLE roaming_obligation {_USUAL}; ALTER TABLE roaming_attempt {_USUAL}",
        )
    ]
