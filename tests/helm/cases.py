"""The sets of values that all of the chart's tests go through: the matrix."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from helm.rendering import Object, examples, load, pods, render

_STAND_IN = "stand-in-"

_FOLDER = Path(__file__).with_name("values")

CASES: dict[str, tuple[str | Path, ...]] = {
    "default": (),
    **{name: (name,) for name in examples()},
    **{path.stem: (path,) for path in sorted(_FOLDER.glob("*.yaml"))},
}
"""Files of values by case: the defaults, each example, and what no example shows."""


@functools.cache
def objects(
    case: str, release: str = "prefect-observability", namespace: str = "prefect"
) -> tuple[Object, ...]:
    """Return what the chart itself makes in a case, not to be changed; dependencies make more."""
    found = render(*CASES[case], release=release, namespace=namespace)
    return tuple(each for each in found if not each["metadata"]["name"].startswith(_STAND_IN))


def passed_on(case: str) -> dict[str, Object]:
    """Return the values that each dependency of a case gets, by its name."""
    return {
        each["metadata"]["name"].removeprefix(_STAND_IN): load(each["data"]["values.yaml"])
        for each in render(*CASES[case], release="prefect-observability")
        if each["metadata"]["name"].startswith(_STAND_IN)
    }


def all_pods() -> Iterator[tuple[str, Object]]:
    """Give the pods of all cases with where each is from."""
    for case in CASES:
        for name, pod in pods(objects(case)):
            yield f"{case}: {name}", pod


def component(labelled: Object) -> str:
    """Return which part of the chart an object or a pod belongs to."""
    return str(labelled["metadata"]["labels"]["app.kubernetes.io/component"])
