"""The desk with the API mounted, for tests, until careline/urls.py mounts it."""

from django.urls import path

from careline.doors.api.app import api, docs
from careline.urls import handler403, handler404, handler500
from careline.urls import urlpatterns as desk

urlpatterns = [*desk, path("api/docs", docs, name="api-docs"), path("api/", api.urls)]
__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]
