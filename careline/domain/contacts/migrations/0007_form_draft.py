from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0006_pin_marks")]

    operations = [
        migrations.AlterField(
            "draft",
            "kind",
            models.CharField(choices=[("note", "note"), ("summary", "summary"), ("handover", "handover"), ("form", "form")], max_length=8),
        ),
    ]
