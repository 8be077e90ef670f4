"""The trace of a night beside the runs that Prefect has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from nights import FINAL, GOOD, Night, Run, Span, TaskRun, runs, soon, task_runs

TREE: Mapping[str, Counter[str]] = {
    "the request": Counter({"nightly-orders/nightly Failed": 1}),
    "nightly-orders/nightly Failed": Counter(
        {
            "client-batch/retail aster Failed": 1,
            "client-batch/retail birch Completed": 1,
            "client-batch/wholesale cedar TimedOut": 1,
            # The killed run's own span is lost with its process; the exporter sends it.
            "client-batch/logistics dahlia Crashed": 1,
            "client-batch/logistics dahlia Completed": 1,
        }
    ),
}
"""Which flow runs stand below which, with their last states."""

STEPS = {f"task {step}" for step in ("plan", "extract", "validate", "convert", "load")}
"""What the client does that has good orders alone."""

_OF_RATES = "GET"


class Trace:
    """The spans of one trace, by their ids."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans
        self._by_id = {span.span_id: span for span in spans}

    def above(self, span: Span) -> Iterator[Span]:
        """Yield the spans that enclose one, the nearest first."""
        while (parent := self._by_id.get(span.parent_id)) is not None:
            yield parent
            span = parent

    def roots(self) -> Sequence[Span]:
        """Return the spans whose parent is not in the trace."""
        return [span for span in self.spans if span.parent_id not in self._by_id]

    def of_runs(self, kind: str) -> Mapping[str, Sequence[Span]]:
        """Return the spans of ``flow`` or ``task`` runs, by the run's id."""
        found: dict[str, list[Span]] = {}
        for span in self.spans:
            if span["prefect.run.type"] == kind:
                found.setdefault(span[f"prefect.{kind}_run.id"], []).append(span)
        return found


def flow_tree(night: Night) -> Mapping[str, Counter[str]]:
    """Return the trace's flow runs below each other, each as Prefect's API names its run."""
    named = _named(night)
    trace = Trace(night.spans())
    tree: dict[str, Counter[str]] = {}
    for run_id, spans in trace.of_runs("flow").items():
        for span in spans:
            above = [one for one in trace.above(span) if one["prefect.run.type"] == "flow"]
            parent = _shown(named, above[0]) if above else _origin(night, trace, span)
            tree.setdefault(parent, Counter())[f"{named[run_id]} {span['prefect.state.name']}"] += 1
    return tree


def _named(night: Night) -> Mapping[str, str]:
    with night.prefect() as client:
        return {run.id: run.name for run in runs(client, night.request.run_id)}


def _shown(named: Mapping[str, str], span: Span) -> str:
    return f"{named[span['prefect.flow_run.id']]} {span['prefect.state.name']}"


def _origin(night: Night, trace: Trace, span: Span) -> str:
    """Tell what the topmost span above a flow's is: the request below the caller's, or nothing."""
    top = [span, *trace.above(span)][-1]
    caused = top is not span and top.parent_id == night.request.span_id
    return "the request" if caused and top.name.startswith("POST /deployments/") else "nothing"


def check_trace(night: Night) -> None:
    """Assert that the trace has every run of the night once, below its cause, as it ended."""
    assert TREE == soon(lambda: flow_tree(night), TREE)


def check_tasks(night: Night) -> None:
    """Assert that each task run that has ended is a span of that state within its flow run's.

    Of the killed run that is not asked: what its tasks had not sent is lost with it.
    """
    with night.prefect() as client:
        of_night = [run for run in runs(client, night.request.run_id) if not run.was_killed]
        known, seen = soon(
            lambda: (_ended(task_runs(client, of_night)), _tasks(night, of_night)),
            lambda both: both[0] == both[1] and STEPS <= _steps(of_night, both[0]),
        )

    assert known == seen
    assert STEPS <= _steps(of_night, seen)


def _steps(of_night: Sequence[Run], seen: Counter[tuple[str, ...]]) -> set[str]:
    good = next(run.id for run in of_night if run.client == GOOD)
    return {name for flow_run_id, name, _ in seen if flow_run_id == good}


def _ended(found: Sequence[TaskRun]) -> Counter[tuple[str, ...]]:
    return Counter(
        (each.flow_run_id, f"task {each.task}", each.state)
        for each in found
        if each.state_type in FINAL
    )


def _tasks(night: Night, of: Sequence[Run]) -> Counter[tuple[str, ...]]:
    trace = Trace(night.spans())
    wanted = {run.id for run in of}
    return Counter(
        (_flow_run_above(trace, span), span.name, span["prefect.state.name"])
        for spans in trace.of_runs("task").values()
        for span in spans
        if span["prefect.flow_run.id"] in wanted
    )


def _flow_run_above(trace: Trace, span: Span) -> str:
    flows = (one for one in trace.above(span) if one["prefect.run.type"] == "flow")
    return next((one["prefect.flow_run.id"] for one in flows), "no flow run")


def check_parents(night: Night) -> None:
    """Assert that nothing hangs in the air: the caller's span alone is not in the trace.

    But for what was under way in the killed run: the spans of its tasks are lost with it, and
    what they have asked of the service of rates does not say which run it is of.
    """
    with night.prefect() as client:
        (killed,) = (run.id for run in runs(client, night.request.run_id) if run.was_killed)
    whole = [("POST", night.request.span_id)]

    assert whole == soon(lambda: _tops(Trace(night.spans()), killed), whole)


def _tops(trace: Trace, killed: str) -> Sequence[tuple[str, str]]:
    """Return the first word and the parent of each span whose parent is not in the trace."""
    return [
        (span.name.partition(" ")[0], span.parent_id)
        for span in trace.roots()
        if span["prefect.flow_run.id"] != killed and span.name != _OF_RATES
    ]


def check_correlation(night: Night) -> None:
    """Assert that each run's span, and the request's, has the caller's correlation id."""
    soon(lambda: flow_tree(night), TREE)
    asked = [
        span
        for span in night.spans()
        if "prefect.run.type" in span.attributes or span.parent_id == night.request.span_id
    ]

    assert asked
    assert {night.request.correlation_id} == {span["correlation_id"] for span in asked}
