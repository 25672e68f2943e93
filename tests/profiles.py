"""Profiles of the property tests: `make test-deep` loads this as a pytest plugin."""

from hypothesis import HealthCheck, settings

settings.register_profile("deep", max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
