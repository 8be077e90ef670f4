"""OpenTelemetry spans and correlated logs for Prefect 3; this release reserves the name only."""

__version__ = "0.1.0"
