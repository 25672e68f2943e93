"""The API alone, for tests, until careline/urls.py mounts it."""

from django.urls import path

from careline.doors.api.app import api, docs

urlpatterns = [path("api/docs", docs, name="api-docs"), path("api/", api.urls)]
