"""What processes that run flows write: the standard output itself, and what Prefect's API has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

import logged_scene
from demo.processes import wait_until
from logged_flows import WAYS
from logged_scene import FIRST, RUN, Line, Logged, api_messages, events, of_span, parsed, span_of
from otlp_receiver import ReceivedSpan
from traced_scene import TESTS, Scene, Way, command

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

EVERYWHERE = ("flow", "task", "submitted", "mapped-1", "mapped-2", "subflow", "subflow-task")
"""The places that the flow of that name logs in."""

OF_RAY = (":job_id:", ":task_name:", ":actor_name:")
"""How Ray marks whose lines follow in a worker's file."""

LOGGERS = {
    "Prefect": ("prefect.flow_runs", "prefect.task_runs"),
    "print": ("prefect.flow_runs", "prefect.task_runs"),
    "logging": ("shop",),
    "structlog": ("shop.orders",),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A process to run: how it is instrumented, its cases, and its variables."""

    way: Way
    cases: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


PROGRAMS = {
    "plugin": Program(
        "plugin",
        (
            *("everywhere", "asynchronous", "threads", "processes", "bare-threads", "retried"),
            *("failing", "correlated", "dask", "ray"),
        ),
    ),
    "setup-logs": Program(
        "setup",
        ("everywhere", "processes"),
        {"WITH_LOGS": "1", "PREFECT_LOGGING_EXTRA_LOGGERS": "shop"},
    ),
    "opentelemetry-instrument": Program(
        "opentelemetry-instrument", ("everywhere",), {"PREFECT_INSTRUMENTATION_LOGS": "json"}
    ),
    "setup": Program("setup", ("everywhere",)),
    "logfmt": Program(
        "plugin",
        ("levels", "failing"),
        {
            "PREFECT_INSTRUMENTATION_LOGS": "logfmt",
            "PREFECT_INSTRUMENTATION_LOG_LEVEL": "warning,shop=debug",
        },
    ),
    "console": Program(
        "plugin",
        ("levels",),
        {
            "PREFECT_INSTRUMENTATION_LOGS": "console",
            "PREFECT_INSTRUMENTATION_ENVIRONMENT": "production",
            "PREFECT_INSTRUMENTATION_LOG_LEVEL": "info,shop=debug",
            "PREFECT_INSTRUMENTATION_LOG_LEVEL_PRODUCTION": "shop.orders=warning,other=error",
        },
    ),
    "others": Program("plugin", ("beside-others",)),
}

JSON = ("plugin", "setup-logs", "opentelemetry-instrument")

SETTINGS = """\
version: 1
disable_existing_loggers: false
formatters:
  mine: {format: "MINE %(levelname)s %(message)s"}
handlers:
  mine: {class: logging.FileHandler, formatter: mine, filename: FILE}
  api: {class: prefect.logging.handlers.APILogHandler}
loggers:
  prefect: {level: INFO}
  prefect.flow_runs: {level: NOTSET, handlers: [api]}
  prefect.task_runs: {level: NOTSET, handlers: [api]}
root: {level: INFO, handlers: [mine]}
"""
"""A file of a user's in place of Prefect's own logging.yml."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What all the programs have left."""

    scene: Scene
    api: httpx.Client
    programs: Mapping[str, Logged]

    @property
    def spans(self) -> tuple[ReceivedSpan, ...]:
        """The spans that were sent."""
        return self.scene.receiver.spans()

    def lines(self, program: str) -> list[Line]:
        """Return what a program has written, whose every line has to be JSON."""
        return self.programs[program].lines()

    def of(self, program: str, *places: str) -> list[Line]:
        """Return the lines that say they are from these places, written in whatever way."""
        wanted = {f"{place} by {way}" for place in places for way in WAYS}
        return [line for line in self.lines(program) if line["event"] in wanted]

    def folder(self, program: str) -> Path:
        """Return a folder of a program's own."""
        return self.scene.sandbox.subfolder(program)

    def ray_lines(self) -> list[Line]:
        """Return what the workers of Ray have written, which Ray keeps in files."""
        logs = self.scene.sandbox.subfolder("home").glob("ray/session_2*/logs/worker-*.out")
        lines = [line for file in logs for line in file.read_text().splitlines()]
        return [parsed(line) for line in lines if not line.startswith(OF_RAY)]


@pytest.fixture(name="ran", scope="module")
def _ran(scene: Scene) -> Iterator[Ran]:
    with scene.server.client() as api:
        started = {name: _start(scene, name, program) for name, program in PROGRAMS.items()}
        yield Ran(scene, api, {name: each.wait(240) for name, each in started.items()})


def _start(scene: Scene, name: str, program: Program) -> Logged:
    service = f"logged-{name}"
    env = {**scene.environment(service, program.way, "http"), "PREFECT_LOGGING_LEVEL": "INFO"}
    if name == "others":
        folder = scene.sandbox.subfolder(name)
        settings = folder / "logging.yml"
        settings.write_text(SETTINGS.replace("FILE", str(folder / "mine")))
        env |= {"PREFECT_LOGGING_SETTINGS_PATH": str(settings), "KEPT": str(folder / "kept")}
    argv = command(program.way, "logged_flows", *program.cases)
    return logged_scene.start(scene, service, argv, {**env, **program.env})


@pytest.mark.parametrize("program", JSON)
def test_every_line_is_an_object(ran: Ran, program: str) -> None:
    """Whatever writes to standard output writes one JSON object a line, with the first keys."""
    lines = ran.lines(program)

    assert len(lines) > len(EVERYWHERE) * len(WAYS)
    assert [] == [line for line in lines if not TIME.fullmatch(line["time"])]
    assert {"debug", "info", "warning", "error", "critical"} >= {line["level"] for line in lines}
    assert [] == [line for line in lines if not {"event", "logger"} <= set(line)]


@pytest.mark.parametrize("program", JSON)
def test_line_is_written_once(ran: Ran, program: str) -> None:
    """Each way of logging gives one line, and none in another place or form."""
    written = events(ran.of(program, *EVERYWHERE))
    stderr = ran.programs[program].process.log.read_text()

    assert Counter(f"{place} by {way}" for place in EVERYWHERE for way in WAYS) == written
    assert [] == [way for way in WAYS if f" by {way}" in stderr]


def check_run(line: Line, spans: Sequence[ReceivedSpan]) -> None:
    """Check that a line says of its run what the run's span says, in the right order."""
    expected = {**of_span(span_of(line, spans)), "attempt": 1}

    assert expected == {name: line.get(name) for name in expected}

    known = [name for name in line if name in (*FIRST, *RUN)]
    assert [name for name in (*FIRST, *RUN) if name in line] == known


@pytest.mark.parametrize("program", JSON)
def test_line_says_which_run_it_is_of(ran: Ran, program: str) -> None:
    """In flows, tasks, threads and nested flows, lines have the ids of their own run's span."""
    for line in ran.of(program, *EVERYWHERE):
        place, _, way = line["event"].partition(" by ")
        own = {} if way == "print" else {"order": 7}

        check_run(line, ran.spans)
        assert line["logger"] in LOGGERS[way]
        assert ("task_run_id" in line) == (place not in ("flow", "subflow"))
        assert own == {name: line[name] for name in ("order",) if name in line}


@pytest.mark.parametrize(
    ("program", "places"),
    [
        ("plugin", ("async-1", "async-2", "async-flow")),
        ("plugin", ("thread-1", "thread-2", "thread-3")),
        ("plugin", ("process",)),
        ("setup-logs", ("process",)),
        ("plugin", ("dask",)),
    ],
    ids=["async", "threads", "processes", "processes-setup", "dask"],
)
def test_executors_lines_say_it_too(ran: Ran, program: str, places: Sequence[str]) -> None:
    """Lines of all executors, also of their processes, come out and have the ids of their runs."""
    lines = ran.of(program, *places)

    assert Counter(f"{place} by {way}" for place in places for way in WAYS) == events(lines)
    for line in lines:
        check_run(line, ran.spans)


def test_ray_workers_lines_say_it_too(ran: Ran) -> None:
    """What a worker of Ray writes are such lines as well."""
    lines = [line for line in ran.ray_lines() if line["event"].startswith("ray by ")]

    assert Counter(f"ray by {way}" for way in WAYS) == events(lines)
    # A worker of Ray sends its spans beside the end of the program, not before it.
    run_ids = {line["task_run_id"] for line in lines}
    spans = ran.scene.receiver.wait_for(
        lambda sent: run_ids <= {span.attributes.get("prefect.task_run.id") for span in sent}
    )
    for line in lines:
        check_run(line, spans)


def test_bare_thread_has_a_run_by_copy_context_alone(ran: Ran) -> None:
    """A thread without its creator's context has no ids, and takes none from elsewhere."""
    copied, bare = ran.of("plugin", "copied"), ran.of("plugin", "bare")

    assert 2 == len(copied) == len(bare)
    for line in copied:
        check_run(line, ran.spans)
    assert [] == [name for line in bare for name in line if name in (*FIRST[4:], *RUN)]


def test_attempts_are_counted(ran: Ran) -> None:
    """Lines of an attempt have its number, in a task and in a flow."""
    attempts = {
        line["event"]: line["attempt"]
        for line in ran.lines("plugin")
        if "'s attempt " in line["event"]
    }

    assert {
        **{f"task's attempt {number}": number for number in (1, 2, 3)},
        **{f"flow's attempt {number}": number for number in (1, 2)},
    } == attempts


def test_exception_is_structured(ran: Ran) -> None:
    """Frames and causes are data; type, fingerprint, category and facts are those of the span."""
    (run,) = (line for line in ran.lines("plugin") if _failed(line, "task", "broken"))
    span = span_of(run, ran.spans)
    of_error = {
        name: span.attributes[name]
        for name in ("error.type", "prefect.error.fingerprint", "prefect.error.category")
    }
    raised = [
        line
        for line in ran.lines("plugin")
        if line.get("task_run_id") == run["task_run_id"] and "exception" in line
    ]

    assert "ValueError" == of_error["error.type"]
    assert 1 == len(raised)
    for line in (run, *raised):
        assert of_error == {name: line.get(name) for name in of_error}
        assert {"order": 7, "step": "charge"} == line["error_context"]
    for line in raised:
        error, cause = line["exception"]
        assert ("ValueError", "no such customer") == (error["exc_type"], error["exc_value"])
        assert "KeyError" == cause["exc_type"]
        assert "broken" == error["frames"][-1]["name"]
        assert str(TESTS / "logged_flows.py") == error["frames"][-1]["filename"]


def test_handled_exception_is_structured(ran: Ran) -> None:
    """What a user logs with an exception has the same keys."""
    (line,) = (line for line in ran.lines("plugin") if line["event"] == "handled")

    assert ("KeyError", "failing") == (
        line["error.type"],
        line["exception"][0]["frames"][-1]["name"],
    )
    assert {"prefect.error.fingerprint", "prefect.error.category"} < set(line)


def test_failed_run_is_told_once(ran: Ran) -> None:
    """Each run that failed has one line that says so; none that came through has."""
    told = Counter(
        (line["flow"], line.get("task", ""))
        for line in ran.lines("plugin")
        if line["logger"] == "prefect_instrumentation.runs"
    )

    assert {("failing", ""): 1, ("failing", "broken"): 1} == told


def test_correlation_id_is_on_each_line(ran: Ran) -> None:
    """A run within `correlation(id)` has that id on its lines."""
    (line,) = (line for line in ran.lines("plugin") if line["event"] == "correlated by logging")

    assert "ord-42" == line["correlation_id"]
    check_run(line, ran.spans)


def _failed(line: Line, kind: str, name: str) -> bool:
    return line["logger"] == "prefect_instrumentation.runs" and line.get(kind) == name


def test_setup_alone_leaves_logging_alone(ran: Ran) -> None:
    """Prefect's lines stay on standard error as Prefect has them, and there is no JSON."""
    stdout = "\n".join(ran.programs["setup"].raw())
    stderr = ran.programs["setup"].process.log.read_text()

    assert '{"' not in stdout + stderr
    assert 1 == stderr.count("- flow by Prefect\n")
    assert 1 == stderr.count("- flow by print\n")
    assert 0 == stderr.count("by logging")


def test_server_writes_such_lines(ran: Ran) -> None:
    """The server's own lines are objects, after the words that it greets people with."""
    text = ran.scene.server.process.log.read_text()
    log = text[: text.rfind("\n") + 1].splitlines()  # not a line that is being written
    first = next(number for number, line in enumerate(log) if line.startswith("{"))
    lines = [parsed(line) for line in log[first:]]

    assert "uvicorn.error" in {line["logger"] for line in lines}
    assert [] == [line for line in lines if not TIME.fullmatch(line["time"])]


def test_api_has_each_record_once(ran: Ran) -> None:
    """Prefect's API and UI have readable text, once, of those loggers that Prefect sends."""
    for program, ways in (("plugin", ("Prefect", "print")), ("setup-logs", WAYS)):
        runs = {line["flow_run_id"] for line in ran.of(program, *EVERYWHERE)}
        expected = {f"{place} by {way}": 1 for place in EVERYWHERE for way in ways}
        messages = _api_messages(ran.api, sorted(runs), " by ", len(expected))
        texts = [message.removesuffix(" order=7") for message in messages]

        assert expected == {text: n for text, n in Counter(texts).items() if " by " in text}
        assert [] == [message for message in messages if message.startswith("{")]


def test_api_has_tracebacks_as_text(ran: Ran) -> None:
    """A failure reads in the UI as it does without us."""
    (run,) = {
        line["flow_run_id"] for line in ran.lines("plugin") if _failed(line, "task", "broken")
    }
    messages = _api_messages(ran.api, [run], "ValueError: no such customer", 1)
    raised = [each for each in messages if "Traceback (most recent call last):" in each]

    assert [] != raised
    assert [] == [
        message for message in messages if message.startswith("{") or '"frames"' in message
    ]
    assert any("ValueError: no such customer" in message for message in raised)


def _api_messages(api: httpx.Client, runs: list[str], part: str, least: int) -> list[str]:
    """Return the messages of the runs, once at least so many of them have the part."""
    wait_until(
        lambda: len([each for each in api_messages(api, runs) if part in each]) >= least,
        within=20,
        what=f"{least} records in the API",
    )
    return api_messages(api, runs)


def test_others_handlers_stay(ran: Ran) -> None:
    """A user's settings file is in force, and so is a handler that he adds, beside our lines."""
    mine = (ran.folder("others") / "mine").read_text()
    kept = (ran.folder("others") / "kept").read_text().splitlines()
    said = [f"beside by {way}" for way in WAYS]

    assert Counter(said) == events(ran.of("others", "beside"))
    assert 1 == mine.count("MINE INFO beside by Prefect\n")
    assert 1 == mine.count("MINE INFO beside by logging\n")
    assert said == [line.removeprefix("KEPT ").removesuffix(" order=7") for line in kept]


def test_logfmt_gives_a_line_each(ran: Ran) -> None:
    """Each line is pairs of keys and values, exceptions too."""
    lines = ran.programs["logfmt"].raw()

    assert [] == [line for line in lines if not re.match(r'time=\S+Z level=\w+ event=("|\S)', line)]
    told = [line for line in lines if "logger=prefect_instrumentation.runs" in line]
    assert 1 == len([line for line in told if " task=broken " in line])
    assert 2 == len([line for line in told if " error.type=ValueError " in line])


def test_levels_by_logger(ran: Ran) -> None:
    """The root's level is for all loggers but those, and theirs, that have one of their own."""
    said = [line for line in ran.programs["logfmt"].raw() if "flow=levels" in line]
    found = {match[1] for line in said if (match := re.search(r'event="([\w.]+ \w+)"', line))}

    assert {
        *(f"{name} {level}" for name in ("shop", "shop.orders") for level in ("debug", "info")),
        *(f"{name} warning" for name in ("shop", "shop.orders", "other")),
    } == found


def test_console_and_levels_of_an_environment(ran: Ran) -> None:
    """Lines for people have no colours in a pipe; what is set for the environment wins."""
    lines = ran.programs["console"].raw()
    text = "\n".join(lines)
    found = set(re.findall(r"(?:shop|shop\.orders|other) (?:debug|info|warning)(?= )", text))

    assert "\x1b" not in text
    assert '{"' not in text
    assert {"shop debug", "shop info", "shop warning", "shop.orders warning"} == found
