"""What befalls the parts, in order; all scenes live through it at the same time."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil

from demo.processes import Process, descendants
from exactness.scene import EVENTS_ARE_STORED_SECONDS, POLL_SECONDS, Load, Scene

OUTAGE_SECONDS = 60.0


def live_through(scenes: Sequence[Scene], loads: Sequence[Load]) -> list[str]:
    """Let everything befall each scene that its exporter is to survive; return what it was."""
    befallen = []

    def befell(what: str, then_seconds: float) -> None:
        befallen.append(what)
        for load in loads:
            load.check()
        time.sleep(then_seconds)

    befell("nothing", 15)
    for scene in scenes:
        _kill_exporter_mid_poll(scene)
    befell("exporter: SIGKILL with every collector in mid-poll, restart", 6)
    for scene in scenes:
        _kill_exporter(scene)
    befell("exporter: SIGKILL at any moment, restart", 4)
    for scene in scenes:
        _stop_server(scene)
        _restart(scene.server.process)
    befell("server: SIGTERM, restart", 10)
    _kill_servers(scenes, loads)
    befell("server: SIGKILL, restart", 10)
    for scene in scenes:
        _kill_exporter(scene)
        _stop_server(scene)
    befell(f"server: gone for {OUTAGE_SECONDS:g} s", OUTAGE_SECONDS)
    for scene in scenes:
        _restart(scene.server.process)
    befell("server: back", 10)
    return befallen


def _kill_exporter_mid_poll(scene: Scene) -> None:
    """Kill the exporter while no request of its is answered, since the server is frozen.

    After one and a half intervals, every collector waits for its answer.
    """
    server = scene.server.process.pid
    family = [psutil.Process(server), *descendants(server)]
    for process in family:
        process.suspend()
    time.sleep(1.5 * POLL_SECONDS)
    scene.exporter.process.kill()
    for process in family:
        process.resume()
    _restart(scene.exporter.process)


def _kill_exporter(scene: Scene) -> None:
    scene.exporter.process.kill()
    _restart(scene.exporter.process)


def _stop_server(scene: Scene) -> None:
    scene.server.process.stop(grace=30)


def _kill_servers(scenes: Sequence[Scene], loads: Sequence[Load]) -> None:
    """Kill the servers with events in their memory, but with none of a run that is deleted.

    Of a run that left neither its row nor its event, there is no truth to be read.
    """
    for load in loads:
        load.forbid_deletions()
    time.sleep(EVENTS_ARE_STORED_SECONDS)
    for scene in scenes:
        scene.server.process.kill()
        _restart(scene.server.process)
    for load in loads:
        load.allow_deletions()


def _restart(process: Process) -> None:
    process.start()
    process.wait_ready()
