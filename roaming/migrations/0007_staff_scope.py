"""Whose rows staff may see; whoever is staff already goes on seeing those of every operator hosted so far."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def keep_what_staff_could_see(apps, schema_editor):
    user_model = apps.get_model(*settings.AUTH_USER_MODEL.split("."))
    party_model = apps.get_model("roaming", "Party")
    scope_model = apps.get_model("roaming", "StaffScope")
    operators = list(party_model.objects.filter(platform=None, role="CPO"))
    scope_model.objects.bulk_create(
        scope_model(user=user, party=party)
        for user in user_model.objects.filter(is_staff=True, is_superuser=False)
        for party in operators
    )


class Migration(migrations.Migration):

    dependencies = [
        ('roaming', '0006_client_info'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='StaffScope',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('party', models.ForeignKey(help_text='A CPO party that is hosted here.', limit_choices_to={'platform': None, 'role': 'CPO'}, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='roaming.party', verbose_name='operator')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='operator_scopes', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'operator that this person works for',
                'verbose_name_plural': 'operators that this person works for',
                'ordering': ['party'],
                'constraints': [models.UniqueConstraint(fields=('user', 'party'), name='staff_scope_unique')],
            },
        ),
        migrations.RunPython(keep_what_staff_could_see, migrations.RunPython.noop),
    ]
