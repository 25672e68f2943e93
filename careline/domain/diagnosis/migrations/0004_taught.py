from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0003_of_an_account")]

    operations = [migrations.AddField("walk", "there", models.JSONField(default=dict))]
