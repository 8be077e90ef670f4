"""Exact Prometheus metrics of a Prefect 3 server or Cloud workspace."""

__version__ = "0.1.0"
