"""Everything that one scene has left to judge, and how people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from demo.prometheus import Prometheus, Sample
from exactness.api_load import LATE
from exactness.counted import Series, over_all_lives, read_keys, read_series, resets
from exactness.scene import Scene
from exactness.truth import End, Truth, read_truth
from exactness.verdict import Labels, Matched, by_outcome, finished, match

_FLOW_RUN_LABELS = ("flow", "deployment", "subflow", "outcome")
_TASK_RUN_LABELS = ("flow", "task", "outcome")


@dataclass(frozen=True, slots=True)
class Kind:
    """Flow runs or task runs.

    Args:
        matched: Their ends beside the ledger's keys.
        series: The counters of ended runs in Prometheus.
        counted: Last minus first of those, by labels.
        observed: The same of the durations' counts.
    """

    matched: Matched
    series: Sequence[Series]
    counted: Mapping[Labels, int]
    observed: Mapping[Labels, int]

    @property
    def ends(self) -> list[End]:
        """What was to be counted: all but what nobody can count."""
        nobodys = {end.key for end in self.matched.nobodys}
        return [
            end for end in [*self.matched.counted, *self.matched.missing] if end.key not in nobodys
        ]


@dataclass(frozen=True, slots=True)
class Result:
    """What is left of a scene.

    Args:
        befallen: What went wrong on purpose, in order.
        resets: How often each series fell.
        pool_runs: Ended flow runs by the work pool's counter.
        event_only: Ends of flow runs that only events told of.
        corrections: Late ends that the audits found.
    """

    backend: str
    befallen: Sequence[str]
    truth: Truth
    flow_runs: Kind
    task_runs: Kind
    resets: Sequence[Sample]
    pool_runs: int
    event_only: int
    corrections: int

    @property
    def series(self) -> Sequence[Series]:
        """The counters of ended runs of both kinds."""
        return [*self.flow_runs.series, *self.task_runs.series]

    def happened(self) -> dict[str, int]:
        """Return how often each thing happened that makes counting hard."""
        flow_runs, task_runs = self.truth.flow_runs, self.truth.task_runs
        return {
            "retried": sum(end.replaced_us is not None for end in flow_runs),
            "deleted": sum(end.deleted for end in flow_runs),
            "overridden": sum(len(end.outcomes) > 1 for end in flow_runs),
            "in_subflow": sum(end.labels[2] != "false" for end in flow_runs),
            "late_task_run": sum(end.labels[1] == LATE for end in task_runs),
        }

    def document(self) -> dict[str, object]:
        """Return the summary for machines."""
        return {
            "backend": self.backend,
            "befallen": list(self.befallen),
            "flow_runs": _lines(self.flow_runs),
            "task_runs": _lines(self.task_runs),
            "happened": self.happened(),
            "without_event": sum(not end.told for end in self.truth.flow_runs),
            "event_only_completions": self.event_only,
            "audit_corrections": self.corrections,
            "series": len(self.resets),
            "resets": sum(sample.value for sample in self.resets),
            "nobody_can_count": [str(end.run_id) for end in self.flow_runs.matched.nobodys],
        }

    def table(self) -> Table:
        """Return the summary for people."""
        title = f"Ended runs on {self.backend}: the server's database and Prometheus"
        table = Table("Kind", "Outcome", "Database", "Prometheus", box=box.MARKDOWN, title=title)
        for name, kind in (("flow runs", self.flow_runs), ("task runs", self.task_runs)):
            for outcome, (truth, counted) in _lines(kind).items():
                table.add_row(name, outcome, truth, str(counted))
        return table


def read_result(scene: Scene, befallen: Sequence[str]) -> Result:
    """Read the truth and the counts; ends the exporter, whose ledger is read last."""
    truth, prometheus = read_truth(scene.database), scene.prometheus
    fallen = resets(prometheus)
    pool = read_series(prometheus, "prefect_work_pool_flow_runs_finished_total")
    event_only = over_all_lives(prometheus, "prefect_exporter_event_only_completions_total")
    corrections = over_all_lives(prometheus, "prefect_exporter_audit_corrections_total")
    scene.exporter.process.stop()
    keys = read_keys(scene.ledger)
    flow_runs = match(truth.flow_runs, keys["flow_runs"])
    task_runs = match(truth.task_runs, keys["task_runs"])
    return Result(
        backend=scene.backend,
        befallen=befallen,
        truth=truth,
        flow_runs=_kind(prometheus, flow_runs, "flow", _FLOW_RUN_LABELS),
        task_runs=_kind(prometheus, task_runs, "task", _TASK_RUN_LABELS),
        resets=fallen,
        pool_runs=sum(series.counted for series in pool),
        event_only=event_only,
        corrections=corrections,
    )


def _kind(prometheus: Prometheus, matched: Matched, kind: str, labels: Labels) -> Kind:
    series = read_series(prometheus, f"prefect_{kind}_runs_finished_total")
    observed = read_series(prometheus, f"prefect_{kind}_run_duration_seconds_count")
    timed = tuple(label for label in labels if label != "subflow")
    return Kind(matched, series, _by_labels(series, labels), _by_labels(observed, timed))


def _by_labels(series: Sequence[Series], labels: Labels) -> Mapping[Labels, int]:
    counted = Counter[Labels]()
    for each in series:
        # Prometheus drops labels that are empty.
        counted[tuple(each.labels.get(label, "") for label in labels)] += each.counted
    return counted


def _lines(kind: Kind) -> dict[str, tuple[str, int]]:
    """Return truth and count by outcome; the truth as a range where ends were overridden."""
    expected, counted = finished(kind.ends), by_outcome(kind.counted)
    least, most = by_outcome(expected.least), by_outcome(expected.most)
    lines = {
        outcome: (_range(least[outcome], most[outcome]), counted[outcome])
        for outcome in sorted(most.keys() | counted.keys())
    }
    return lines | {"all": (str(len(kind.ends)), counted.total())}


def _range(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"
