from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial")]

    operations = [migrations.AddField("request", "put_away_at", models.DateTimeField(null=True))]
