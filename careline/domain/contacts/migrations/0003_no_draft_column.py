from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("contacts", "0002_drafts")]

    operations = [migrations.RemoveField("contact", "draft"), migrations.RemoveField("contact", "draft_at")]
