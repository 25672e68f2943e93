from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0005_declined_offer")]

    operations = [migrations.AddField("contact", "pin_marks", models.TextField(blank=True, default=""))]
