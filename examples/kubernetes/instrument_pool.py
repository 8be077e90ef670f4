"""Let the flow runs of a Kubernetes work pool send traces: change its base job template.

    prefect work-pool inspect NAME --output json | jq .base_job_template |
        python instrument_pool.py --endpoint URL > template.json
    prefect work-pool update NAME --base-job-template template.json

It needs nothing but Python. docs/kubernetes-flows.md says what each change is for.
"""

# ruff: noqa: INP001 - no package: one of this name would hide Kubernetes' own client

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
from typing import Any

GRACE_SECONDS = 120
"""From SIGTERM to SIGKILL; Prefect itself takes up to 30 s before it gives a run back."""

KEPT_SECONDS = 24 * 60 * 60
"""How long a finished Job stays to be looked at."""

POD_FIELDS = {
    "K8S_POD_NAME": "metadata.name",
    "K8S_POD_UID": "metadata.uid",
    "K8S_NAMESPACE_NAME": "metadata.namespace",
    "K8S_NODE_NAME": "spec.nodeName",
    "K8S_JOB_NAME": "metadata.labels['batch.kubernetes.io/job-name']",
}
"""What the pod tells its process by the downward API."""

Json = dict[str, Any]


class NotUnderstoodError(Exception):
    """The template is not one that this can change; the message says where and what to do."""


def instrumented(template: Json, endpoint: str, *, environment: str = "") -> Json:
    """Return the template with what the instrumentation needs; doing it twice changes nothing.

    What the pool has already stays, and so does what deployments may set.

    Args:
        template: a base job template, as Prefect has it in JSON.
        endpoint: where spans and metrics go by OTLP over HTTP.
        environment: `deployment.environment.name`, "" for none.

    Raises:
        NotUnderstoodError: it is no template of a Kubernetes pool, or its `env` is of a form of
            its own.
    """
    changed = copy.deepcopy(template)
    pod = _pod(changed)
    container = pod["containers"][0]
    asked = [_plain("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]
    if environment:
        asked.append(_plain("PREFECT_INSTRUMENTATION_ENVIRONMENT", environment))
    # Prefect puts what deployments set before this list, and leaves out of it what they name.
    container["env"] = _merged(_variables(container), _own_variables(container), asked)
    pod.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    _keep_finished_jobs(changed)
    return changed


def restricted(template: Json) -> Json:
    """Return the template with pods that the Pod Security Standard "restricted" admits.

    The image must have a numeric user other than 0. What may be written is /tmp alone.

    Raises:
        NotUnderstoodError: it is no template of a Kubernetes pool.
    """
    changed = copy.deepcopy(template)
    pod = _pod(changed)
    container = pod["containers"][0]
    pod.setdefault("automountServiceAccountToken", False)
    _fill(pod, "securityContext", runAsNonRoot=True, seccompProfile={"type": "RuntimeDefault"})
    _fill(
        container,
        "securityContext",
        allowPrivilegeEscalation=False,
        readOnlyRootFilesystem=True,
        capabilities={"drop": ["ALL"]},
    )
    _add(pod, "volumes", {"name": "tmp", "emptyDir": {}}, by="name")
    _add(container, "volumeMounts", {"name": "tmp", "mountPath": "/tmp"}, by="mountPath")  # noqa: S108 - of the pod
    return changed


def _pod(template: Json) -> Json:
    path = "job_configuration.job_manifest.spec.template.spec"
    found: Any = template
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not _has_container(found):
        raise NotUnderstoodError(
            f"{path}.containers has no container: this is no base job template of a Kubernetes "
            "pool. `prefect work-pool get-default-base-job-template --type kubernetes` prints one."
        )
    return found


def _has_container(pod: Json) -> bool:
    containers = pod.get("containers")
    return isinstance(containers, list) and bool(containers) and isinstance(containers[0], dict)


def _own_variables(container: Json) -> list[Json]:
    env = container.get("env")
    # `{{ env }}` stands in job_configuration too, where Prefect takes it from.
    if env is None or (isinstance(env, str) and re.fullmatch(r"\{\{\s*env\s*\}\}", env)):
        return []
    if isinstance(env, list) and all(isinstance(each, dict) and "name" in each for each in env):
        return env
    raise NotUnderstoodError(
        f'env of the first container is {json.dumps(env)[:80]}: make it "{{{{ env }}}}", as '
        "Prefect has it, or a list of names and values."
    )


def _variables(container: Json) -> list[Json]:
    return [
        _plain("PREFECT_PLUGINS_ENABLED", "1"),
        _plain("OTEL_METRICS_EXPORTER", "otlp"),
        _plain("K8S_CONTAINER_NAME", container.get("name", "")),
        *(
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in POD_FIELDS.items()
        ),
    ]


def _plain(name: str, value: str) -> Json:
    return {"name": name, "value": value}


def _merged(*lists: list[Json]) -> list[Json]:
    """Return all variables, of those with the same name the last."""
    return list({each["name"]: each for variables in lists for each in variables}.values())


def _keep_finished_jobs(template: Json) -> None:
    """Give the pool's variable a default where it has none: else Jobs stay for ever."""
    variables = template.get("variables", {}).get("properties", {})
    if (ttl := variables.get("finished_job_ttl")) is not None and ttl.get("default") is None:
        ttl["default"] = KEPT_SECONDS


def _fill(place: Json, key: str, **defaults: object) -> None:
    place[key] = {**defaults, **place.get(key, {})}


def _add(place: Json, key: str, entry: Json, *, by: str) -> None:
    entries = place.setdefault(key, [])
    if all(each.get(by) != entry[by] for each in entries):
        entries.append(entry)


def _read() -> Json:
    try:
        read: Json = json.load(sys.stdin)
    except ValueError as error:
        raise NotUnderstoodError(
            f"standard input is no JSON: {error}. Is there a pool of that name?"
        ) from None
    return read


def main(arguments: list[str] | None = None) -> int:
    """Change the template on standard input; return the process's exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--endpoint",
        required=True,
        metavar="URL",
        help="where OTLP goes by HTTP, such as http://NAME-agent.NAMESPACE:4318",
    )
    parser.add_argument(
        "--environment",
        default="",
        metavar="NAME",
        help="deployment.environment.name, such as production",
    )
    parser.add_argument(
        "--restricted", action="store_true", help="non-root pods with a read-only file system"
    )
    asked = parser.parse_args(arguments)
    try:
        changed = instrumented(_read(), asked.endpoint, environment=asked.environment)
        changed = restricted(changed) if asked.restricted else changed
    except NotUnderstoodError as error:
        print(f"instrument_pool: {error}", file=sys.stderr)
        return 2
    json.dump(changed, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
