"""Which shard a target belongs to: exactly one, always the same, and rarely another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from random import Random
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prefect_exporter.shards import MOST_SHARDS, SHARD, SHARDS, Shard, owner

NAMES = st.text(max_size=63)
TOTALS = st.integers(1, 50)

SHARD_INDEX = TypeAdapter[int](Annotated[int, SHARD])
SHARD_TOTAL = TypeAdapter[int](Annotated[int, SHARDS])


@given(name=NAMES, total=TOTALS)
def test_every_target_has_exactly_one_shard(name: str, total: int) -> None:
    """Of all shards one and no other owns a name."""
    owners = [index for index in range(total) if Shard(index, total).owns(name)]

    assert [owner(name, total)] == owners


@given(names=st.sets(NAMES, max_size=30), total=TOTALS, random=st.randoms())
def test_order_and_company_of_targets_do_not_matter(
    names: set[str], total: int, random: Random
) -> None:
    """A target's shard is the same in any order and beside any other targets."""
    shuffled = sorted(names)
    random.shuffle(shuffled)
    together = {name: owner(name, total) for name in shuffled}

    assert {name: owner(name, total) for name in names} == together


@given(name=NAMES, total=TOTALS)
def test_one_more_shard_only_takes_over(name: str, total: int) -> None:
    """When a shard is added, a target stays where it is or moves to the new one."""
    assert owner(name, total + 1) in {owner(name, total), total}


@given(name=NAMES)
def test_one_shard_owns_everything(name: str) -> None:
    """The default of one process reads every target."""
    assert Shard().owns(name)


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_process_and_hash_seed_do_not_matter(seed: str) -> None:
    """Another process, with another seed of Python's own hashes, gives the same shards."""
    program = (
        "from prefect_exporter.shards import owner;"
        "print([owner(f'workspace-{n}', 7) for n in range(50)])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
        text=True,
    )

    assert f"{[owner(f'workspace-{n}', 7) for n in range(50)]}\n" == ended.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("default", [1, 2, 3, 6, 18, 117]),
        ("prod", [0, 0, 0, 7, 7, 353]),
        ("acme.analytics", [1, 2, 2, 2, 10, 691]),
        ("acme.finance", [1, 1, 1, 1, 1, 942]),
        ("workspace-17", [0, 0, 3, 4, 4, 210]),
        ("", [1, 1, 1, 7, 14, 56]),
        ("über", [0, 0, 0, 0, 11, 493]),
    ],
    ids=str,
)
def test_a_release_moves_no_target(name: str, expected: list[int]) -> None:
    """The shards of 2, 3, 4, 8, 20 and 1000 are what they were in the first release."""
    assert expected == [owner(name, total) for total in (2, 3, 4, 8, 20, MOST_SHARDS)]


@pytest.mark.parametrize("total", [2, 3, 8, 20])
def test_many_targets_are_parted_evenly(total: int) -> None:
    """Of 10,000 targets each shard has its share within a tenth, as docs/scaling.md says."""
    loads = Counter(owner(f"account-{n % 97}.workspace-{n}", total) for n in range(10_000))

    assert all(abs(loads[shard] * total / 10_000 - 1) < 0.1 for shard in range(total))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("2", 2), (" 2 ", 2), ("prefect-exporter-2", 2), ("a-0", 0), ("x.y-19", 19)],
)
def test_shard_is_an_index_or_a_pods_name(text: str, expected: int) -> None:
    """The index is given as it is, or taken from the end of a StatefulSet pod's name."""
    assert expected == SHARD_INDEX.validate_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "prefect-exporter",
        "-2",
        "2x",
        "1.5",
        "02",
        "prefect-exporter-02",
        "1000",
        "prefect-exporter-5d9f8b7c6d-12345",
        "prefect-exporter-5d9f8b7c6d-2x7kq",
        "\N{ARABIC-INDIC DIGIT TWO}",
        "exporter\n-2",
        "Exporter-2",
        "exporter--2" + "0" * 5000,
        "",
    ],
)
def test_anything_else_is_no_shard(text: str) -> None:
    """A name without an ordinal is refused with what may be given."""
    with pytest.raises(ValidationError) as caught:
        SHARD_INDEX.validate_python(text)

    said = (
        "Value error, does not end in an index below 1000; give an index, such as 2, "
        "or a StatefulSet pod's name, such as prefect-exporter-2"
    )
    assert [said] == [error["msg"] for error in caught.value.errors()]


@pytest.mark.parametrize("text", ["0", "1001", "two", "-1"])
def test_total_is_a_whole_number(text: str) -> None:
    """There are 1 to 1000 shards."""
    with pytest.raises(ValidationError, match="give a whole number from 1 to 1000"):
        SHARD_TOTAL.validate_python(text)


@pytest.mark.parametrize(("index", "total"), [(3, 3), (5, 1), (-1, 2)])
def test_shard_beyond_the_total_is_one_clear_line(index: int, total: int) -> None:
    """An index that no shard has is told with both settings and what would do."""
    with pytest.raises(ValueError, match="PREFECT_EXPORTER_SHARD is") as caught:
        Shard(index, total)

    assert str(caught.value) == (
        f"PREFECT_EXPORTER_SHARD is {index}, but PREFECT_EXPORTER_SHARDS is {total}; "
        f"give a shard from 0 to {total - 1}"
    )
