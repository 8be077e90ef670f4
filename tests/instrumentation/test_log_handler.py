"""One handler for all sinks: it never raises, never recurses, and writes whole lines."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from log_records import Kept, logged, record_of
from prefect_instrumentation._log_settings import Format
from prefect_instrumentation._logs.handler import LogHandler
from prefect_instrumentation._logs.rendering import renderer
from prefect_instrumentation._logs.sinks import StreamSink
from traces import Hostile

STDOUT = StreamSink("stdout", renderer("json"), renderer("json"))

WRITER = """
import logging, os, sys
from prefect_instrumentation._logs.handler import LogHandler
from prefect_instrumentation._logs.rendering import renderer
from prefect_instrumentation._logs.sinks import StreamSink
log = logging.getLogger("shop")
log.setLevel("INFO")
log.addHandler(LogHandler([StreamSink("stdout", renderer("json"), renderer("json"))]))
"""


class Broken(Kept):
    """A sink that cannot write."""

    def write(self, event: Mapping[str, object], record: logging.LogRecord) -> None:
        """Refuse."""
        raise OSError("password=hunter22")

    def flush(self) -> None:
        """Refuse."""
        raise OSError

    close = flush


class Talkative(Kept):
    """A sink that logs whenever it writes."""

    def write(self, event: Mapping[str, object], record: logging.LogRecord) -> None:
        """Log, and keep it."""
        super().write(event, record)
        logging.getLogger(record.name).info("I wrote")


class Waiting:
    """A value whose text is made by another thread, which logs first."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __str__(self) -> str:
        """Wait for the other thread."""
        thread = threading.Thread(target=self._logger.info, args=("from the other thread",))
        thread.start()
        thread.join(10)
        return f"waited {not thread.is_alive()}"


class Chatty:
    """A value that logs itself when its text is made."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __str__(self) -> str:
        """Log."""
        self._logger.info("I am %s", self)
        return "chatty"


class Terminal(io.StringIO):
    """A stream with a person before it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def said(sink: Kept) -> list[object]:
    """Return what a sink was told."""
    return [event["event"] for event in sink.events]


def process(code: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start a process with a logger `log` that writes JSON to its standard output."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environ},
    )


def test_each_sink_gets_the_event_without_secrets() -> None:
    """It is made once, and redacted before anybody has it: message, values, keys, error."""
    first, second = Kept(), Kept()
    with logged("test.handler", first, second) as log:
        try:
            int("password=hunter22-error")
        except ValueError:
            log.exception(
                "token=hunter22-message",
                extra={"api_key": "hunter22-value", "deep": {"Authorization": "hunter22-deep"}},
            )

    assert first.events[0] is second.events[0]
    assert "hunter22" not in str(first.events)
    assert "[redacted]" == first.events[0]["api_key"]


def test_broken_sink_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The others get all; it is told of once, without what it said."""
    kept = Kept()
    with logged("test.handler", Broken(), kept) as log:
        log.info("one")
        log.info("two")

    assert ["one", "two"] == said(kept)
    assert (
        "prefect_instrumentation: Broken raised OSError and loses log lines; this is said once\n"
        == capsys.readouterr().err
    )


def test_sink_that_logs_does_not_recurse() -> None:
    """What a sink logs while it writes is left out."""
    kept = Talkative()
    with logged("test.handler", kept) as log:
        log.info("one")
        log.info("two")

    assert ["one", "two"] == said(kept)


def test_hostile_record_is_written_all_the_same() -> None:
    """A value that raises costs no line."""
    kept = Kept()
    with logged("test.handler", kept) as log:
        log.info("%s", Hostile())
        log.info("x", extra={"value": Hostile()})
        log.info(Hostile())

    assert 3 == len(kept.events)
    assert "<Hostile>" == kept.events[1]["value"]


def test_value_that_waits_for_a_thread_that_logs_blocks_nobody() -> None:
    """No lock is held while a user's code makes text."""
    kept = Kept()
    with logged("test.handler", kept) as log:
        log.info("%s", Waiting(log))

    assert ["from the other thread", "waited True"] == said(kept)


def test_value_that_logs_itself_comes_to_an_end() -> None:
    """A user's code may log while its text is made; after a few times it is not heard."""
    kept = Kept()
    with logged("test.handler", kept) as log:
        log.info("this is %s", Chatty(log))

    assert [*["I am chatty"] * 3, "this is chatty"] == said(kept)


def test_filters_decide() -> None:
    """A user's filter on our handler is asked."""
    kept = Kept()
    handler = LogHandler([kept])
    handler.addFilter(lambda record: record.getMessage() != "no")
    try:
        outcomes = [handler.handle(record_of(each)) for each in ("yes", "no")]
    finally:
        handler.close()

    assert [True, False] == outcomes
    assert ["yes"] == said(kept)


def test_filter_may_give_another_record() -> None:
    """As Python's own handlers write it since 3.12."""

    class Replacing(LogHandler):
        def filter(self, record: logging.LogRecord) -> Any:  # noqa: ANN401 - by Python's version
            """Give another one."""
            return record_of(f"not {record.getMessage()}")

    kept = Kept()
    handler = Replacing([kept])
    try:
        assert handler.handle(record_of("yes"))
    finally:
        handler.close()

    assert ["not yes"] == said(kept)


def test_threads_write_whole_lines() -> None:
    """Lines of threads do not run into each other."""
    stream = io.StringIO()
    with (
        redirect_stdout(stream),
        logged("test.handler", STDOUT) as log,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda number: log.info("x" * 500, extra={"number": number}), range(400)))

    assert set(range(400)) == {
        json.loads(line)["number"] for line in stream.getvalue().splitlines()
    }


def test_stream_is_the_one_of_the_moment() -> None:
    """Standard output that is replaced later is written to."""
    first, second = io.StringIO(), io.StringIO()
    with logged("test.handler", STDOUT) as log:
        with redirect_stdout(first):
            log.info("one")
        with redirect_stdout(second):
            log.info("two")

    assert ["one"] == [json.loads(line)["event"] for line in first.getvalue().splitlines()]
    assert ["two"] == [json.loads(line)["event"] for line in second.getvalue().splitlines()]


def test_standard_error_may_be_chosen() -> None:
    """The sink writes to the stream that it was made for."""
    stream = io.StringIO()
    sink = StreamSink("stderr", renderer("json"), renderer("json"))
    with redirect_stderr(stream), logged("test.handler", sink) as log:
        log.info("one")

    assert "one" == json.loads(stream.getvalue())["event"]


@pytest.mark.parametrize(
    ("stream", "no_colour", "coloured"),
    [(Terminal(), "", True), (Terminal(), "1", False), (io.StringIO(), "", False)],
    ids=["terminal", "NO_COLOR", "file"],
)
def test_colour_is_for_terminals(
    stream: io.StringIO, no_colour: str, *, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file or a pipe gets none, nor does who wants none."""
    monkeypatch.setenv("NO_COLOR", no_colour)
    sink = StreamSink("stdout", renderer("console"), renderer("console", colours=True))
    with redirect_stdout(stream), logged("test.handler", sink) as log:
        log.info("one")

    assert coloured == ("\x1b[" in stream.getvalue())


@pytest.mark.parametrize("gone", [None, "closed"])
def test_closed_output_is_harmless(gone: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has closed standard output, or has none, hears no complaint."""
    stream = None
    if gone:
        stream = io.StringIO()
        stream.close()
    with redirect_stdout(stream), logged("test.handler", STDOUT) as log:
        log.info("one")

    assert "" == capsys.readouterr().err


def test_stand_in_needs_no_more_than_print_does() -> None:
    """What a user has put in the place of standard output may just write and flush."""

    class Tee:
        def write(self, text: str) -> None:
            lines.append(text)

        def flush(self) -> None:
            lines.append("flushed")

    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch, logged("test.handler", STDOUT) as log:
        patch.setattr(sys, "stdout", Tee())
        log.info("one")

    assert ["one", "flushed"] == [json.loads(lines[0])["event"], lines[1]]


@pytest.mark.parametrize("format_", ["json", "logfmt", "console"])
def test_narrow_encoding_loses_no_line(format_: Format) -> None:
    """Where the stream takes ASCII alone, other characters are escaped, and JSON stays JSON."""
    raw = io.BytesIO()
    sink = StreamSink("stdout", renderer(format_), renderer(format_))
    with (
        redirect_stdout(io.TextIOWrapper(raw, "ascii")) as stream,
        logged("test.handler", sink) as log,
    ):
        log.info("größer")
        stream.flush()
    line = raw.getvalue().decode("ascii")

    assert "gr\\u00f6\\u00dfer" in line
    assert format_ != "json" or json.loads(line)["event"] == "größer"


def test_reader_that_leaves_is_harmless() -> None:
    """A pipe that nobody reads any more breaks nothing, and is not complained of."""
    code = """
for number in range(2000):
    log.info("x" * 1000)
print("reached", file=sys.stderr)
"""
    with process(code) as writer:
        assert writer.stdout
        assert writer.stderr
        writer.stdout.close()
        complaints = writer.stderr.read().decode()

    assert ["reached"] == complaints.splitlines()[:1]
    assert "Traceback" not in complaints


def test_processes_write_whole_lines(tmp_path: Path) -> None:
    """Lines of processes that share one output do not run into each other."""
    code = """
for fork in range(3):
    if os.fork() == 0:
        break
for number in range(200):
    log.info("x" * 2000, extra={"pid": os.getpid(), "number": number})
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
    path = tmp_path / "lines"
    with path.open("wb") as file:
        done = subprocess.run([sys.executable, "-c", WRITER + code], stdout=file, check=True)
    lines = [json.loads(line) for line in path.read_text().splitlines()]

    assert 0 == done.returncode
    assert 800 == len({(line["pid"], line["number"]) for line in lines})


def test_fork_in_the_midst_of_a_line_blocks_no_child() -> None:
    """A child that is forked while another thread writes can write."""
    code = """
import threading
class Slow:
    def __init__(self): self.held, self.go = threading.Event(), threading.Event()
    def write(self, event, record):
        if record.msg == "slow": self.held.set(); self.go.wait(20)
    def flush(self): pass
    close = flush
slow = Slow()
log.addHandler(LogHandler([slow]))
thread = threading.Thread(target=log.info, args=("slow",))
thread.start()
slow.held.wait()
child = os.fork()
if child == 0:
    log.info("child")
    os._exit(0)
status = os.waitpid(child, 0)[1]
slow.go.set()
thread.join()
sys.exit(status)
"""
    # Python 3.12 warns of a fork beside threads.
    with process(code, PYTHONWARNINGS="ignore::DeprecationWarning") as writer:
        output, complaints = writer.communicate(timeout=30)

    assert (0, b"") == (writer.returncode, complaints)
    assert "child" in [json.loads(line)["event"] for line in output.splitlines()]


def test_closing_a_broken_sink_is_harmless() -> None:
    """Whatever a sink does at its end, the others end too."""
    handler = LogHandler([Broken(), Kept()])

    handler.flush()
    handler.close()
