"""Parts of annotations that Prometheus fills in, for the labels of a deployment."""

from __future__ import annotations

from slo.recording import FAILED, FINISHED, OBJECTIVE

WHO = "{{ $labels.flow }}/{{ $labels.deployment }}"
VALUE = "{{ $value | humanizeDuration }}"
BOARD = "{{ $externalLabels.grafana_url }}/d/prefect-flow?" + "&".join(
    f"var-{label}={{{{ $labels.{label} | urlquery }}}}"
    for label in ("target", "team", "flow", "deployment")
)


def counted(window: str) -> str:
    """Return how many of the runs of a window failed, as ``12 of 20``."""
    failed = _asked(f"{FAILED}:increase{window}", 'printf "%.0f"')
    finished = _asked(f"{FINISHED}:increase{window}", 'printf "%.0f"')
    return f"{failed} of {finished}"


def counted_in(short: str, long: str, least: float) -> str:
    """Return how many runs failed in the short window, or in the long one if those are too few."""
    enough = _query(f"{FAILED}:increase{short}", f" > {least}")
    return (
        f"{{{{ if {enough} }}}}In the last {short} {counted(short)}"
        f"{{{{ else }}}}In the last {long} {counted(long)}{{{{ end }}}}"
    )


def aim(objective: str) -> str:
    """Return the objective that is in force."""
    form = "humanizePercentage" if objective == "success" else "humanizeDuration"
    return _asked(f"{OBJECTIVE}:{objective}", form)


def _asked(series: str, form: str) -> str:
    """Return another number of the same deployment."""
    return f"{{{{ with {_query(series)} }}}}{{{{ . | first | value | {form} }}}}{{{{ end }}}}"


def _query(series: str, rest: str = "") -> str:
    """Return what asks Prometheus for a series of the same deployment.

    Go quotes names for `printf` as PromQL reads them, so no name leaves its string.
    """
    labels = "target=%q,flow=%q,deployment=%q"
    names = "$labels.target $labels.flow $labels.deployment"
    return f'printf "{series}{{{labels}}}{rest}" {names} | query'
