"""What the exporter costs, measured on this machine: ``python -m bench``.

``catalog``, ``estate``, ``history`` and ``seeding`` fill a real Prefect server; ``polling``,
``latency``, ``series``, ``workspace`` and ``ledger_size`` measure; ``report`` prints. Nothing
asserts on time.
"""
