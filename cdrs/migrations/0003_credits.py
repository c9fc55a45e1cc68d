"""Requests to take a CDR back, and what the database itself refuses of a credit CDR (F8, CDR-09, CDR-11)."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

FUNCTION = """
CREATE FUNCTION cdrs_check_credit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    original cdrs_cdr%ROWTYPE;
BEGIN
    IF NEW.is_credit THEN
        SELECT * INTO original FROM cdrs_cdr WHERE key = NEW.credit_of_id;
        IF NOT FOUND OR original.is_credit
            OR NEW.own_party_id <> original.own_party_id OR NEW.party_id <> original.party_id
            OR NEW.session_id <> original.session_id OR NEW.revision <> original.revision
            OR NEW.currency <> original.currency OR NEW.ocpi_id <> original.ocpi_id || '-C'
            OR NEW.total_excl_vat <> -original.total_excl_vat
            OR NEW.total_incl_vat IS DISTINCT FROM -original.total_incl_vat
        THEN
            RAISE EXCEPTION 'credit % refused: it does not take back exactly one CDR', NEW.ocpi_id
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.credit_of_id IS NOT NULL THEN
        RAISE EXCEPTION 'CDR % refused: only a credit CDR names the CDR that it takes back', NEW.ocpi_id
            USING ERRCODE = 'check_violation';
    ELSIF NEW.revision > 1 AND NOT EXISTS (
        SELECT 1 FROM cdrs_cdr WHERE session_id = NEW.session_id AND revision = NEW.revision - 1 AND is_credit
    ) THEN
        RAISE EXCEPTION 'CDR % refused: revision % follows only the credit of the one before it', NEW.ocpi_id, NEW.revision
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER cdrs_cdr_takes_back_one BEFORE INSERT ON cdrs_cdr
FOR EACH ROW EXECUTE FUNCTION cdrs_check_credit()
"""


class Migration(migrations.Migration):
    """Reversible: what was credited stays, only the checks go."""

    dependencies: ClassVar = [("cdrs", "0002_seal")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="CreditRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(help_text="Why the CDR is wrong.", max_length=255)),
                ("changes", models.JSONField(blank=True, help_text="Corrected facts by which the charge is billed again; empty: it is only taken back.", null=True)),
                ("state", models.CharField(choices=[("OPEN", "waiting for a second person"), ("APPROVED", "approved"), ("DECLINED", "declined")], default="OPEN", editable=False, max_length=8)),
                ("asked_by", models.CharField(editable=False, max_length=150)),
                ("asked_at", models.DateTimeField(editable=False)),
                ("decided_by", models.CharField(blank=True, editable=False, max_length=150)),
                ("decided_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("decision_reason", models.CharField(blank=True, editable=False, help_text="Why it was declined.", max_length=255)),
                ("cdr", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="credit_requests", to="cdrs.cdr")),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(condition=models.Q(("state", "OPEN")), fields=("cdr",), name="credit_one_open_request"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "APPROVED"), _negated=True),
                            models.Q(
                                models.Q(("decided_by", ""), _negated=True),
                                models.Q(("decided_by", models.F("asked_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="credit_two_persons",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION cdrs_check_credit() CASCADE"),
        migrations.RunSQL(TRIGGER, migrations.RunSQL.noop),
    ]
