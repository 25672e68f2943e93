from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0003_no_draft_column")]

    operations = [
        migrations.AlterField(
            "draft", "kind", models.CharField(choices=[("note", "note"), ("summary", "summary"), ("handover", "handover")], max_length=8)
        ),
    ]
