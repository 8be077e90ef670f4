"""The rules in deploy/prometheus: Prometheus reads them, and each does what its test says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from alert_rules import (
    PATHS,
    PROMETHEUS,
    RECORDED,
    RULES,
    Rule,
    each_alert,
    each_file,
    promtool,
)
from backup_metrics import backup_metrics
from contexts import settings_of
from prefect_exporter import collectors, self_metrics, traffic
from prefect_exporter.metrics import Kind
from queried_metrics import queried_metrics

METRIC = re.compile(r"(?<![:\w])prefect_(?!sdk_)\w+(?![\w:])")
RECORDING = re.compile(r"[a-z_]+(?::\w+)+")
GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
# What is reckoned over a window outlives a gap by itself.
WINDOWED = re.compile(r"increase|rate\(|_over_time\(|:p\d\d|vector\(")


def exported(kind: Kind | None = None) -> set[str]:
    """Return the names of the exporter's families, or of those of a kind."""
    every = collectors.every(settings_of())
    kinds = {family.name: family.kind for each in every for family in each.families}
    kinds |= {family.name: family.kind for each in every for family in each.counted}
    own = (*self_metrics.COLLECTOR_FAMILIES, *self_metrics.PROCESS_FAMILIES, *traffic.FAMILIES)
    kinds |= {family.name: family.kind for family in own}
    kinds["prefect_server_api_request_duration_seconds"] = Kind.HISTOGRAM
    return {name for name, known in kinds.items() if kind in {None, known}}


EXPORTED = exported()
GAUGES = exported(Kind.GAUGE)
HISTOGRAMS = exported(Kind.HISTOGRAM)


def metrics_in(expr: str) -> set[str]:
    """Return the metrics that an expression reads, of a histogram the family."""
    names = set(METRIC.findall(expr))
    families = {name: re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    return {family if family in HISTOGRAMS else name for name, family in families.items()}


def exprs_of(path: Path) -> list[str]:
    """Return the expressions in a rule file."""
    return [rule.expr for rule in RULES if rule.path == path]


def test_rules_are_read_by_prometheus() -> None:
    """Every rule file is valid, and promtool finds nothing to complain of."""
    paths = [PROMETHEUS / "rules" / path for path in PATHS]
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *paths)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_file_has_a_test() -> None:
    """Each rule file has a test at the same path that reads it, and no test has lost its rules."""
    tests = {
        path.relative_to(PROMETHEUS / "tests"): yaml.safe_load(path.read_text())["rule_files"]
        for path in (PROMETHEUS / "tests").glob("*/*.yml")
    }

    assert sorted(tests) == PATHS
    assert [] == [path for path, read in tests.items() if f"../../rules/{path}" not in read]


@each_file
def test_rules_do_what_their_test_says(path: Path) -> None:
    """The rules of a file pass their test."""
    done = promtool("test", "rules", PROMETHEUS / "tests" / path)

    assert done.returncode == 0, done.stdout + done.stderr


@each_file
def test_groups_are_tested_in_one_order(path: Path) -> None:
    """A test of several groups names their order, which is else another one each time."""
    test = yaml.safe_load((PROMETHEUS / "tests" / path).read_text())
    read = {Path(each).relative_to("../../rules") for each in test["rule_files"]}
    groups = {rule.group for rule in RULES if rule.path in read}

    assert len(groups) == 1 or groups == set(test["group_eval_order"])


@each_file
def test_rules_read_what_exists(path: Path) -> None:
    """No rule reads a metric that the exporter does not have, or a name that nothing records."""
    exprs = [re.sub(r'"[^"]*"', "", expr) for expr in exprs_of(path)]
    read = {name for expr in exprs for name in metrics_in(expr)}

    assert set() == read - EXPORTED - queried_metrics() - backup_metrics()
    assert set() == {name for expr in exprs for name in RECORDING.findall(expr)} - RECORDED.keys()


@each_file
def test_deployments_keep_their_identity(path: Path) -> None:
    """Whatever is grouped or joined by deployment is so by target and flow too."""
    found = [each for expr in exprs_of(path) for each in GROUPING.findall(expr)]
    of_deployments = [each for each in found if re.search(r"\bdeployment\b", each)]

    assert [] == [
        each for each in of_deployments if not re.search(r"(?s)\btarget\b.*\bflow\b", each)
    ]


@each_alert
def test_an_alert_outlives_a_gap(alert: Rule) -> None:
    """What is read at one moment, of gauges above all, fires on when it cannot be read."""
    lasts = "_over_time(" in alert.expr or not metrics_in(alert.expr) & GAUGES

    assert "keep_firing_for" in alert.fields or (lasts and WINDOWED.search(alert.expr))


def test_prometheus_reads_every_folder() -> None:
    """A folder of rules that is not in rule_files would be silent."""
    read = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["rule_files"]

    assert {f"rules/{path.parent}/*.yml" for path in PATHS} == set(read)
