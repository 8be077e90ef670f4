"""What befalls the parts, in order; all scenes live through it at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from demo.processes import Process, descendants
from exactness.scene import EVENTS_ARE_STORED_SECONDS, POLL_SECONDS, Load, Scene

OUTAGE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Misfortune:
    """Something that an exporter is to survive.

    Args:
        what: Its name, for people.
        befalls: Does it to a scene.
        seconds: How long nothing else happens afterwards.
    """

    what: str
    befalls: Callable[[Scene], None]
    seconds: float


def live_through(scenes: Sequence[Scene], loads: Sequence[Load]) -> list[str]:
    """Let everything befall each scene, with load before, between and after; return what it was."""
    time.sleep(15)
    for misfortune in _MISFORTUNES:
        for scene in scenes:
            misfortune.befalls(scene)
        time.sleep(misfortune.seconds)
        for load in loads:
            load.check()
    return [misfortune.what for misfortune in _MISFORTUNES]


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


def _forbid_deletions(scene: Scene) -> None:
    """Spare what is told in events that the server will lose.

    Of a run that leaves neither its row nor its event behind, there is no truth to be read.
    """
    scene.keep.touch()


def _stop_server_and_restart(scene: Scene) -> None:
    _stop_server(scene)
    _restart(scene.server.process)


def _kill_server_and_restart(scene: Scene) -> None:
    scene.server.process.kill()
    _restart(scene.server.process)


def _kill_exporter_and_stop_server(scene: Scene) -> None:
    _kill_exporter(scene)
    _stop_server(scene)


def _stop_server(scene: Scene) -> None:
    scene.server.process.stop(grace=30)


def _start_server(scene: Scene) -> None:
    _restart(scene.server.process)
    scene.keep.unlink()


def _restart(process: Process) -> None:
    process.start()
    process.wait_ready()


_MISFORTUNES = (
    Misfortune("exporter: SIGKILL with every collector in mid-poll", _kill_exporter_mid_poll, 6),
    Misfortune("exporter: SIGKILL at any moment", _kill_exporter, 4),
    Misfortune("no deletions from here on", _forbid_deletions, EVENTS_ARE_STORED_SECONDS),
    Misfortune("server: SIGTERM", _stop_server_and_restart, 10),
    Misfortune("server: SIGKILL", _kill_server_and_restart, 10),
    Misfortune(
        f"exporter: SIGKILL; server: gone for {OUTAGE_SECONDS:g} s",
        _kill_exporter_and_stop_server,
        OUTAGE_SECONDS,
    ),
    Misfortune("server: back, and deletions with it", _start_server, 10),
)
