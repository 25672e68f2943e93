import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def keep(apps, schema_editor):
    """Words that are typed now go on where they were typed; who was admitted is who holds the contact."""
    contact, draft = apps.get_model("contacts", "Contact"), apps.get_model("contacts", "Draft")
    for row in contact.objects.exclude(draft="").exclude(state="closed"):
        kind = "summary" if row.state == "wrap_up" else "note"
        draft.objects.create(contact=row, kind=kind, about=row.account_id or 0, text=row.draft, at=row.draft_at or row.began)
    contact.objects.exclude(admitted_account=None).exclude(state="closed").update(admitted_staff=models.F("holder"))


class Migration(migrations.Migration):
    dependencies = [("contacts", "0001_initial"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.AddField(
            "contact",
            "admitted_staff",
            models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            "Draft",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("note", "note"), ("summary", "summary")], max_length=8)),
                ("about", models.BigIntegerField()),
                ("text", models.TextField()),
                ("at", models.DateTimeField()),
                (
                    "contact",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="drafts", to="contacts.contact"),
                ),
            ],
            {"constraints": [models.UniqueConstraint(fields=("contact", "kind", "about"), name="draft_once")]},
        ),
        migrations.RunPython(keep, migrations.RunPython.noop, elidable=True),
    ]
