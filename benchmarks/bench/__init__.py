"""What the exporter costs, measured on this machine: ``python -m bench``.

``catalog``, ``history``, ``seeding`` and ``live`` fill a real Prefect server; ``polling``,
``latency``, ``scraping`` and ``ledger_size`` measure; ``report`` prints. Nothing asserts on time.
"""
