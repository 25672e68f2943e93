from django.apps import AppConfig


class Doors(AppConfig):
    name = "careline.doors"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        post_migrate.connect(put_guards_back, sender=self)


def put_guards_back(**_: object) -> None:
    """Migrations of SQLite remake tables and lose their triggers; this runs after every one of them."""
    from careline.doors.jobs import guards

    guards.install()
