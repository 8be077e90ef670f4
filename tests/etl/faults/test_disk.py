"""A destination that is full."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backup_worlds import small_disk
from order_lakes import Orders, expected
from order_rows import add, row
from order_scene import COMPLETED, Scene, shop

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_full_disk_is_told_and_the_next_run_goes_on(scene: Scene, tmp_path: Path) -> None:
    """The error names the folder, nothing half written stays, and with space all rows arrive."""
    with small_disk(tmp_path, "8m") as disk, shop(scene, disk / "lake") as orders:
        with orders.redis as connection:
            good = add(connection, orders.client, map(row, range(3000)))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - 40_000))
        full = orders.run()
        seen, left = orders.orders(), orders.leftovers()
        ballast.unlink()
        ended = orders.run()
        done = orders.orders()

    assert ("FAILED", True, True) == (
        full.type,
        "no space left" in full.message,
        str(orders.lake) in full.message,
    )
    assert (Orders(()), []) == (seen, left)
    assert (COMPLETED, expected(good)) == (ended, done)
