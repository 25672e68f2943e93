from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("activations", "0004_sims_and_ports")]

    operations = [migrations.AddField("order", "waits_until", models.DateTimeField(null=True))]
