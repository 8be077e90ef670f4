"""A Prefect server with one of everything that is backed up, and with hostile names."""

from __future__ import annotations

from typing import Any

import httpx

from demo.api import ask, change
from demo.deployments import deploy

SECRETS = ("hunter2-plain", "hunter2-object", "hunter2-field", "hunter2-list")
"""What stands in secret fields of the blocks, and may stand nowhere else."""

HOSTILE = "../..\\ naïve\u202e 日本語 😀 {{ $ref }} 'quote\" \x7f " + "n" * 1500

NAME = HOSTILE.replace("/", "|")
"""The same without what Prefect refuses in names."""

_CREDENTIALS = {
    "title": "Credentials",
    "type": "object",
    "properties": {
        "user": {"type": "string", "position": 1},
        "password": {"type": "string", "format": "password", "position": 0},
        "more": {"type": "object"},
    },
    "secret_fields": ["password", "more.*"],
    "block_type_slug": "credentials",
    "block_schema_references": {},
}


def fill(client: httpx.Client) -> None:
    """Make one of everything."""
    deploy(client)
    _blocks(client)
    ask(client, "/variables/", name="mail", value={"to": ["a@example.com"], "n": 1.5}, tags=["t"])
    _hostile(client)
    _linked(client)


def fill_in_secrets(client: httpx.Client) -> None:
    """Give all blocks their secrets, as a person does after a restore."""
    for block in ask(client, "/block_documents/filter"):
        data = _DATA.get(block["name"])
        if data is not None:
            path = f"/block_documents/{block['id']}"
            change(client, path, data=data, merge_existing_data=True)


_DATA: dict[str, dict[str, Any]] = {
    "plain": {"value": SECRETS[0]},
    "object": {"value": {"password": SECRETS[1], "deep": {"password": SECRETS[1]}}},
    "credentials": {
        "user": "me",
        "password": SECRETS[2],
        "more": {"token": SECRETS[2], "list": [1, SECRETS[3]]},
    },
}


def _blocks(client: httpx.Client) -> None:
    (secret,) = ask(client, "/block_types/filter", block_types={"slug": {"any_": ["secret"]}})
    (schema,) = ask(
        client,
        "/block_schemas/filter",
        block_schemas={"block_type_id": {"any_": [secret["id"]]}},
    )
    for name in ("plain", "object"):
        _block(client, name, schema, _DATA[name])
    credentials = _schema(client, "Credentials", _CREDENTIALS)
    inner = _block(client, "credentials", credentials, _DATA["credentials"])
    within = {
        "block_schema_checksum": credentials["checksum"],
        "block_type_slug": "credentials",
    }
    database = _schema(
        client,
        "Database",
        {
            "title": "Database",
            "type": "object",
            "properties": {
                "host": {"type": "string"},
                "credentials": {"$ref": "#/definitions/Credentials"},
            },
            "definitions": {"Credentials": _CREDENTIALS},
            "secret_fields": ["credentials.password", "credentials.more.*"],
            "block_type_slug": "database",
            "block_schema_references": {"credentials": within},
        },
    )
    link = {"$ref": {"block_document_id": inner["id"]}}
    _block(client, "a-database", database, {"host": "db.example.com", "credentials": link})


def _schema(client: httpx.Client, name: str, fields: object) -> Any:  # noqa: ANN401 - JSON
    kind = ask(client, "/block_types/", name=name, slug=name.lower(), description=f"{name}!")
    return ask(client, "/block_schemas/", block_type_id=kind["id"], fields=fields, version="1.2")


def _block(client: httpx.Client, name: str, schema: Any, data: object) -> Any:  # noqa: ANN401 - JSON
    ids = {"block_schema_id": schema["id"], "block_type_id": schema["block_type_id"]}
    return ask(client, "/block_documents/", name=name, data=data, **ids)


def _hostile(client: httpx.Client) -> None:
    """Make what has names that no folder, terminal or address would take."""
    ask(client, "/work_pools/", name=NAME, type="process", description=HOSTILE)
    ask(client, "/v2/concurrency_limits/", name=NAME, limit=1, slot_decay_per_second=0.25)
    ask(client, "/variables/", name="nothing", value=HOSTILE)
    flow = ask(client, "/flows/", name=NAME, tags=[HOSTILE], labels={"owner": "me"})
    ask(
        client,
        "/deployments/",
        name=NAME,
        flow_id=flow["id"],
        work_pool_name=NAME,
        parameters={HOSTILE: [HOSTILE]},
        description=HOSTILE,
        paused=True,
        schedules=[
            {"schedule": {"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z"}},
            {"schedule": {"rrule": "DTSTART:20260101T000000\nFREQ=DAILY"}, "active": False},
        ],
    )


def _linked(client: httpx.Client) -> None:
    """Make what names others by their ids, and several of one name."""
    (limit,) = [
        row for row in ask(client, "/v2/concurrency_limits/filter") if row["name"] == "upstream"
    ]
    flow = ask(client, "/flows/", name="linked")
    deployment = ask(
        client,
        "/deployments/",
        name="linked",
        flow_id=flow["id"],
        work_pool_name="demo-process",
        work_queue_name="urgent",
        global_concurrency_limit_id=limit["id"],
        concurrency_options={"collision_strategy": "CANCEL_NEW"},
        job_variables={"env": {"A": "1"}},
        parameter_openapi_schema={"type": "object", "properties": {"x": {"type": "integer"}}},
        parameters={"x": 3},
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": "/"}}],
    )
    event = {"type": "event", "posture": "Reactive", "threshold": 1, "within": 0}
    about = {"match_related": {"prefect.resource.id": f"prefect.deployment.{deployment['id']}"}}
    inner = [event | about | {"expect": [name]} for name in ("a", "b")]
    trigger = {"type": "compound", "require": "all", "within": 60, "triggers": inner}
    run = {"type": "run-deployment", "source": "selected", "deployment_id": deployment["id"]}
    for description in ("one", "another"):
        ask(
            client,
            "/automations/",
            name="twin",
            description=description,
            trigger=trigger,
            actions=[run],
        )
