"""Objectives of deployments: what the file may say, and the rules that come of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generated import ROOT
from monitoring import tool
from slo.__main__ import main
from slo.objectives import load
from slo.recording import OBJECTIVE, OWNER
from sources import BadSource

_TIERS = "default: '2'\ntiers:\n  '1': {page: true, success: 99.5%}\n  '2': {success: 99%}\n"


def _file(folder: Path, text: str) -> Path:
    path = folder / "objectives.yml"
    path.write_text(text, encoding="utf-8")
    return path


def _generate(folder: Path, text: str, *options: str) -> int:
    rules = f"--rules={folder / 'rules'}"
    return main([f"--objectives={_file(folder, text)}", rules, *options])


def _promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [tool("promtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_committed_rules_are_what_the_committed_file_gives() -> None:
    """Nobody has edited a generated rule by hand, or the file without generating."""
    assert main(["--check"]) == 0


def test_a_tag_is_read_as_the_file_is(tmp_path: Path) -> None:
    """Ratios and durations are written in the file as in tags."""
    text = _TIERS + "deployments: [{flow: f, deployment: d, success: 0.9, fresh: 1h30m, delay: 45}]"
    (deployment,) = load(_file(tmp_path, text)).deployments

    assert deployment.objectives == {"success": 0.9, "fresh": 5400.0, "delay": 45.0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "default: is missing: add it"),
        ("default: '3'\ntiers: {'1': {}}", "default: '3' is no tier: take one of 1"),
        (_TIERS + "depployments: []", "depployments: is no setting: remove it"),
        (
            "default: '1'\ntiers: {'1': {success: 100%}}",
            "tiers.1.success: '100%' is no objective: write it as 99.5% or 0.995, below 100%",
        ),
        (
            "default: '1'\ntiers: {'1': {fresh: two hours}}",
            "tiers.1.fresh: 'two hours' is no objective: write it as 30s, 15m, 1h30m or 7d",
        ),
        (_TIERS + "deployments: [{flow: f}]", "deployments[0].deployment: is missing: add it"),
        (
            _TIERS + "deployments: [{flow: f, deployment: d}, {flow: f, deployment: d}]",
            "deployments[1]: stands there twice: keep one",
        ),
        ("default: '1'\ndefault: '2'", "line 2: default stands twice"),
        ("tiers: [", "line 1: expected the node content"),
    ],
    ids=["empty", "default", "key", "success", "fresh", "missing", "twice", "same key", "yaml"],
)
def test_a_bad_value_is_told_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    """Whoever wrote the file learns the place, the problem and what to write instead."""
    path = _file(tmp_path, text)

    with pytest.raises(BadSource) as error:
        load(path)
    (line,) = [each for each in str(error.value).splitlines() if problem in each]
    assert line.startswith(f"{path}: ")


def test_a_bad_file_writes_nothing(tmp_path: Path) -> None:
    """The rules that are there stay as they are."""
    assert _generate(tmp_path, "tiers: 1") == 2
    assert not (tmp_path / "rules").exists()


def test_check_says_what_differs_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change, a file without a source and a missing one are named, with the command."""
    _generate(tmp_path, _TIERS)
    capsys.readouterr()
    (tmp_path / "rules" / "slo" / "Old.yml").write_text("groups: []")
    (tmp_path / "rules" / "slo" / "PrefectErrorBudgetSpent.yml").unlink()
    code = _generate(tmp_path, _TIERS.replace("99%", "98%"), "--check")

    told = capsys.readouterr().err
    assert code == 1
    assert told.count("mend it with: make generate") == 3
    for name in ("Old.yml", "PrefectErrorBudgetSpent.yml", "recording/slo.yml"):
        assert name in told
    assert (tmp_path / "rules" / "slo" / "Old.yml").exists()


def test_writing_again_removes_what_has_no_source(tmp_path: Path) -> None:
    """A rule that is generated no more does not go on alerting."""
    _generate(tmp_path, _TIERS)
    old = tmp_path / "rules" / "slo" / "Old.yml"
    old.write_text("groups: []")
    _generate(tmp_path, _TIERS)

    assert not old.exists()
    assert _generate(tmp_path, _TIERS, "--check") == 0


@pytest.mark.parametrize(
    ("tiers", "severities"),
    [
        ("{a: {page: true}, b: {}}", ["critical", "warning"]),
        ("{a: {}, b: {page: true}}", ["critical", "warning"]),
        ("{a: {page: true}, b: {page: true}}", ["critical"]),
        ("{a: {}, b: {}}", ["warning"]),
    ],
    ids=["default pages", "other pages", "all page", "none pages"],
)
def test_tiers_decide_who_is_woken(tmp_path: Path, tiers: str, severities: list[str]) -> None:
    """There is a rule for each severity that some tier has, and none for nobody."""
    _generate(tmp_path, f"default: a\ntiers: {tiers}")
    text = (tmp_path / "rules" / "slo" / "PrefectErrorBudgetBurnFast.yml").read_text()

    found = [line.split()[-1] for line in text.splitlines() if "severity:" in line]
    assert found == severities


_NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20
) | st.sampled_from(['"', "\\", "{}", '"} or vector(1) #', "{{ . }}", "a\nb", "\u2028", "\ufeff"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(_NAMES, min_size=3, max_size=3, unique=True))
def test_any_name_selects_its_deployment_alone(tmp_path: Path, names: list[str]) -> None:
    """Whatever a flow and a deployment are called, the rules are valid and mean just them."""
    flow, deployment, other = names
    entry = {"flow": flow, "deployment": deployment, "success": "90%"}
    text = yaml.safe_dump({"default": other, "tiers": {other: {}}, "deployments": [entry]})
    assert _generate(tmp_path, text) == 0

    done = _promtool("test", "rules", _selecting(tmp_path, flow, deployment, other))
    assert done.returncode == 0, done.stdout + done.stderr


def _selecting(folder: Path, flow: str, deployment: str, other: str) -> Path:
    """Write a test in which a deployment has an objective, and two like it have none."""
    who = [(flow, deployment), (flow, other), (other, deployment)]
    series = [{"series": OWNER + _labels(*each, tier=other), "values": "1x3"} for each in who]
    expected = {"labels": f"{OBJECTIVE}:success{_labels(flow, deployment)}", "value": 0.9}
    expr = {"expr": f"{OBJECTIVE}:success", "eval_time": "2m", "exp_samples": [expected]}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [expr]}
    path = folder / "test.yml"
    rules = [str(each) for each in sorted((folder / "rules").rglob("*.yml"))]
    path.write_text(yaml.safe_dump({"rule_files": rules, "tests": [test]}))
    return path


def _labels(flow: str, deployment: str, **more: str) -> str:
    labels = {"target": "t", "flow": flow, "deployment": deployment, **more}
    return "{" + ",".join(f"{name}={_go(text)}" for name, text in labels.items()) + "}"


def _go(text: str) -> str:
    """Quote a text by its bytes, which is another way than the rules go."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def test_what_is_nearer_to_a_deployment_wins(tmp_path: Path) -> None:
    """A tag goes before the file, an entry with a target before one without, that before tiers."""
    text = _TIERS + (
        "deployments:\n"
        "  - {flow: f, deployment: d, success: 70%}\n"
        "  - {target: t, flow: f, deployment: d, success: 80%}\n"
    )
    _generate(tmp_path, text)
    owned = {("t", "d"): "1", ("u", "d"): "1", ("v", "d"): "1", ("t", "x"): "1", ("t", "y"): "?"}
    series = [
        {
            "series": f'{OWNER}{{target="{target}",flow="f",deployment="{name}",tier="{tier}"}}',
            "values": "1x3",
        }
        for (target, name), tier in owned.items()
    ]
    tag = 'prefect_deployment_objective{target="v",flow="f",deployment="d",objective="success"}'
    series.append({"series": tag, "values": "0.6x3"})
    wanted = {
        ("v", "d"): 0.6,
        ("u", "d"): 0.7,
        ("t", "d"): 0.8,
        ("t", "x"): 0.995,
        ("t", "y"): 0.99,
    }
    samples = [
        {
            "labels": f'{OBJECTIVE}:success{{target="{target}",flow="f",deployment="{name}"}}',
            "value": value,
        }
        for (target, name), value in wanted.items()
    ]
    expr = {"expr": f"{OBJECTIVE}:success", "eval_time": "2m", "exp_samples": samples}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [expr]}
    rules = str(tmp_path / "rules" / "recording" / "slo.yml")
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [rules], "tests": [test]}))

    done = _promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_committed_file_can_be_used() -> None:
    """Each tier of the committed file has an objective for success."""
    objectives = load(ROOT / "deploy" / "slo" / "objectives.yml")

    assert all("success" in tier.objectives for tier in objectives.tiers)
