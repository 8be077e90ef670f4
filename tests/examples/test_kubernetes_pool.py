"""A Kubernetes pool's base job template is changed so that pods get what they need, and no more."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import flow_pods
from kubernetes.instrument_pool import NotUnderstoodError, instrumented, main, restricted

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/kubernetes"
AGENT = "http://prefect-observability-agent.observability:4318"
RUN = flow_pods.run_of("sales", "nightly")


def pod(template: flow_pods.Json) -> flow_pods.Json:
    """Return the pod's part of a base job template."""
    return flow_pods.pod_of(template["job_configuration"]["job_manifest"])


def placeholders(value: object) -> set[str]:
    """Return what a template takes from job variables."""
    return set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(value)))


def environment(job: flow_pods.Json) -> dict[str, object]:
    """Return the values of a job's variables, or where they come from."""
    env = flow_pods.container_of(job)["env"]
    assert len({each["name"] for each in env}) == len(env)
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in env}


@pytest.fixture(name="default")
def _default() -> flow_pods.Json:
    return flow_pods.default_template()


def test_doing_it_twice_changes_nothing(default: flow_pods.Json) -> None:
    """A pool may be brought up to date at every release."""
    once = restricted(instrumented(default, AGENT, environment="production"))

    assert once == restricted(instrumented(once, AGENT, environment="production"))
    assert once == instrumented(once, AGENT)


def test_template_given_is_left_alone(default: flow_pods.Json) -> None:
    """The function is pure."""
    restricted(instrumented(default, AGENT))

    assert default == flow_pods.default_template()


def test_every_job_variable_still_has_its_place(default: flow_pods.Json) -> None:
    """Whatever a deployment could set before, it can set after."""
    changed = restricted(instrumented(default, AGENT))

    assert placeholders(default["job_configuration"]) == placeholders(changed["job_configuration"])
    assert set(default["variables"]["properties"]) == set(changed["variables"]["properties"])


def test_pod_gets_what_the_plugin_reads(default: flow_pods.Json) -> None:
    """Prefect's own variables, the pod's names by the downward API, and where to send."""
    job = flow_pods.job(instrumented(default, AGENT, environment="production"), RUN)
    env = environment(job)
    told = {
        "PREFECT_API_URL": "http://prefect.test/api",
        "PREFECT__DEPLOYMENT_NAME": "nightly",
        "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule",
        "PREFECT_PLUGINS_ENABLED": "1",
        "PREFECT_INSTRUMENTATION_ENVIRONMENT": "production",
        "OTEL_EXPORTER_OTLP_ENDPOINT": AGENT,
        "OTEL_METRICS_EXPORTER": "otlp",
        "K8S_CONTAINER_NAME": "prefect-job",
        "K8S_NODE_NAME": {"fieldRef": {"fieldPath": "spec.nodeName"}},
    }

    assert told == {name: env.get(name) for name in told}
    assert ["prefect", "flow-run", "execute"] == flow_pods.container_of(job)["args"]
    assert 0 == job["spec"]["backoffLimit"]
    assert 24 * 60 * 60 == job["spec"]["ttlSecondsAfterFinished"]
    assert flow_pods.pod_of(job)["terminationGracePeriodSeconds"] > 60


def test_pod_says_all_that_the_plugin_knows_of_pods() -> None:
    """No variable of a pod is read in vain, and none is set that nobody reads."""
    code = (ROOT / "instrumentation/src/prefect_instrumentation/_provider/resource.py").read_text()
    tool = (EXAMPLE / "instrument_pool.py").read_text()

    assert set(re.findall(r'"(K8S_\w+)"', code)) == set(re.findall(r'"(K8S_\w+)"', tool))


def test_deployment_has_the_last_word(default: flow_pods.Json) -> None:
    """What a deployment sets comes on top, in `env` as in all else."""
    variables = {
        "env": {"OTEL_SERVICE_NAME": "sales", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine:4318"},
        "image": "registry.test/sales:1",
        "memory_limit": "1Gi",
        "finished_job_ttl": 60,
    }
    job = flow_pods.job(instrumented(default, AGENT), RUN, variables)
    env, container = environment(job), flow_pods.container_of(job)

    assert ("sales", "http://mine:4318", "1") == (
        env["OTEL_SERVICE_NAME"],
        env["OTEL_EXPORTER_OTLP_ENDPOINT"],
        env["PREFECT_PLUGINS_ENABLED"],
    )
    assert ("registry.test/sales:1", "1Gi", 60) == (
        container["image"],
        container["resources"]["limits"]["memory"],
        job["spec"]["ttlSecondsAfterFinished"],
    )


def test_variables_of_the_pool_stay(default: flow_pods.Json) -> None:
    """What somebody has put into the pool is his, but for the endpoint that is asked for."""
    secret = {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "api", "key": "key"}}}
    pod(default)["containers"][0]["env"] = [
        secret,
        {"name": "OTEL_METRICS_EXPORTER", "value": "none"},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://old:4318"},
    ]
    pod(default)["terminationGracePeriodSeconds"] = 600
    default["variables"]["properties"]["finished_job_ttl"]["default"] = 5
    job = flow_pods.job(instrumented(default, AGENT), RUN)
    env = environment(job)

    assert (secret["valueFrom"], "none", AGENT) == (
        env["API_KEY"],
        env["OTEL_METRICS_EXPORTER"],
        env["OTEL_EXPORTER_OTLP_ENDPOINT"],
    )
    assert 600 == flow_pods.pod_of(job)["terminationGracePeriodSeconds"]
    assert 5 == job["spec"]["ttlSecondsAfterFinished"]


def test_restricted_pod_may_do_little(default: flow_pods.Json) -> None:
    """It passes the Pod Security Standard `restricted`, and writes to /tmp alone."""
    job = flow_pods.job(restricted(instrumented(default, AGENT)), RUN)
    container = flow_pods.container_of(job)

    assert {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} == flow_pods.pod_of(
        job
    )["securityContext"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]
    assert ["/tmp"] == [each["mountPath"] for each in container["volumeMounts"]]  # noqa: S108 - of the pod
    assert not flow_pods.pod_of(job)["automountServiceAccountToken"]


def test_restricted_leaves_what_the_pool_says(default: flow_pods.Json) -> None:
    """A pool that wants a token, a user of its own or another volume keeps them."""
    pod(default).update(
        automountServiceAccountToken=True,
        securityContext={"runAsUser": 0, "runAsNonRoot": False},
        volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}],
    )
    changed = pod(restricted(default))

    assert changed["automountServiceAccountToken"]
    assert (0, False) == (
        changed["securityContext"]["runAsUser"],
        changed["securityContext"]["runAsNonRoot"],
    )
    assert [{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}] == changed["volumes"]


def test_without_being_asked_pods_keep_their_rights(default: flow_pods.Json) -> None:
    """An image that runs as root goes on running: `restricted` is a choice."""
    changed = pod(instrumented(default, AGENT))

    assert "securityContext" not in changed
    assert "securityContext" not in changed["containers"][0]


def _broken() -> Iterator[tuple[str, object, str]]:
    default = flow_pods.default_template()
    yield "null", None, "no base job template of a Kubernetes pool"
    yield "list", [default], "no base job template of a Kubernetes pool"
    yield (
        "process pool",
        {"job_configuration": {"env": "{{ env }}"}, "variables": {}},
        "no base job template of a Kubernetes pool",
    )
    for name, env in {"other": "{{ variables }}", "mapping": {"A": "1"}, "words": ["A=1"]}.items():
        template = json.loads(json.dumps(default))
        pod(template)["containers"][0]["env"] = env
        yield name, template, "env of the first container"
    template = json.loads(json.dumps(default))
    pod(template)["containers"] = []
    yield "no container", template, "containers has no container"


@pytest.mark.parametrize(
    ("template", "said"),
    [(template, said) for _, template, said in _broken()],
    ids=[name for name, _, _ in _broken()],
)
def test_what_is_not_understood_is_refused(
    template: Any,  # noqa: ANN401 - JSON
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says what is wrong; nothing is written that could overwrite a pool."""
    with pytest.raises(NotUnderstoodError, match=said):
        instrumented(template, AGENT)

    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(template)))

    assert 2 == main(["--endpoint", AGENT])

    out, err = capsys.readouterr()

    assert "" == out
    assert 1 == err.count("\n")
    assert said in err


def test_what_is_no_json_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a pool that does not exist, of which Prefect prints nothing."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert 2 == main(["--endpoint", AGENT])

    out, err = capsys.readouterr()

    assert "" == out
    assert err.startswith("instrument_pool: standard input is no JSON")


def test_command_prints_the_template(
    default: flow_pods.Json, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes out is what `prefect work-pool update --base-job-template` takes."""
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(default)))
    asked = ["--endpoint", AGENT, "--environment", "production", "--restricted"]

    assert 0 == main(asked)

    printed = json.loads(capsys.readouterr().out)

    assert restricted(instrumented(default, AGENT, environment="production")) == printed


def test_template_of_the_user_interface_is_understood() -> None:
    """Prefect's server has a template of its own for pools that are made in its pages."""
    changed = restricted(instrumented(flow_pods.template_of_the_server(), AGENT))

    assert AGENT == environment(flow_pods.job(changed, RUN))["OTEL_EXPORTER_OTLP_ENDPOINT"]


def test_deployment_of_the_example_sets_what_there_is(default: flow_pods.Json) -> None:
    """Its job variables are those of the template, and its flow exists."""
    (deployment,) = _yaml("prefect.yaml")["deployments"]
    variables = deployment["work_pool"]["job_variables"]
    file, flow = deployment["entrypoint"].split(":")
    job = flow_pods.job(restricted(instrumented(default, AGENT)), RUN, variables)

    assert set(variables) <= set(default["variables"]["properties"])
    assert f"def {flow}(" in (EXAMPLE / file).read_text()
    assert {"cpu", "memory"} == set(flow_pods.container_of(job)["resources"]["requests"])


def test_image_of_the_example_may_run_restricted() -> None:
    """Its user is a number other than 0, which Kubernetes can check, and owns no folder."""
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (EXAMPLE / "Dockerfile").read_text(), re.MULTILINE)

    assert "0" not in user


def _yaml(file: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((EXAMPLE / file).read_text())
    return found
