"""Views are rewritten with every status, one row per partner: room in their pages keeps the indexes out of it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("locations", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE locations_partnerview SET (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02)",
            "ALTER TABLE locations_partnerview RESET (fillfactor, autovacuum_vacuum_scale_factor)",
        )
    ]
