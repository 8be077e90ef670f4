"""Why flow runs are late: which of the known causes it is, its evidence, and what mends it.

``reading`` asks Prefect and makes ``Facts``; ``causes`` judges them, without asking anybody;
``command`` tells people, and the collector ``late_causes`` tells Prometheus.
"""
