"""The starting file: it says what was found, can be used as it is, and holds no secret."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import pytest

from contexts import settings_of
from fakes import FakePrefect
from prefect_exporter.discover import Found, discover, starting_file
from prefect_exporter.environment import load_settings
from prefect_exporter.errors import Rejected, Unreachable
from prefect_exporter.targets import load_targets
from prefect_exporter.targets_file import read_targets
from prefect_exporter.values import MAX_TAG_LABELS
from prefect_exporter.wire import Deployment, WorkPool, WorkQueue

HIDDEN = "hunter2-do-not-show"
FLOW = UUID(int=1)


def prefect_with(*tags: list[str]) -> FakePrefect:
    """Return a Prefect whose deployments carry these tags."""
    rows = [
        Deployment(UUID(int=10 + at), f"d{at:03}", FLOW, tags=each) for at, each in enumerate(tags)
    ]
    return FakePrefect(
        deployment_rows={row.id: row for row in rows},
        pool_rows=[WorkPool("local", "process"), WorkPool('"evil"\n- name: x', "kubernetes")],
        queue_rows=[WorkQueue("default", "local")],
    )


def found_in(prefect: FakePrefect) -> Found:
    """Return what is found there."""
    return asyncio.run(discover(prefect, lambda _told: None))


def lacks(route: str) -> Rejected:
    """Return the error of a server that does not have a route."""
    return Rejected(route, "HTTP status 404", status=HTTPStatus.NOT_FOUND)


def test_keys_of_tags_are_counted() -> None:
    """A tag counts by its key, once for a deployment, if it has a value and a plain key."""
    prefect = prefect_with(
        ["team:payments", "team:core", "tier=1"], ["team: x"], ["team:", "a b:c", "x"]
    )

    assert (("team", 2), ("tier", 1)) == found_in(prefect).tag_keys


def test_every_page_of_deployments_is_read() -> None:
    """More deployments than one page are all counted."""
    found = found_in(prefect_with(*([["team:a"]] * 60)))

    assert (60, 1, (("team", 60),)) == (found.deployments, found.flows, found.tag_keys)


def test_labels_are_as_many_as_the_setting_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many keys of tags, the line to copy has those that most deployments carry."""
    prefect = prefect_with([f"key{number:02}:a" for number in range(15)], ["key14:a"])
    (line,) = (
        line
        for line in starting_file(found_in(prefect), settings_of(), {}).splitlines()
        if "TAG_LABELS" in line
    )
    monkeypatch.setenv("PREFECT_EXPORTER_TAG_LABELS", line.partition("=")[2])

    labels = load_settings().tag_labels

    assert ("key14", MAX_TAG_LABELS) == (labels[0], len(labels))


def test_missing_route_is_no_failure() -> None:
    """What the server does not know is told as such; any other error goes through."""
    prefect = prefect_with()

    def fail(route: str) -> None:
        if route == "automations/filter":
            raise lacks(route)

    prefect.fail = fail

    found = found_in(prefect)

    assert (None, 0) == (found.automations, found.limits)
    text = starting_file(found, settings_of(), {})
    assert "# It does not know: automations.\n" in text
    prefect.down(Unreachable("admin/version", "connection refused"))
    with pytest.raises(Unreachable):
        found_in(prefect)


def test_prefect_that_tells_no_version_is_found_too() -> None:
    """Without a route for the version, as Cloud may be, everything else is told."""
    prefect = prefect_with(["team:a"])

    def fail(route: str) -> None:
        if route == "admin/version":
            raise lacks(route)

    prefect.fail = fail

    found = found_in(prefect)

    assert (None, 1) == (found.version, found.deployments)
    assert starting_file(found, settings_of(), {}).startswith("# Prefect: 1 deployments of ")


def test_file_can_be_used_as_it_is(tmp_path: Path) -> None:
    """The printed text is a targets file without problems, whatever the pools are called."""
    settings = settings_of(TARGET="production")
    text = starting_file(found_in(prefect_with(["team:a"])), settings, {})
    path = tmp_path / "targets.yaml"
    path.write_text(text)

    content = read_targets(path)

    assert () == content.problems
    (entry,) = content.entries
    assert {
        "PREFECT_EXPORTER_TARGET": "production",
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
    } == entry.variables


def test_secrets_are_named_and_not_printed() -> None:
    """The text says where a credential comes from, and never what it is."""
    environ = {
        "PREFECT_API_KEY": HIDDEN,
        "PREFECT_API_AUTH_STRING_FILE": "/run/secrets/auth",
        "PREFECT_CLIENT_CUSTOM_HEADERS": "",
    }

    text = starting_file(found_in(prefect_with()), settings_of(), environ)

    assert HIDDEN not in text
    assert "    api_key_env: API_KEY_DEFAULT\n" in text
    assert "    auth_string_file: /run/secrets/auth\n" in text
    assert "headers" not in text


def test_secret_of_a_variable_is_looked_for_under_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that the text names may stand beside a targets file, whatever the target."""
    settings = settings_of(TARGET="prefect-exporter")
    text = starting_file(found_in(prefect_with()), settings, {"PREFECT_API_KEY": HIDDEN})
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    monkeypatch.delenv("PREFECT_API_KEY", raising=False)
    monkeypatch.setenv("API_KEY_PREFECT_EXPORTER", HIDDEN)
    monkeypatch.setenv("PREFECT_EXPORTER_TARGETS_FILE", str(path))

    (target,) = load_targets(load_settings()).targets

    assert target.settings.api_key is not None
    assert HIDDEN == target.settings.api_key.get_secret_value()


def test_text_reads_well() -> None:
    """The whole text for a small server."""
    text = starting_file(found_in(prefect_with(["team:a", "slo:fresh=2h"])), settings_of(), {})

    assert (
        text
        == """\
# Prefect 3.8.8: 1 deployments of 1 flows, 2 work pools, 1 work queues, 0 automations, \
0 concurrency limits.
# Keys of tags, with how many deployments carry them: team (1), slo (1).
# As labels: PREFECT_EXPORTER_TAG_LABELS=team
# Work pools: "local", "\\"evil\\"\\n- name: x".
targets:
  - name: default
    url: http://127.0.0.1:4200/api
    # work_pools: ["*", "!name-to-leave-out"]
    # flows: ["etl-*"]
    # requests_per_minute: 300
    # collectors: {automations: off, deployments: 10m}
"""
    )
