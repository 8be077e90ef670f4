"""The pipeline of `etl` in the Compose stack: a night every ten minutes, and orders before it.

Apart from what its flows import: the demo makes deployments, and has little memory.
"""

from __future__ import annotations

from demo.deployments import Deployment

POOL = "etl-process"
"""The pool of the pipeline's workers."""

CLIENTS = {"retail": ["acme", "bolt"], "wholesale": ["cargo"], "logistics": ["dray"]}

# As in examples/prefect.yaml, but for the schedules.
DEPLOYMENTS = (
    Deployment(
        "pretend-orders",
        "demo.orders.pretend",
        ("team:data", "tier:3"),
        POOL,
        "5-59/10 * * * *",
    ),
    Deployment(
        "nightly",
        "etl.nightly.nightly_orders",
        ("team:data", "tier:1", "alert:each"),
        POOL,
        "*/10 * * * *",
        limit=1,
        flow="nightly-orders",
        queue="urgent",
        parameters={"clients": CLIENTS},
    ),
    *(
        Deployment(
            team,
            "etl.batch.client_batch",
            (f"team:{team}", "tier:2", "alert:each"),
            POOL,
            flow="client-batch",
            queue="batch",
        )
        for team in CLIENTS
    ),
    Deployment(
        "by-hand",
        "etl.replay.replay_dead_letters",
        ("team:data", "tier:3"),
        POOL,
        flow="replay-dead-letters",
        queue="urgent",
    ),
)
