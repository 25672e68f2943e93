from django.apps import AppConfig


class Doors(AppConfig):
    name = "careline.doors"

    def ready(self) -> None:
        from django.apps import apps
        from django.db.models.signals import post_migrate

        # Sent once for each app that has models; this one has none. The journal is always there and all tables are by then.
        post_migrate.connect(put_guards_back, sender=apps.get_app_config("journal"))
        start_traces()


def put_guards_back(**_: object) -> None:
    """Migrations of SQLite remake tables and lose their triggers; this runs after every one of them."""
    from careline.doors.jobs import guards

    guards.install()


def start_traces() -> None:
    """Where a collector is named: in each process of the desk, once it is there."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from careline import telemetry

    if settings.TRACES:
        try:
            telemetry.start_traces(settings.TRACES)
        except ImportError:
            raise ImproperlyConfigured("CARELINE_TRACES is set and OpenTelemetry is not installed. Run: make setup-traces") from None
