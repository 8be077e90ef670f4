"""A real Prometheus with a past of our own: counters that grew by the hour until ``worlds.NOW``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import monitoring
from demo.processes import Program, answers_at, free_port
from demo.sandbox import Sandbox
from report.worlds import NOW

HOURS = 8 * 24
"""Of the past that there is: a day more than the period."""

STEP_HOURS = 2
"""Between samples; with a sample just as the period begins, as Prometheus would have one."""


@dataclass(frozen=True, slots=True)
class Grown:
    """One series of a counter.

    Args:
        total: At the end.
        before: What it had when the past begins; None where the series begins *since_hours* ago.
        until_hours: How long ago it ended.
    """

    name: str
    labels: Mapping[str, str]
    total: float
    before: float | None = 0.0
    since_hours: int = HOURS
    until_hours: int = 0

    def samples(self) -> Iterator[str]:
        """Return its lines, the oldest first: half of the growth comes in the last four days."""
        labels = ",".join(f"{key}={json.dumps(value)}" for key, value in self.labels.items())
        first = self.total if self.before is None else self.before
        for hours_ago in range(self.since_hours, self.until_hours - 1, -STEP_HOURS):
            value = first if hours_ago > 96 else (first + self.total) / 2
            value = self.total if hours_ago <= 24 or self.before is None else value
            yield f"{self.name}{{{labels}}} {value} {NOW.timestamp() - hours_ago * 3600:.0f}"


@dataclass(slots=True)
class Past:
    """What is to be in Prometheus."""

    series: list[Grown] = field(default_factory=list)

    def histogram(
        self,
        name: str,
        labels: Mapping[str, str],
        values: Sequence[float],
        bounds: Sequence[float],
        old: Sequence[float] = (),
    ) -> None:
        """Add a histogram that observed *values* in the period, and *old* ones long before it."""
        for bound in (*bounds, float("inf")):
            le = "+Inf" if bound == float("inf") else repr(float(bound))
            before = sum(value <= bound for value in old)
            total = before + sum(value <= bound for value in values)
            self.series.append(Grown(f"{name}_bucket", {**labels, "le": le}, total, before))
        everything = [*old, *values]
        self.series.append(Grown(f"{name}_sum", labels, sum(everything), sum(old)))
        self.series.append(Grown(f"{name}_count", labels, len(everything), len(old)))

    def text(self) -> str:
        """Return OpenMetrics, the samples of a name together."""
        ordered = sorted(self.series, key=lambda each: each.name)
        lines = [line for each in ordered for line in each.samples()]
        return "\n".join([*lines, "# EOF", ""])


@contextmanager
def prometheus(past: Past) -> Iterator[str]:
    """Run a Prometheus with this past; yield its address."""
    with Sandbox() as sandbox:
        folder = sandbox.subfolder("prometheus")
        (folder / "none.yml").write_text("{}")
        (folder / "past").write_text(past.text())
        promtool = [str(monitoring.tool("promtool")), "tsdb", "create-blocks-from", "openmetrics"]
        subprocess.run([*promtool, "past", "data"], cwd=folder, check=True, capture_output=True)
        address = f"127.0.0.1:{free_port()}"
        program = Program(
            name="prometheus",
            argv=[
                str(monitoring.tool("prometheus")),
                f"--config.file={folder / 'none.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                # The past is at a fixed time, however late the tests run.
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ],
            env=sandbox.environment(),
            ready=answers_at(f"http://{address}/-/ready"),
        )
        sandbox.start(program)
        yield f"http://{address}"
