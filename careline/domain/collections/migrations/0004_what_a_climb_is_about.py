from django.db import migrations, models
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    """What was past due when the ladder did something last. The next night knows better; until then whom to call first is found by this."""
    climb, step = apps.get_model("collections", "Climb"), apps.get_model("collections", "Step")
    newest = step.objects.filter(climb=models.OuterRef("pk")).order_by("-pk").values("owed_minor")[:1]
    climb.objects.filter(ended_at=None).update(owed_minor=Coalesce(models.Subquery(newest), 0))


class Migration(migrations.Migration):
    dependencies = [("collections", "0003_call_again")]

    operations = [
        migrations.AddField("climb", "owed_minor", models.BigIntegerField(default=0)),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            "climb",
            models.Index(fields=["since", "owed_minor", "account"], name="climb_to_call", condition=models.Q(ended_at=None, noticed=True)),
        ),
    ]
