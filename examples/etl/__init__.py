"""Orders of many clients from Redis streams to Parquet files, observed end to end.

``source``, ``planning``, ``extraction``, ``validation``, ``writing``, ``dead_letters`` and
``leases`` do the work and know nothing of Prefect; ``tasks``, ``batch``, ``nightly`` and
``replay`` make flows of it. `docs/pipeline.md` says how it is used and what it guarantees.
"""
