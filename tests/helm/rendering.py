"""Render the chart as Helm does, with stand-ins for the charts that it can bring along."""

from __future__ import annotations

import atexit
import copy
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "deploy" / "helm" / "prefect-observability"
HELM = Path(sys.executable).with_name("helm")

Object = dict[str, Any]


class Loader(yaml.CSafeLoader):
    """Takes a lone ``=``, as matchers have it, for text, as Kubernetes does."""


def _text(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


Loader.add_constructor("tag:yaml.org,2002:value", _text)

# What a stand-in renders: the values that the real chart would get.
_STAND_IN = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: stand-in-{{ .Chart.Name }}}
data:
  values.yaml: |
    {{- toYaml (omit .Values "global") | nindent 4 }}
"""


@functools.cache
def chart() -> Path:
    """Return a copy of the chart that has all its dependencies, as Helm refuses one without.

    They are stand-ins of the names and versions in Chart.yaml.
    """
    folder = Path(tempfile.mkdtemp(prefix="chart-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copied = folder / SOURCE.name
    shutil.copytree(SOURCE, copied, ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    for dependency in load((copied / "Chart.yaml").read_text()).get("dependencies", ()):
        stand_in = copied / "charts" / dependency["name"]
        (stand_in / "templates").mkdir(parents=True)
        about = {"apiVersion": "v2", "name": dependency["name"], "version": dependency["version"]}
        (stand_in / "Chart.yaml").write_text(json.dumps(about))
        (stand_in / "templates" / "values.yaml").write_text(_STAND_IN)
    return copied


def load(text: str) -> Any:  # noqa: ANN401  YAML
    """Return the one document of a YAML text, by the fast reader."""
    return yaml.load(text, Loader=Loader)  # noqa: S506  a SafeLoader


def examples() -> list[str]:
    """Return the names of the example values."""
    return sorted(path.stem for path in (SOURCE / "examples").glob("*.yaml"))


def render(  # noqa: PLR0913  helm's own options
    *value_files: str | Path,
    values: Mapping[str, Any] | None = None,
    sets: Mapping[str, Any] | None = None,
    api_versions: Sequence[str] = (),
    kube_version: str = "1.34.0",
    release: str = "obs",
    namespace: str = "observability",
) -> list[Object]:
    """Return the objects that the chart makes, which a test may change.

    Args:
        value_files: Example values by their name, such as ``"full"``, or files.
        values: Further values, as in a file; they win over the files.
        sets: Values by their path, such as ``{"exporter.shards": 2}``; they win over all.
        api_versions: What the cluster is to know, such as ``monitoring.coreos.com/v1``.
        kube_version: The cluster's.
        release: The release's name.
        namespace: Where it is installed.

    Raises:
        AssertionError: Helm refuses; what it said is the message.
    """
    arguments = _arguments(value_files, sets, api_versions, kube_version, release, namespace)
    return copy.deepcopy(_objects(_manifest(arguments, values)))


def manifest(*value_files: str | Path, release: str = "obs") -> str:
    """Return what Helm sends to the cluster for example values by their name, or files."""
    return _manifest(_arguments(value_files, None, (), "1.34.0", release, "observability"), None)


def fails(
    *value_files: str | Path,
    values: Mapping[str, Any] | None = None,
    sets: Mapping[str, Any] | None = None,
    api_versions: Sequence[str] = (),
) -> str:
    """Return what a user reads of values that cannot be used.

    Raises:
        AssertionError: Helm takes them.
    """
    done = _helm(
        _arguments(value_files, sets, api_versions, "1.34.0", "obs", "observability"),
        _as_text(values),
    )
    assert done.returncode != 0, "helm rendered what it should refuse"
    return done.stderr


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """Return the one object of a kind and name.

    Raises:
        AssertionError: There is none; the message says which there are of the kind.
    """
    of_kind = {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}
    assert name in of_kind, f"no {kind} {name}, only {sorted(of_kind)}"
    return of_kind[name]


def of_kind(objects: Sequence[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds, in their order."""
    return [each for each in objects if each["kind"] in kinds]


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Give the pods that the objects make: ``kind/name`` of the object, and metadata and spec."""
    for each in objects:
        find = _POD.get(each["kind"])
        if find is not None:
            yield f"{each['kind']}/{each['metadata']['name']}", find(each)


_POD: dict[str, Callable[[Object], Object]] = {
    "CronJob": lambda each: each["spec"]["jobTemplate"]["spec"]["template"],
    "DaemonSet": lambda each: each["spec"]["template"],
    "Deployment": lambda each: each["spec"]["template"],
    "Job": lambda each: each["spec"]["template"],
    "Pod": lambda each: each,
    "StatefulSet": lambda each: each["spec"]["template"],
}


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, those that only prepare it included."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def value_options(value_files: Sequence[str | Path]) -> list[str]:
    """Return helm's options for example values by their name, or files."""
    return [f"--values={_file(each)}" for each in value_files]


def _arguments(  # noqa: PLR0913, PLR0917  helm's own options
    value_files: Sequence[str | Path],
    sets: Mapping[str, Any] | None,
    api_versions: Sequence[str],
    kube_version: str,
    release: str,
    namespace: str,
) -> tuple[str, ...]:
    singles = (f"--set-json={path}={json.dumps(value)}" for path, value in (sets or {}).items())
    known = (f"--api-versions={each}" for each in api_versions)
    where = (f"--kube-version={kube_version}", f"--namespace={namespace}")
    return (
        "template",
        release,
        str(chart()),
        *where,
        *value_options(value_files),
        "--values=-",
        *singles,
        *known,
    )


def _manifest(arguments: tuple[str, ...], values: Mapping[str, Any] | None) -> str:
    done = _helm(arguments, _as_text(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def _file(given: str | Path) -> Path:
    return given if isinstance(given, Path) else SOURCE / "examples" / f"{given}.yaml"


def _as_text(values: Mapping[str, Any] | None) -> str:
    return json.dumps(values or {}, sort_keys=True)


@functools.cache
def _helm(arguments: tuple[str, ...], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELM, *arguments], input=text, capture_output=True, text=True, check=False
    )


@functools.cache
def _objects(text: str) -> list[Object]:
    return [each for each in yaml.load_all(text, Loader=Loader) if each]


if __name__ == "__main__":
    command = [str(HELM), "template", "obs", str(chart()), *sys.argv[1:]]
    sys.exit(subprocess.run(command, check=False).returncode)
