"""The targets file: what it makes of good text, and what it says of bad text."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.environment import BadSettings, load_settings
from prefect_exporter.selection import Patterns
from prefect_exporter.targets import Targets, load_targets
from prefect_exporter.targets_file import MAX_BYTES, read_targets

HIDDEN = "hunter2-do-not-show"
GOOD = """\
budgets:
  cloud: 400
targets:
  - name: production
    url: https://prefect.example.com/api/
    auth_string_file: {secret}
    collectors: {{automations: off, work_pools: 5m}}
  - name: analytics
    url: https://api.prefect.cloud/api/accounts/a/workspaces/b
    api_key_env: ANALYTICS_KEY
    budget: cloud
    flows: ["etl-*", "!etl-test-*"]
    poll_interval: 30s
"""
BAD = """\
budgets: {cloud: 400, slow: x}
targets:
  - name: production
    url: ftp://prefect.example.com
    api_key_env: NOT_SET
    budget: clod
  - name: production
    api_key: hunter2-do-not-show
    urll: http://127.0.0.1:4200/api
    page_size: 0
    collectors: {workers: soon}
  - three
"""
TOLD = [
    "line 1: budgets gives 'slow' no whole number of requests per minute from 1 to 100000",
    (
        "line 4: targets[0].url='ftp://prefect.example.com' is not an http or https address; "
        "give an address such as http://127.0.0.1:4200/api"
    ),
    (
        "line 5: targets[0].api_key_env names 'NOT_SET', which is no variable that is set; "
        "set it, or give its file"
    ),
    "line 6: targets[0].budget is 'clod', which `budgets:` does not have",
    "line 7: targets[1] has no `url:`",
    "line 7: targets[1].name names 'production' again; it stands in line 3 too",
    "line 8: targets[1].api_key must not stand in this file; give api_key_file or api_key_env",
    "line 9: targets[1].urll is not known; did you mean url?",
    "line 10: targets[1].page_size='0' is out of range; give a whole number from 1 to 200",
    (
        "line 11: targets[1].collectors='workers=soon' is not a duration; "
        "give name=interval or name=off, such as workers=1m,automations=off"
    ),
    "line 12: targets[2] is no target; give at least `name:` and `url:`",
]


@pytest.fixture(name="path")
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "targets.yaml"
    path.write_text("targets: []")
    monkeypatch.setenv("PREFECT_EXPORTER_TARGETS_FILE", str(path))
    return path


def problems(path: Path, text: str) -> list[str]:
    """Return what is said of a file with that text, without the file's name."""
    path.write_text(text)
    with pytest.raises(BadSettings) as caught:
        load_targets(load_settings())
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def good(path: Path, monkeypatch: pytest.MonkeyPatch) -> Targets:
    """Return the targets of the good file."""
    secret = path.with_name("secret")
    secret.write_text(f"admin:{HIDDEN}\n")
    monkeypatch.setenv("ANALYTICS_KEY", HIDDEN)
    path.write_text(GOOD.format(secret=secret))
    return load_targets(load_settings())


def test_targets_have_settings_of_their_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each target has what it says itself, checked as variables are."""
    production, analytics = good(path, monkeypatch).targets

    assert ("production", None) == (production.name, production.budget)
    assert "https://prefect.example.com/api" == production.settings.api_url
    assert {"automations": None, "work_pools": 300.0} == production.settings.collectors
    assert production.settings.api_auth_string is not None
    assert f"admin:{HIDDEN}" == production.settings.api_auth_string.get_secret_value()
    assert production.settings.api_key is None
    assert ("analytics", "cloud") == (analytics.name, analytics.budget)
    assert Patterns(("etl-*",), ("etl-test-*",)) == analytics.settings.flows
    assert 30.0 == analytics.settings.poll_interval_seconds


def test_variables_are_defaults_for_every_target(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that a target does not give is as the environment has it."""
    monkeypatch.setenv("PREFECT_EXPORTER_POLL_INTERVAL", "45s")
    monkeypatch.setenv("PREFECT_EXPORTER_SLOW_INTERVAL", "")

    production, analytics = good(path, monkeypatch).targets

    assert 45.0 == production.settings.poll_interval_seconds
    assert 30.0 == analytics.settings.poll_interval_seconds
    assert 300.0 == production.settings.slow_interval_seconds


def test_reading_twice_gives_equal_targets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged file is no change; a new secret in the same file is one."""
    first, second = good(path, monkeypatch), good(path, monkeypatch)
    path.with_name("secret").write_text("admin:another")
    third = load_targets(load_settings())

    assert first == second
    assert first.targets[0] != third.targets[0]
    assert first.targets[1] == third.targets[1]


def test_every_problem_is_told_with_its_line(path: Path) -> None:
    """One reading tells all that is wrong, each with path and line, in the file's order."""
    assert TOLD == problems(path, BAD)


def test_file_that_vanishes_while_targets_are_read_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target whose settings cannot be read just now is a problem, and not left out."""
    trusted = path.with_name("ca.pem")
    trusted.write_bytes(Path(certifi.where()).read_bytes())
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(trusted))
    path.write_text("targets:\n  - {name: a, url: 'http://a/api'}\n")
    settings = load_settings()
    trusted.unlink()

    with pytest.raises(BadSettings, match=r"line 2: targets\[0\] PREFECT_API_SSL_CERT_FILE='"):
        load_targets(settings)


def test_no_secret_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands where a secret would, or in its file, is in no message and no repr."""
    secret = path.with_name("secret")
    secret.write_text(HIDDEN)
    text = f"targets:\n  - {{name: a, url: 'http://a/api', auth_string_file: {secret}}}\n"

    told = problems(path, BAD) + problems(path, text)

    assert HIDDEN not in "".join(told)
    assert "targets[0].auth_string_file has no user" in told[-1]
    assert HIDDEN not in repr(good(path, monkeypatch))


def test_one_servers_variables_beside_a_file_are_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that would be read by nobody, or sent to the wrong server, end the start."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    path.with_name("key").write_text("pnu_key")
    monkeypatch.setenv("PREFECT_API_KEY_FILE", str(path.with_name("key")))
    text = "targets:\n  - {name: a, url: 'http://a/api'}\n"

    assert [
        (
            f"PREFECT_API_URL and PREFECT_EXPORTER_TARGETS_FILE='{path}' are both set; "
            "leave one of them out"
        ),
        (
            f"PREFECT_API_KEY_FILE and PREFECT_EXPORTER_TARGETS_FILE='{path}' are both set; "
            "leave one of them out"
        ),
    ] == problems(path, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file holds no `targets:`"),
        ("a: [1", "line 1: the file is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("targets: {}", "line 1: targets is no list of targets; begin each with `- name: …`"),
        ("targets: []", "line 1: targets is no list of targets; begin each with `- name: …`"),
        ("targets:\n- {name: [a], url: b}", "line 2: targets[0] has no `name:`"),
        (
            "targets:\n- {name: a, url: 'http://a/api', api_key_file: }",
            (
                "line 2: targets[0].api_key_file is empty; "
                "leave it out where there is no such secret"
            ),
        ),
        ("[" * 5000, "the file is not YAML"),
        (
            "targets: !!python/object/apply:os.system [x]",
            "line 1: targets[0] is no target; give at least `name:` and `url:`",
        ),
        ("#" * (MAX_BYTES + 1), f"the file is longer than {MAX_BYTES} bytes"),
    ],
    ids=["empty", "broken", "mapping", "none", "nested", "no-secret", "deep", "object", "long"],
)
def test_unusable_file_is_told(path: Path, text: str, told: str) -> None:
    """A file that is no list of targets gives one plain line, and runs nothing."""
    assert told in problems(path, text)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_told(text: str) -> None:
    """No text ends in anything but targets or problems."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "targets.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        content = read_targets(path)

    assert content.problems or content.entries


def test_collector_names_are_the_collectors_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting for a collector that does not exist is told, with those that do."""
    monkeypatch.setenv("PREFECT_EXPORTER_COLLECTORS", "flow_runs=30s, servr=off")

    with pytest.raises(BadSettings, match="names no collector: 'servr' is none of flow_runs, "):
        load_settings()
