"""Signatures: what a failure is known again by, whatever else there is."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from failures.failed import failed, run_id, traceback
from prefect_exporter.failures.model import Basis, Failed, Signature
from prefect_exporter.failures.signatures import assigned, key, signature

FILE = Path(__file__).parent / "golden" / "signatures.json"
GOLDEN = json.loads(FILE.read_text())
TRACEBACKS = json.loads(FILE.with_name("tracebacks.json").read_text())


def of(golden: dict[str, Any]) -> Failed:
    """Return the failure that a golden one is of."""
    state_type, state_name = golden["state"]
    return failed(1, golden["message"], state=(state_type, state_name))


def plain(found: Signature) -> dict[str, str]:
    """Return what a golden one says."""
    return {
        "id": found.id,
        "category": found.category,
        "type": found.type,
        "pattern": found.pattern,
        "basis": found.basis,
    }


@pytest.mark.parametrize("golden", GOLDEN, ids=[each["id"] for each in GOLDEN])
def test_message_has_the_id_that_it_always_had(golden: dict[str, str]) -> None:
    """A change of the algorithm shows here; it needs a new version in the id."""
    found = plain(signature(of(golden), None))

    assert {name: golden[name] for name in found} == found


def test_golden_messages_are_many_and_all_different() -> None:
    """None of them is taken for another, and both kinds of ids of messages are there."""
    assert len(GOLDEN) >= 40
    assert len(GOLDEN) == len({each["id"] for each in GOLDEN})
    assert {Basis.EXCEPTION, Basis.MESSAGE} == {each["basis"] for each in GOLDEN}


def test_secrets_are_in_no_pattern() -> None:
    """What is hidden is hidden before variable parts are replaced, while it is whole."""
    assert not any("hunter2" in each["pattern"] for each in GOLDEN)
    assert any("[redacted]" in each["pattern"] for each in GOLDEN)


@pytest.mark.parametrize("golden", TRACEBACKS, ids=[each["flow"] for each in TRACEBACKS])
def test_traceback_comes_before_the_message(golden: dict[str, str]) -> None:
    """Where it is known, the id is the fingerprint that spans and log lines have."""
    found = signature(failed(1, golden["message"]), golden["text"])

    assert f"f1-{golden['fingerprint']}" == found.id
    assert golden["fingerprint"] == found.fingerprint
    assert (golden["category"], golden["type"]) == (found.category, found.type)
    assert Basis.TRACEBACK == found.basis
    assert signature(failed(1, golden["message"]), None).id != found.id


def test_ids_of_messages_have_no_fingerprint() -> None:
    """Without frames a fingerprint would say nothing."""
    found = signature(failed(1), None)

    assert found.id.startswith("m1-")
    assert "" == found.fingerprint


def test_ids_are_the_same_in_every_process() -> None:
    """Hashes of Python's differ from process to process; ids do not."""
    program = (
        "import json, sys; from test_signatures import *;"
        "print(json.dumps([signature(of(each), None).id for each in GOLDEN]))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(FILE.parents[2])},
        ).stdout
        for seed in ("1", "2")
    ]

    assert found[0] == found[1]
    assert [each["id"] for each in GOLDEN] == json.loads(found[0])


def test_ids_depend_neither_on_order_nor_on_others_nor_on_the_day() -> None:
    """A failure that is looked at alone, tomorrow, has the id that it has among all today."""
    failures = [failed(at, each["message"]) for at, each in enumerate(GOLDEN)]
    mixed = [failed(at, each["message"], ago=9e5) for at, each in enumerate(GOLDEN)]
    random.Random(7).shuffle(mixed)

    among = {each.failed.run_id: each.signature.id for each in assigned(failures, {})}
    assert among == {each.failed.run_id: each.signature.id for each in assigned(mixed, {})}
    assert among == {each.run_id: signature(each, None).id for each in failures}


def test_key_is_of_flow_deployment_state_and_message() -> None:
    """What differs in one of them may well have another traceback."""
    one = failed(1)

    assert key(one) == key(failed(2, ago=60))
    others = [
        failed(3, flow="b"),
        failed(3, deployment="b"),
        failed(3, "other"),
        failed(3, state=("FAILED", "Mine")),
    ]
    assert all(key(one) != key(each) for each in others)


def test_sample_speaks_for_its_key_where_it_agrees() -> None:
    """Those that were not read have the fingerprint of those that were, and only of their key."""
    failures = [*(failed(at) for at in range(5)), failed(5, deployment="other")]
    texts = {run_id(0): traceback(), run_id(3): traceback()}

    found = assigned(failures, texts)

    assert [True] * 5 + [False] == [each.sure for each in found]
    assert 1 == len({each.signature.id for each in found[:5]})
    assert all(each.signature.fingerprint for each in found[:5])
    assert not found[5].signature.fingerprint


def test_sample_that_does_not_agree_speaks_for_itself_alone() -> None:
    """One message that is raised in two places: the rest may be either."""
    failures = [failed(at) for at in range(4)]
    texts = {run_id(0): traceback("load"), run_id(1): traceback("save")}

    found = assigned(failures, texts)

    assert [True, True, False, False] == [each.sure for each in found]
    assert 2 == len({each.signature.id for each in found[:2]})
    assert {"m1"} == {each.signature.id[:2] for each in found[2:]}


def test_run_that_was_read_and_has_no_traceback_is_known_by_its_message() -> None:
    """As a crash; and so are those that are like it."""
    found = assigned([failed(1), failed(2)], {run_id(1): ""})

    assert [True, True] == [each.sure for each in found]
    assert {signature(failed(1), None)} == {each.signature for each in found}


def test_run_whose_log_is_lost_is_as_those_that_are_like_it() -> None:
    """No traceback says nothing against one: logs are deleted, or never arrive."""
    found = assigned([failed(1), failed(2)], {run_id(1): "", run_id(2): traceback()})

    assert [True, True] == [each.sure for each in found]
    assert 1 == len({each.signature.fingerprint for each in found})
