"""Names that anybody may give in Prefect, end to end: to the metrics, the log and the page."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from contexts import TARGET
from fakes import FakePrefect
from fronts import FAILING, WORKING, status
from healths import World
from prefect_exporter import self_metrics, traffic
from prefect_exporter.collectors import build
from prefect_exporter.collectors.base import Context
from prefect_exporter.errors import Malformed, Unreachable
from prefect_exporter.exposition import Exposition, Page
from prefect_exporter.health.whole import health_of
from prefect_exporter.labels import MAX_CHARACTERS, clip, task_name
from prefect_exporter.logs import configure_logs
from prefect_exporter.moments import MINUTE
from prefect_exporter.page import render_page
from prefect_exporter.publisher import Publisher
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.traffic import Traffic
from prefect_exporter.wire import (
    Automation,
    ConcurrencyLimit,
    TagLimit,
    Worker,
    WorkPool,
    WorkQueue,
)
from scripted import Scripted, raw
from worlds import collecting, deployment, ended, put, run, run_id, task_run, tell, waiting

GOLDEN = Path(__file__).with_name("hostile_names.txt")
FORGED = 'x"} 1\nprefect_server_up 0\n# EOF\n'
NAMES = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    '"',
    "\\",
    "\\n",
    "\n",
    "\r\n",
    "x" * 10_000,
    "\N{PILE OF POO}" * 100,
    "a\x00b",
    "\x1b[2J\x07",
    "\x7f\x85\x9b31m",
    "a\u2028b\u2029c",
    "\u202egnp.exe",
    "\ufeff",
    "other",
    "(deleted)",
    "",
    "..",
    "a/b?c#d%2e",
    "{{ 7 * 7 }}",
    FORGED,
)
FINISHED = "prefect_flow_runs_finished_total"
BY_POOL = "prefect_work_pool_flow_runs_finished_total"
TASKS = "prefect_task_runs_finished_total"
ACTIVE = "prefect_flow_runs_active"
ANY_NAME = st.sampled_from(NAMES) | st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n{}=,# <>&'), max_size=200
)


class Hostile:
    """A Prefect in which everything is called as somebody chose; one run, task and so on each."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.prefect = FakePrefect()
        for number, name in enumerate(names):
            self.prefect.flow_names[self._flow(number)] = name
            self.prefect.flow_tags[self._flow(number)] = [name, f"team:{name}"]
            put(self.prefect, deployment(number, name, self._flow(number)))
        self.prefect.pool_rows = [WorkPool(name, name, status=name) for name in names]
        self.prefect.queue_rows = [WorkQueue(name, name, status=name) for name in names]
        self.prefect.worker_rows = {name: [Worker(name, name)] for name in names}
        self.prefect.limit_rows = [ConcurrencyLimit(name, 1, 0.5) for name in names]
        self.prefect.tag_rows = [TagLimit(name, 1) for name in names]
        self.prefect.automation_rows = [
            Automation(UUID(int=number), name) for number, name in enumerate(names)
        ]

    def _flow(self, number: int) -> UUID:
        return UUID(int=10_000 + number)

    def run_all(self) -> None:
        """Let a run and a task of each name end, one be under way, and events tell of it."""
        for number, name in enumerate(self.names):
            flow: dict[str, Any] = {
                "flow_id": self._flow(number),
                "deployment_id": deployment(number, name).id,
                "work_pool_name": name,
                "work_queue_name": name,
            }
            over = ended(number, 30.0, **flow)
            put(self.prefect, over, waiting(5_000 + number, "RUNNING", name, **flow))
            put(
                self.prefect,
                task_run(
                    9_000 + number,
                    30.0,
                    task_key=f"{name}-0a1b2c3d",
                    flow_run_id=run_id(number),
                ),
            )
            tell(self.prefect, over)


@contextmanager
def publishing(folder: Path, prefect: FakePrefect) -> Iterator[tuple[Publisher, list[Runner[Any]]]]:
    """Put an exporter together over *prefect*, with a ledger in *folder*."""
    with collecting(folder, prefect, HOLD="0s") as context:
        runners = runners_of(context)
        yield (
            Publisher(runners, {TARGET: Traffic()}, context.store, hold_seconds=0.0),
            runners,
        )


def runners_of(context: Context) -> list[Runner[Any]]:
    """Return every collector at work."""
    outages = Outages(TARGET, context.monotonic)
    return [Runner(each, context, outages) for each in build(context.settings)]


def poll_all(runners: Sequence[Runner[Any]]) -> None:
    """Poll each collector once."""

    async def tick() -> None:
        for runner in runners:
            await runner.tick()

    run(tick())


def shown(names: Sequence[str]) -> tuple[Exposition, list[str]]:
    """Return what is published of runs with these names, and the collectors that failed."""
    hostile = Hostile(names)
    with (
        tempfile.TemporaryDirectory() as folder,
        publishing(Path(folder), hostile.prefect) as (publisher, runners),
    ):
        poll_all(runners)
        hostile.run_all()
        hostile.prefect.now_us += MINUTE
        for _ in range(2):
            poll_all(runners)
        # What is new is published at 0, and shows its count at the next publication.
        for _ in range(2):
            run(publisher.publish())
        failed = [each.collector.name for each in runners if each.status().succeeded is False]
        return publisher.current, failed


def plain(page: Page) -> str:
    """Return a page as it was before it was zipped."""
    return b"".join(page.pieces()).decode()


def labels_of(families: Sequence[Metric], name: str, *labels: str) -> list[tuple[str, ...]]:
    """Return these labels of each sample called *name* that is above 0, sorted."""
    samples = [sample for family in families for sample in family.samples]
    return sorted(
        tuple(sample.labels[label] for label in labels)
        for sample in samples
        if sample.name == name and sample.value > 0
    )


def parse_text(text: str) -> list[Metric]:
    """Return the families of a page in the text format."""
    return list(text_string_to_metric_families(text))


def parse_openmetrics(text: str) -> list[Metric]:
    """Return the families of a page in OpenMetrics."""
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # theirs


def declared() -> set[str]:
    """Return the name of every family there is, without the suffix of counters."""
    with (
        tempfile.TemporaryDirectory() as folder,
        collecting(Path(folder), FakePrefect()) as context,
    ):
        every = build(context.settings)
    names = [family.name for each in every for family in each.families]
    names += [family.name for each in every for family in each.counted]
    names += [family.name for family in self_metrics.COLLECTOR_FAMILIES]
    names += [family.name for family in self_metrics.PROCESS_FAMILIES]
    names += [family.name for family in traffic.FAMILIES]
    return {name.removesuffix("_total") for name in names}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(ANY_NAME, min_size=1, max_size=6, unique_by=clip))
@example(names=list(NAMES))
def test_names_make_exactly_their_own_series(names: list[str]) -> None:
    """Each name is one series by its own text, cut at 128 characters, and forges no other."""
    exposition, failed = shown(names)
    text = parse_text(plain(exposition.text))
    openmetrics = parse_openmetrics(plain(exposition.openmetrics))

    assert [] == failed
    clipped = [clip(name) for name in names]
    twice = sorted((name, name) for name in clipped)
    assert all(len(name) <= MAX_CHARACTERS for name in clipped)
    for families in (text, openmetrics):
        assert twice == labels_of(families, FINISHED, "flow", "deployment")
        # A run without a pool stands in no series of pools.
        pools = [pair for pair in twice if pair != ("", "")]
        assert pools == labels_of(families, BY_POOL, "work_pool", "work_queue")
        assert twice == labels_of(families, ACTIVE, "flow", "deployment")
        tasks = sorted(zip(clipped, (clip(task_name(f"{n}-0a1b2c3d")) for n in names), strict=True))
        assert tasks == labels_of(families, TASKS, "flow", "task")
        assert [(TARGET,)] == labels_of(families, "prefect_server_up", "target")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(ANY_NAME, min_size=1, max_size=4, unique_by=clip))
@example(names=list(NAMES))
def test_names_add_no_line_and_no_family(names: list[str]) -> None:
    """Both formats hold one line a sample, of declared families alone, and agree."""
    exposition, _ = shown(names)
    text, openmetrics = plain(exposition.text), plain(exposition.openmetrics)
    samples = [
        sorted(
            (sample.name, sorted(sample.labels.items()), sample.value)
            for family in parsed
            for sample in family.samples
        )
        for parsed in (parse_text(text), parse_openmetrics(openmetrics))
    ]

    assert samples[0] == samples[1]
    for page in (text, openmetrics):
        lines = [line for line in page.split("\n") if line and not line.startswith("#")]
        assert len(samples[0]) == len(lines)
    named = {family.name for family in parse_text(text)}
    foreign = {name for name in named - declared() if not name.startswith("process_")}
    assert {"prefect_exporter_api_request_duration_seconds"} >= foreign


def test_golden_series_of_hostile_names() -> None:
    """The counters of one run of each hostile name, as a scraper gets them; escaped in the file."""
    exposition, _ = shown(NAMES)

    lines = [
        line
        for line in plain(exposition.text).split("\n")
        if line.startswith((FINISHED, BY_POOL)) and not line.endswith(" 0.0")
    ]
    escaped = sorted(line.encode("unicode_escape").decode() for line in lines)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("".join(f"{line}\n" for line in escaped))

    assert GOLDEN.read_text().splitlines() == escaped


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_promtool_reads_hostile_names() -> None:
    """Prometheus' own parser takes the page; 3 would be its taste in names, 1 an error."""
    exposition, _ = shown(NAMES)

    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=plain(exposition.text).encode(),
        capture_output=True,
        check=False,
        timeout=100,
    )

    assert (checked.returncode in {0, 3}, b"") == (True, checked.stdout)
    assert b"error while" not in checked.stderr


def test_names_survive_a_restart(tmp_path: Path) -> None:
    """The ledger gives every name back as it was."""
    hostile = Hostile(NAMES)
    pages: list[str] = []
    for number in range(2):
        with publishing(tmp_path, hostile.prefect) as (publisher, runners):
            if number == 0:
                poll_all(runners)
                hostile.run_all()
                hostile.prefect.now_us += MINUTE
                poll_all(runners)
            for _ in range(2):
                run(publisher.publish())
            text = plain(publisher.current.text)
            pages.append("\n".join(line for line in text.split("\n") if line.startswith(FINISHED)))

    assert sorted(pages[0].split("\n")) == sorted(pages[1].split("\n"))


def test_lone_surrogate_is_refused() -> None:
    """A text that is none, which no UTF-8 page could carry, is an answer that is not used."""
    body = b'[{"id": "00000000-0000-0000-0000-000000000001", "name": "a\\ud800b"}]'
    server = Scripted([raw(body)])

    async def ask() -> None:
        async with server.client(attempts=1) as client:
            await client.flows([UUID(int=1)])

    with pytest.raises(Malformed):
        run(ask())


@pytest.fixture(name="restored_logging")
def _restored_logging() -> Iterator[None]:
    """Restore the logging that a test configures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:30]))
@pytest.mark.parametrize("format_", ["json", "console"])
def test_log_line_stays_one_line(name: str, format_: str) -> None:
    """A hostile value is one line in either form, with no control character below U+0020."""
    stream = io.StringIO()
    configure_logs("info", format_, stream)

    structlog.get_logger().warning("poll.failed", reason=name, target=name)

    line = stream.getvalue()
    assert line.endswith("\n")
    assert not any(each < " " for each in line[:-1])
    if format_ == "json":
        assert (name, name) == (json.loads(line)["reason"], json.loads(line)["target"])


@pytest.mark.usefixtures("restored_logging")
def test_polls_of_hostile_names_log_whole_lines(tmp_path: Path) -> None:
    """What the exporter writes while it reads such names, or fails to, is JSON, line by line."""
    log = io.StringIO()
    configure_logs("debug", "json", log)
    hostile = Hostile(NAMES)
    with publishing(tmp_path, hostile.prefect) as (_, runners):
        for name in NAMES:
            hostile.prefect.down(Unreachable("flow_runs/filter", name))
            poll_all(runners)
            hostile.prefect.up()
            poll_all(runners)

    events = {json.loads(line)["event"] for line in log.getvalue().split("\n")[:-1]}
    assert {"poll.failed", "polls.recovered"} <= events


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, [name for name, _ in attrs]))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data

    def handle_comment(self, data: str) -> None:
        """Note a comment."""
        self.tags.append(("!", [data]))


def page_with(text: str) -> Outline:
    """Return the page of two targets whose every text is this one, each unlike its neighbour."""
    rows = [
        replace(FAILING, target=f"{number}{text}", name=text, error=text) for number in range(2)
    ]
    now = status(*rows, replace(WORKING, target=f"1{text}", name=text))
    targets = tuple(
        replace(now.targets[0], name=f"{number}{text}", url=text, server_version=text)
        for number in range(2)
    )
    now = replace(now, targets=targets, version=text, ledger_path=text)
    return Outline(render_page(now, health_of([World().readings()]), "nonce"))


@settings(deadline=None)
@given(text=ANY_NAME | st.text(st.characters(exclude_categories=[]), min_size=1))
@example(text="\ud800")
@example(text=NAMES[0])
@example(text=NAMES[1])
def test_no_text_changes_the_page(text: str) -> None:
    """Whatever the texts are, the page has the same tags, and only characters that can be seen."""
    page, expected = page_with(text or "-"), page_with("benign")

    assert expected.tags == page.tags
    assert all(each.isprintable() for each in page.text if each != "\n")
