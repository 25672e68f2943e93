from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_papers")]

    operations = [migrations.AddField("paymentlink", "asked_in", models.CharField(default="", max_length=40))]
