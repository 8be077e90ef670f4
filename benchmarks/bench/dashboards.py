"""How long Prometheus takes over what the dashboards ask, with many series."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.table import Table

from bench.copies import Copies
from bench.machine import Spread, spread
from bench.tables import new_table, spread_text
from demo.installation import install
from demo.prometheus import Prometheus, PrometheusConfig, start_prometheus
from demo.sandbox import Sandbox
from pictures.asking import Answer, last, over_http, run_queries
from pictures.boards import Board, every_board, queries
from pictures.choosing import choose
from pictures.demonstration import after, keep_busy

_RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "rules"
_BUSY_SECONDS = 120.0
_SECONDS_BETWEEN_RUNS = 1.5
_HOURS = 6
_STEP_SECONDS = 60
_SCRAPE_SECONDS = 15
# Until the slowest group of rules, of every two minutes, has been evaluated twice.
_RULES_SECONDS = 240

Say = Callable[[str], None]
"""Tells the person at the terminal what is going on."""


@dataclass(frozen=True, slots=True)
class BoardTimes:
    """How long the queries of one dashboard took, in seconds.

    Args:
        queries: How many there are.
        slowest: Of all queries' medians the highest.
        slowest_panel: The title of its panel.
        total: All queries, one after the other.
        refused: How many Prometheus did not take.
    """

    board: str
    queries: int
    slowest: float
    slowest_panel: str
    total: Spread
    refused: int


@dataclass(frozen=True, slots=True)
class Dashboards:
    """How long the queries of all dashboards took.

    Args:
        scraped: Series of the exporter.
        series: All that Prometheus had, those of recording rules included.
        rounds: How often each query was asked.
    """

    scraped: int
    series: int
    rounds: int
    boards: Sequence[BoardTimes]


def measure_dashboards(series: int, rounds: int, say: Say) -> Dashboards:
    """Fill a Prometheus, and ask it everything that the dashboards ask.

    Args:
        series: How many there are to be, without those of recording rules.
        rounds: How often each query is asked.
        say: Hears what is going on.
    """
    say(f"Dashboards: running the demo for {_BUSY_SECONDS:g} s ...")
    text = _shown_by_demo()
    now = time.time()
    copies = Copies(text, series, since=now - _HOURS * 3600, now=now)
    with Sandbox() as sandbox, _exporter(copies) as address:
        say(f"Dashboards: writing {_HOURS} hours of {len(copies):,} series ...")
        _write_history(sandbox, copies, address, now)
        prometheus = _prometheus(sandbox, address)
        say(f"Dashboards: waiting {_RULES_SECONDS} s for the rules ...")
        time.sleep(_RULES_SECONDS)
        say(f"Dashboards: {rounds} rounds of all queries ...")
        boards = [_times(board, prometheus, rounds) for board in every_board()]
        return Dashboards(len(copies), _series(prometheus), rounds, boards)


def dashboards_table(measured: Dashboards | None) -> Table | None:
    """Return the figures of each dashboard as a row; None without any."""
    if measured is None:
        return None
    title = f"{measured.scraped:,} series and {measured.series - measured.scraped:,} of rules"
    table = new_table(title, "queries", "slowest, ms", "which", "all, ms")
    for each in measured.boards:
        slowest = f"{each.slowest * 1e3:.0f}"
        total = spread_text(each.total, ".0f", 1e3)
        table.add_row(each.board, str(each.queries), slowest, each.slowest_panel, total)
    return table


def _shown_by_demo() -> str:
    with Sandbox() as sandbox:
        parts = install(sandbox, lambda _: nullcontext())
        keep_busy(parts, after(_BUSY_SECONDS, pause=_SECONDS_BETWEEN_RUNS))
        answer = httpx.get(parts.exporter.metrics_url, timeout=30, trust_env=False)
        return answer.raise_for_status().text


@contextmanager
def _exporter(copies: Copies) -> Iterator[str]:
    """Serve what an exporter would show now; yield its ``host:port``."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = "".join(copies.lines(time.time())).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            """Say nothing of each scrape."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def _write_history(sandbox: Sandbox, copies: Copies, address: str, now: float) -> None:
    """Write blocks into the database that Prometheus is going to open."""
    folder = sandbox.subfolder("prometheus")
    text = folder / "history.txt"
    labels = f'{{instance="{address}",job="prefect-exporter",'
    with text.open("w") as file:
        for at in range(int(now - _HOURS * 3600), int(now), _STEP_SECONDS):
            for line in copies.lines(at, stamp=f" {at}"):
                file.write(line.replace("{", labels, 1).replace(",}", "}", 1))
        file.write("# EOF\n")
    promtool = shutil.which("promtool") or "promtool"
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    subprocess.run([*command, str(text), str(folder / "data")], check=True, capture_output=True)
    text.unlink()


def _prometheus(sandbox: Sandbox, address: str) -> Prometheus:
    config = PrometheusConfig(
        targets={"prefect-exporter": address},
        interval_seconds=_SCRAPE_SECONDS,
        rule_files=sorted(_RULES.glob("*/*.yml")),
    )
    return start_prometheus(sandbox, config)


def _series(prometheus: Prometheus) -> int:
    (count,) = prometheus.query('count({__name__=~".+"})')
    return int(count.value)


def _times(board: Board, prometheus: Prometheus, rounds: int) -> BoardTimes:
    ask = over_http(prometheus.url)
    window = last(_HOURS * 3600)
    choice = choose(board, ask, window)
    asked = [query for query in queries(board) if query.source == "prometheus"]
    answers = [run_queries({"prometheus": ask}, asked, choice, window) for _ in range(rounds)]
    return _summary(str(board["uid"]), answers)


def _summary(board: str, rounds: Sequence[Sequence[Answer]]) -> BoardTimes:
    """Return the figures of a dashboard; each round has the answers in the same order."""
    medians = [
        (spread([each.seconds for each in same]).median, same[0].query.panel)
        for same in zip(*rounds, strict=True)
    ]
    slowest, panel = max(medians, default=(0.0, ""))
    total = spread([sum(each.seconds for each in answers) for answers in rounds])
    refused = sum(1 for each in rounds[0] if each.error)
    return BoardTimes(board, len(medians), slowest, panel, total, refused)
