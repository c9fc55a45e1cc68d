"""HubClientInfo: how parties are connected, what is withheld from those that are away, when agreements changed."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('roaming', '0005_checks'),
    ]

    operations = [
        migrations.AddField(
            model_name='agreement',
            name='changed_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, help_text='When its status last changed (ClientInfo.last_updated).'),
        ),
        migrations.AddField(
            model_name='party',
            name='announced_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='last_updated of what the hub last said of this party; empty: no hub said anything.', null=True),
        ),
        migrations.AddField(
            model_name='platform',
            name='asks_openly',
            field=models.BooleanField(default=False, help_text='Only for a hub: a card that nobody is known to own is asked about without naming a party; the hub finds the one that knows it.', verbose_name='ask this hub about unknown cards'),
        ),
        migrations.AddField(
            model_name='platform',
            name='checked_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When we last asked whether it is there (HubClientInfo).', null=True),
        ),
        migrations.AddField(
            model_name='platform',
            name='clients_next_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the list of parties behind this hub is read next; empty: at once.', null=True),
        ),
        migrations.AddField(
            model_name='platform',
            name='clients_problem',
            field=models.CharField(blank=True, editable=False, help_text='Why that list could not be read to its end.', max_length=200),
        ),
        migrations.AlterField(
            model_name='obligation',
            name='state',
            field=models.CharField(choices=[('PENDING', 'pending'), ('ACKED', 'acknowledged'), ('PARKED', 'parked: refused by the partner'), ('CONTESTED', 'contested: the partner holds something else'), ('SERVED', 'served by pull'), ('EXPIRED', 'expired'), ('CANCELLED', 'cancelled'), ('WITHHELD', 'withheld: the party is not connected')], default='PENDING', max_length=9),
        ),
        migrations.AddIndex(
            model_name='obligation',
            index=models.Index(condition=models.Q(('state', 'WITHHELD')), fields=['party'], name='obligation_withheld'),
        ),
    ]
