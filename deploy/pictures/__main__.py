"""Write pictures of the dashboards: ``python -m pictures``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from demo.installation import install
from demo.processes import NotReadyError
from demo.sandbox import Sandbox
from pictures import camera
from pictures.asking import Ask, last, over_http
from pictures.boards import every_board, unfolded
from pictures.choosing import choose
from pictures.demonstration import after, keep_busy
from pictures.recording import record

_PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images"
_SECONDS_BETWEEN_RUNS = 5.0
# A flow of the demo that now succeeds, now fails, and is tried again.
_OF_INTEREST = {"flow": "flaky", "deployment": "flaky"}


def main() -> int:
    """Ask what the dashboards ask, of a demo or of what runs already, and draw the answers.

    Returns:
        The exit code: 1 where something that is needed does not start or is missing.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = _arguments()
    try:
        camera.build()
        with _sources(arguments) as sources:
            _draw(arguments, sources)
    except (camera.CameraError, NotReadyError) as error:
        _say(str(error))
        return 1
    return 0


def _draw(arguments: argparse.Namespace, sources: Mapping[str, Ask]) -> None:
    arguments.output.mkdir(parents=True, exist_ok=True)
    window = last(arguments.minutes * 60)
    for board in every_board():
        uid = str(board["uid"])
        if arguments.boards and uid not in arguments.boards:
            continue
        choice = choose(board, sources["prometheus"], window, preferred=_OF_INTEREST)
        picture = arguments.output / f"{uid}.png"
        shown = unfolded(board) if arguments.unfold else board
        recording = record(shown, sources, choice, window)
        if arguments.keep:
            picture.with_suffix(".json").write_text(json.dumps(recording))
        camera.photograph(recording, picture, width=arguments.width)
        _say(f"{picture}: {picture.stat().st_size // 1000} kB")


@contextmanager
def _sources(arguments: argparse.Namespace) -> Iterator[Mapping[str, Ask]]:
    given = {name: getattr(arguments, name) for name in ("prometheus", "loki", "jaeger")}
    if given["prometheus"]:
        yield {name: over_http(url.rstrip("/")) for name, url in given.items() if url}
        return
    with Sandbox() as sandbox:
        _say(f"Running the demo for {arguments.minutes:g} minutes ...")
        parts = install(sandbox, lambda _: nullcontext())
        if parts.prometheus is None:
            raise NotReadyError("Prometheus is not installed: apt-get install prometheus")
        keep_busy(parts, after(arguments.minutes * 60, pause=_SECONDS_BETWEEN_RUNS))
        yield {"prometheus": over_http(parts.prometheus.url)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pictures", description=__doc__)
    add = parser.add_argument
    add("boards", nargs="*", metavar="UID", help="dashboards to draw; all of them by default")
    add("--prometheus", metavar="URL", help="ask this one, and run no demo")
    add("--loki", metavar="URL", help="ask this one too; only with --prometheus")
    add("--jaeger", metavar="URL", help="ask this one too; only with --prometheus")
    add("--minutes", type=float, default=12, help="to look back, and to run: %(default)s")
    add("--width", type=int, default=camera.DESKTOP_PX, help="of the pictures: %(default)s px")
    add("--unfold", action="store_true", help="open the rows that are folded")
    add("--output", type=Path, default=_PICTURES, metavar="FOLDER", help="%(default)s")
    add("--keep", action="store_true", help="keep the answers beside the pictures, as JSON")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
