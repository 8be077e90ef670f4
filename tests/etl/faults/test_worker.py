"""A worker that is gone from one moment to the next, and its run with it."""

from __future__ import annotations

import sys

import psutil
import pytest

from demo.api import ask
from demo.processes import Process, Program, descendants, wait_until
from order_lakes import Orders, expected
from order_rows import TEN, add, row
from order_runs import Moment
from order_scene import COMPLETED, Shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_POOL = "orders"


def test_batch_of_a_killed_worker_is_taken_over(acme: Shop) -> None:
    """`kill -9` between the commit and the dead letters: the next run writes them, and no more."""
    with acme.redis as connection:
        good = add(connection, acme.client, map(row, range(300)))
        bad = add(connection, acme.client, [TEN["unknown_status"].raw])
    _start_run(acme)
    worker = _start_worker(acme)
    wait_until(lambda: _halted(worker), within=150, what="the halt of the worker's run")
    worker.kill()
    seen = acme.orders()
    ended = acme.run()

    assert Orders(tuple(sorted(good)), tuple(bad)) == seen
    assert (COMPLETED, expected(good, bad)) == (ended, acme.orders())
    assert [] == acme.leftovers()


def _start_worker(shop: Shop) -> Process:
    command = ["prefect", "worker", "start", "--pool", _POOL]
    env = shop.scene.environment("worker", ORDER_MOMENT=Moment.PART, **shop.env)
    argv = [sys.executable, "-m", *command]
    return shop.scene.sandbox.start(Program(name="worker", argv=argv, env=env, ready=lambda: True))


def _start_run(shop: Shop) -> None:
    with shop.scene.server.client() as api:
        ask(api, "/work_pools/", name=_POOL, type="process")
        flow = ask(api, "/flows/", name="client-batch")
        deployment = ask(
            api,
            "/deployments/",
            name="acme",
            flow_id=flow["id"],
            entrypoint="order_worker.client_batch",
            work_pool_name=_POOL,
        )
        run = f"/deployments/{deployment['id']}/create_flow_run"
        ask(api, run, parameters={"client": shop.client})


def _halted(worker: Process) -> bool:
    for process in descendants(worker.pid):
        try:
            if process.status() == psutil.STATUS_STOPPED:
                return True
        except psutil.NoSuchProcess:
            continue
    return False
