"""What the person at the terminal sees of the demo."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table

from demo.installation import Installation
from demo.prometheus import Alert, Prometheus

QUERIES = {
    "Runs that ended in the last five minutes, by outcome": (
        "sum by (outcome) (increase(prefect_flow_runs_finished_total[5m]))"
    ),
    "How long 95 of 100 runs take at most": (
        "histogram_quantile(0.95,"
        " sum by (le, flow) (rate(prefect_flow_run_duration_seconds_bucket[5m])))"
    ),
    "Runs that nobody picks up": "sum by (deployment, work_pool) (prefect_flow_runs_late)",
}
"""What a query tells, with the query."""


class Screen:
    """Writes to the terminal; plain lines where there is none."""

    def __init__(self) -> None:
        # No guessing of numbers and paths to colour; addresses stay in one piece.
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """Write a line."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, part: str) -> Iterator[None]:
        """Show that *part* is starting, then that it is ready and how long that took."""
        began = time.monotonic()
        with self._console.status(f"{part} ..."):
            yield
        self.say(f"  {part:<28}ready  {time.monotonic() - began:5.1f} s")

    def missing(self, packages: Mapping[str, str]) -> None:
        """Say which programs are not installed, and how to get them."""
        if packages:
            names = " and ".join(packages)
            command = f"apt-get install --no-install-recommends {' '.join(packages.values())}"
            self.say(f"Not installed, so the demo goes on without: {names}.")
            self.say(f"To get it all, as root: {command}")

    def addresses(self, parts: Installation) -> None:
        """Show where to look."""
        table = Table("What", "Where", box=box.MARKDOWN)
        table.add_row("Prefect", parts.server.url)
        table.add_row("Exporter: status page", parts.exporter.url)
        table.add_row("Exporter: metrics", parts.exporter.metrics_url)
        if parts.prometheus:
            table.add_row("Prometheus", parts.prometheus.url)
        if parts.alertmanager:
            table.add_row("Alertmanager", parts.alertmanager.url)
        self._console.print(table)

    def queries(self, prometheus: Prometheus) -> None:
        """Show what to ask Prometheus, with links to the graphs."""
        self.say("Ask Prometheus:")
        for meaning, promql in QUERIES.items():
            self.say(f"\n  {meaning}\n    {promql}\n    {prometheus.graph_url(promql)}")
        self.say()

    def alert(self, alert: Alert, *, after: float) -> None:
        """Name an alert that began to fire *after* so many seconds of the demo."""
        team = f", team {alert.labels['team']}" if "team" in alert.labels else ""
        minutes, seconds = divmod(round(after), 60)
        self.say(
            f"{minutes:3d}:{seconds:02d}  {alert.labels['alertname']}"
            f" ({alert.labels['severity']}{team}): {alert.annotations['summary']}"
        )

    def summary(self, counted: Counter[str], held: Counter[str]) -> None:
        """Show what the exporter counted beside what the server holds."""
        table = Table("Flow runs that ended", "exporter", "server", box=box.MARKDOWN)
        for outcome in sorted(counted | held):
            table.add_row(outcome, str(counted[outcome]), str(held[outcome]))
        table.add_row("all", str(counted.total()), str(held.total()))
        self._console.print(table)
