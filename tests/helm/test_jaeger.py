"""Jaeger's objects: its parts, the files and variables they get, and how they are reached."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from helm.jaeger import (
    FORMS,
    NAME,
    container,
    files,
    parts,
    rendered,
    variables,
)
from helm.rendering import ROOT, Object, named, of_kind, render

SOURCES = ROOT / "deploy" / "jaeger"
# A variable that a configuration file cannot do without.
NEEDED = re.compile(r"\$\{env:([A-Z_]+)\}")
# Each of these was run by a real Jaeger 2.13: docs/backends.md says how.
PARTS = {
    ("badger", "none"): {"": ["jaeger", "badger"]},
    ("opensearch", "none"): {
        "collector": ["jaeger", "opensearch", "collector"],
        "query": ["jaeger", "opensearch", "query"],
    },
    ("opensearch", "plain"): {
        "collector": ["jaeger", "kafka", "collector", "collector-kafka"],
        "ingester": ["jaeger", "opensearch", "kafka", "ingester"],
        "query": ["jaeger", "opensearch", "query"],
    },
    ("opensearch", "guarded"): {
        "collector": [
            "jaeger", "kafka", "kafka-sasl", "kafka-tls", "collector", "collector-kafka",
        ],
        "ingester": ["jaeger", "opensearch", "kafka", "kafka-sasl", "kafka-tls", "ingester"],
        "query": ["jaeger", "opensearch", "query"],
    },
}  # fmt: skip


@pytest.fixture(name="objects", params=FORMS, ids="-".join)
def _objects(request: pytest.FixtureRequest) -> list[Object]:
    """What the chart makes of a form."""
    return rendered(*request.param)


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_each_part_reads_the_files_of_its_work(form: tuple[str, str]) -> None:
    """A part gets the base, the store if it has to do with it, Kafka likewise, and its own last."""
    store, kafka = form
    expected = {
        part: [f"{name}.yaml".replace("opensearch", store) for name in names]
        for part, names in PARTS[form if store == "badger" else ("opensearch", kafka)].items()
    }

    assert {part: files(pod) for part, pod in parts(rendered(*form)).items()} == expected


def test_files_are_those_of_compose(objects: list[Object]) -> None:
    """The ConfigMap has each file of deploy/jaeger as it is, and each that a part reads."""
    data = named(objects, "ConfigMap", NAME)["data"]

    assert {path.name: path.read_text() for path in SOURCES.glob("*.yaml")} == {
        name: text for name, text in data.items() if name != "ui.json"
    }
    for pod in parts(objects).values():
        assert set(files(pod)) <= set(data)


def test_each_part_has_the_variables_that_its_files_need(objects: list[Object]) -> None:
    """No file names a variable without a default that its pod does not have."""
    for pod in parts(objects).values():
        needed = {
            name for file in files(pod) for name in NEEDED.findall((SOURCES / file).read_text())
        }

        assert needed <= set(variables(pod))


def test_a_part_is_told_of_no_other_parts_secrets(objects: list[Object]) -> None:
    """Who does not write to the store has no key to it, nor who does not read Kafka one to that."""
    for part, pod in parts(objects).items():
        told = json.dumps(pod["spec"])
        with_kafka = part == "ingester" or "collector-kafka.yaml" in files(pod)
        with_store = part != "collector" or not with_kafka

        assert with_kafka or '"kafka"' not in told
        assert with_store or not re.search('"(search|cassandra|clickhouse)"', told)


def test_files_of_secrets_are_where_variables_say(objects: list[Object]) -> None:
    """Each variable that names a file of a credential names one that is mounted."""
    for pod in parts(objects).values():
        mounted = _mounted(pod)
        named_files = {
            value
            for name, value in variables(pod).items()
            if name.endswith("_FILE") and not value.startswith("secret:")
        }

        assert named_files == mounted


def _mounted(pod: Object) -> set[str]:
    folders = {each["name"]: each["mountPath"] for each in container(pod)["volumeMounts"]}
    return {
        f"{folders[volume['name']]}/{item['path']}"
        for volume in pod["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for (given,) in [source.values()]
        for item in given["items"]
    }


@pytest.mark.parametrize("store", ["opensearch", "cassandra", "clickhouse"])
def test_passwords_come_from_secrets(store: str) -> None:
    """Passwords are files or references to Secrets, never values."""
    told = variables(parts(rendered(store, "guarded"))["ingester"])
    found = {name: value for name, value in told.items() if "PASSWORD" in name}

    assert found.pop("KAFKA_PASSWORD") == "secret:kafka/password"
    assert list(found.values()) == [
        "/etc/prefect-observability/jaeger/opensearch-password"
        if store == "opensearch"
        else f"secret:{store}/password"
    ]


@pytest.mark.parametrize(
    ("store", "variable", "expected"),
    [
        ("opensearch", "KAFKA_BROKERS", ["kafka-0.kafka:9092", "kafka-1.kafka:9092"]),
        # Jaeger refuses a name without a dot, unless a port follows it.
        ("cassandra", "CASSANDRA_SERVERS", ["cassandra:9042", "10.0.0.7:9042"]),
        ("clickhouse", "CLICKHOUSE_ADDRESSES", ["clickhouse:9000"]),
    ],
)
def test_lists_are_lists_to_jaeger(store: str, variable: str, expected: list[str]) -> None:
    """A list of addresses is YAML in its variable, which is how Jaeger reads one."""
    told = variables(parts(rendered(store, "plain"))["ingester"])

    assert yaml.safe_load(told[variable]) == expected


def test_numbers_are_written_out() -> None:
    """A large number is no power of ten, which Jaeger would not take for one."""
    told = variables(parts(rendered("opensearch", "plain"))["collector"])

    assert told["KAFKA_MAX_MESSAGE_BYTES"] == "2500000"


def test_badger_is_one_pod_that_keeps_its_volume() -> None:
    """All of it is one pod, with a claim that outlives the chart, behind both Services."""
    objects = rendered()
    (stateful,) = [each for each in of_kind(objects, "StatefulSet") if "jaeger" in _name(each)]
    deployments = [each for each in of_kind(objects, "Deployment") if "jaeger" in _name(each)]

    assert deployments == []
    assert stateful["spec"]["replicas"] == 1
    assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert {"name": claim["metadata"]["name"], "mountPath": "/badger"} in container(
        stateful["spec"]["template"]
    )["volumeMounts"]


@pytest.mark.parametrize(
    ("persistence", "volume"),
    [
        ({"enabled": False}, {"emptyDir": {"sizeLimit": "10Gi"}}),
        ({"existingClaim": "old"}, {"persistentVolumeClaim": {"claimName": "old"}}),
    ],
    ids=["none", "existing"],
)
def test_badgers_volume_may_be_another(persistence: Object, volume: Object) -> None:
    """A claim that is there is taken, and none where none is wanted."""
    objects = rendered(allInOne={"persistence": persistence})
    stateful = named(objects, "StatefulSet", NAME)

    assert {"name": "badger", **volume} in stateful["spec"]["template"]["spec"]["volumes"]
    assert "volumeClaimTemplates" not in stateful["spec"]


def test_services_lead_to_ports_that_are_there(objects: list[Object]) -> None:
    """Each Service selects the pods of one part, and each of its ports is one of theirs."""
    ours = [each for each in of_kind(objects, "Service") if "jaeger" in _name(each)]
    labelled = list(parts(objects).values())

    assert {f"{NAME}-collector", f"{NAME}-query"} <= {_name(each) for each in ours}
    for service in ours:
        selector = service["spec"]["selector"].items()
        (pod,) = [each for each in labelled if selector <= each["metadata"]["labels"].items()]
        names = {port["name"] for port in container(pod)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


def test_senders_see_all_collectors() -> None:
    """The collectors' Service has no address of its own: gRPC would stay with one of them."""
    service = named(rendered("opensearch"), "Service", f"{NAME}-collector")

    assert service["spec"]["clusterIP"] == "None"


def test_collectors_can_follow_the_work() -> None:
    """With autoscaling on, nobody else says how many there are; queries are as many as is said."""
    objects = rendered("opensearch", collector={"autoscaling": {"enabled": True}})
    scaler = named(objects, "HorizontalPodAutoscaler", f"{NAME}-collector")

    assert scaler["spec"]["scaleTargetRef"]["name"] == f"{NAME}-collector"
    assert "replicas" not in named(objects, "Deployment", f"{NAME}-collector")["spec"]
    assert named(objects, "Deployment", f"{NAME}-query")["spec"]["replicas"] == 2


def test_a_part_can_differ_from_the_others() -> None:
    """What is set at a part holds for it alone, also where it takes something away."""
    shared = [{"key": "observability", "operator": "Exists"}]
    objects = rendered("opensearch", tolerations=shared, query={"tolerations": []})
    pod_of = parts(objects)

    assert pod_of["collector"]["spec"]["tolerations"] == shared
    assert "tolerations" not in pod_of["query"]["spec"]


def test_own_configuration_comes_last() -> None:
    """Configuration of the user's is a file over all others, in every part."""
    own = {"extensions": {"jaeger_query": {"base_path": "/jaeger"}}}
    objects = rendered("opensearch", "plain", config=own)

    assert yaml.safe_load(named(objects, "ConfigMap", NAME)["data"]["own.yaml"]) == own
    assert [files(pod)[-1] for pod in parts(objects).values()] == ["own.yaml"] * 3


def test_go_keeps_below_the_limit_of_memory() -> None:
    """Go is told four fifths of the container's limit, and nothing where there is none."""
    limited = parts(rendered(allInOne={"resources": {"limits": {"memory": "1536Mi"}}}))[""]
    free = parts(rendered(allInOne={"resources": {"limits": {"memory": None}}}))[""]

    assert variables(limited)["GOMEMLIMIT"] == "1228MiB"
    assert "GOMEMLIMIT" not in variables(free)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"tab": False, "links": []}),
        (
            {"links": {"prefect": "https://prefect.example.com/"}},
            {
                "tab": False,
                "links": [
                    "https://prefect.example.com/runs/flow-run/#{prefect.flow_run.id}",
                    "https://prefect.example.com/runs/task-run/#{prefect.task_run.id}",
                ],
            },
        ),
        ({"jaeger": {"query": {"prometheusUrl": "http://p:9090"}}}, {"tab": True, "links": []}),
        (
            {
                "jaeger": {
                    "query": {
                        "prometheusUrl": "http://p:9090",
                        "ui": {"monitor": {"menuEnabled": False}},
                    }
                }
            },
            {"tab": False, "links": []},
        ),
    ],
    ids=["nothing", "prefect", "prometheus", "own"],
)
def test_pages_lead_where_something_is(given: Object, expected: Object) -> None:
    """A link needs Prefect's address, the Monitor tab Prometheus'; the user has the last word."""
    jaeger = {"enabled": True} | given.get("jaeger", {})
    objects = render(values={**given, "jaeger": jaeger})
    ui = json.loads(named(objects, "ConfigMap", NAME)["data"]["ui.json"])

    assert ui["monitor"]["menuEnabled"] == expected["tab"]
    assert [each["url"] for each in ui.get("linkPatterns", [])] == expected["links"]


def test_pages_can_be_published() -> None:
    """An Ingress leads to the pages of the one host, by TLS where a Secret is named."""
    ingress = {"enabled": True, "host": "traces.example.com", "tlsSecret": "traces"}
    made = named(rendered("opensearch", query={"ingress": ingress}), "Ingress", f"{NAME}-query")
    (rule,) = made["spec"]["rules"]

    assert rule["host"] == "traces.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == f"{NAME}-query"
    assert made["spec"]["tls"] == [{"hosts": ["traces.example.com"], "secretName": "traces"}]


def test_nothing_is_there_unless_asked() -> None:
    """Without `jaeger.enabled` there is nothing of it."""
    assert [each for each in render() if "jaeger" in _name(each)] == []


def test_every_variable_is_explained() -> None:
    """The head of a configuration file, or of one before it, names each variable that it reads."""
    shared = _head((SOURCES / "jaeger.yaml").read_text())
    for path in SOURCES.glob("*.yaml"):
        text = path.read_text()
        for name in re.findall(r"\$\{env:([A-Z_]+)", text):
            assert name in _head(text) + shared, f"{path.name}: {name}"


def _head(text: str) -> str:
    return re.split(r"^[^#]", text, maxsplit=1, flags=re.MULTILINE)[0]


def _name(each: Object) -> str:
    return str(each["metadata"]["name"])
