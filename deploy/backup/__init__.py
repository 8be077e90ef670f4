"""Backs up Prefect: what is in its database, behind its API and in the stack's volumes.

``model`` has the values between the layers, ``repository`` keeps snapshots by restic, a source
(``postgres``, ``sqlite``, ``objects``, ``volumes``, ``encryption_key``) makes them, ``jobs`` runs
one job at a time, ``drill`` and ``restore`` bring a snapshot back, ``serve`` does all that when
it is due and tells Prometheus.
"""
