from django.db import migrations, models

LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n"}


def fold(apps, schema_editor):
    """Name words are kept as they are compared now: with plain letters."""
    words = apps.get_model("customers", "NameWord").objects
    theirs = models.Q()
    for letter in LETTERS:
        theirs |= models.Q(word__contains=letter)
    for row in words.filter(theirs).iterator():
        plain = row.word.translate(str.maketrans(LETTERS))[:40]
        if words.filter(word=plain, account=row.account_id, person=row.person_id).exists():
            row.delete()
        else:
            words.filter(pk=row.pk).update(word=plain)


class Migration(migrations.Migration):
    dependencies = [("customers", "0003_planchange")]

    operations = [migrations.RunPython(fold, migrations.RunPython.noop, elidable=True)]
