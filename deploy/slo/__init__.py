"""Objectives of deployments: read from ``objectives.yml``, written as rules for Prometheus."""
