"""What makes a CDR sealed in the database itself, whoever is connected (CDR-07, F10).

UPDATE, DELETE and TRUNCATE are refused; the bytes must match their hash, and the hash its place in the chain.
TRUNCATE is allowed only to a connection that sets ``yardgate.allow_truncate`` to ``on``: the test runner empties
its own database that way between tests (tests/conftest.py). In production the role of the application should not
own the tables, nor be granted UPDATE, DELETE and TRUNCATE on them.
"""

from typing import ClassVar

from django.db import migrations

FUNCTION = """
CREATE FUNCTION cdrs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('yardgate.allow_truncate', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% of % refused: what is sealed never changes', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Correct a wrong CDR by a credit CDR and a new one.';
END $$
"""
TRIGGERS = [
    f"""
    CREATE TRIGGER {table}_is_sealed BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION cdrs_refuse_change();
    CREATE TRIGGER {table}_is_kept BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION cdrs_refuse_change();
    """
    for table in ("cdrs_cdr", "cdrs_correction")
]
HASHES = """
ALTER TABLE cdrs_cdr
    ADD CONSTRAINT cdr_body_matches_its_hash CHECK (sha256 = sha256(body)),
    ADD CONSTRAINT cdr_chain_holds CHECK (
        length(previous_sha256) = 32 AND chain_sha256 = sha256(previous_sha256 || sha256)
    )
"""


class Migration(migrations.Migration):
    """Triggers, checks, and the sequence that numbers the feed."""

    dependencies: ClassVar = [("cdrs", "0001_initial")]

    operations: ClassVar = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION cdrs_refuse_change() CASCADE"),
        *(migrations.RunSQL(trigger, migrations.RunSQL.noop) for trigger in TRIGGERS),
        migrations.RunSQL(
            HASHES,
            "ALTER TABLE cdrs_cdr DROP CONSTRAINT cdr_body_matches_its_hash, DROP CONSTRAINT cdr_chain_holds",
        ),
        migrations.RunSQL(
            "CREATE SEQUENCE cdrs_cdr_feed_seq OWNED BY cdrs_cdr.feed_seq", "DROP SEQUENCE cdrs_cdr_feed_seq"
        ),
    ]
