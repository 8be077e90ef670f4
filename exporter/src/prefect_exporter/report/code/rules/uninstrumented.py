"""Flows of whose insides nothing is told: no traces, no log context, no memory."""

from __future__ import annotations

from collections.abc import Iterable

from prefect_exporter.report.code.evidence import Place, Rule
from prefect_exporter.report.code.sources import Project
from prefect_exporter.report.model import Effort, Finding, Severity

RULE = Rule(
    check="code-uninstrumented",
    severity=Severity.LOW,
    title="the flows of {subject} tell nothing of what happens inside them",
    detail="No file here names prefect-instrumentation. With it every run has a trace, its log "
    "lines carry one id, and its memory and CPU are known. Where the image or the worker sets "
    "PREFECT_PLUGINS_ENABLED outside of these files, this does not hold.",
    effort=Effort.MINUTES,
    risk="little: an error of telemetry never reaches a flow (docs/tracing.md)",
    rollback="uninstall it",
)
_NAMES = ("prefect_instrumentation", "prefect-instrumentation")


def uninstrumented(project: Project) -> Iterable[Finding]:
    """Tell once of a path with flows that names the instrumentation nowhere."""
    flows = [(source, flow) for source in project.sources for flow in source.of_kind("flow")]
    if not flows or any(name in text for text in project.texts for name in _NAMES):
        return ()
    if any(source.uses(_NAMES[0]) for source in project.sources):
        return ()
    source, flow = flows[0]
    text = f"{len(flows)} flows, the first of them {flow.node.name}"
    change = "pip install prefect-instrumentation, and PREFECT_PLUGINS_ENABLED=1 where flows run"
    place = Place(source, flow.node.lineno, text, change)
    return RULE.findings([(str(project.root), place)])
