"""Each party of ours knows its own tokens; what counted for all of them goes on to count for each."""

import django.db.models.deletion
from django.db import migrations, models

# Constraint triggers are let go before the table is altered in the same transaction.
_SETTLED = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
_TO_EACH = f"""
UPDATE tokens_token SET own_party_id =
    (SELECT min(id) FROM roaming_party WHERE platform_id IS NULL AND role = 'CPO');
DELETE FROM tokens_token WHERE own_party_id IS NULL;
INSERT INTO tokens_token (own_party_id, party_id, uid, uid_key, type, contract_id, group_id, valid, whitelist,
                          is_blocked_here, document, last_updated, received_at)
SELECT o.id, t.party_id, t.uid, t.uid_key, t.type, t.contract_id, t.group_id, t.valid, t.whitelist,
       t.is_blocked_here, t.document, t.last_updated, t.received_at
FROM tokens_token t JOIN roaming_party o ON o.platform_id IS NULL AND o.role = 'CPO' AND o.id <> t.own_party_id
ORDER BY t.id, o.id;
{_SETTLED}
"""
# Of several states of one token the newest stays, and a block of any of us.
_TO_ALL = f"""
UPDATE tokens_token t SET is_blocked_here = true FROM tokens_token b
WHERE b.is_blocked_here AND (b.party_id, b.uid_key, b.type) = (t.party_id, t.uid_key, t.type);
DELETE FROM tokens_token t USING tokens_token b
WHERE (b.party_id, b.uid_key, b.type) = (t.party_id, t.uid_key, t.type)
  AND (b.last_updated, -b.id) > (t.last_updated, -t.id);
{_SETTLED}
"""


class Migration(migrations.Migration):
    dependencies = [("tokens", "0001_initial"), ("roaming", "0003_hub")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="own_party",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="roaming.party",
                help_text="The operator that was told: each party of ours knows its own (HUB-06).",
            ),
        ),
        migrations.RemoveConstraint(model_name="token", name="token_unique"),
        migrations.RunSQL(_TO_EACH, _TO_ALL),
        migrations.AlterField(
            model_name="token",
            name="own_party",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="roaming.party",
                help_text="The operator that was told: each party of ours knows its own (HUB-06).",
            ),
        ),
        migrations.AddConstraint(
            model_name="token",
            constraint=models.UniqueConstraint(
                fields=("own_party", "party", "uid_key", "type"), name="token_of_own_party"
            ),
        ),
    ]
