"""What lives behind the API comes out as files that say only what a person did, and goes back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backup.errors import Unverified
from backup.objects import Api, Step, export_objects, restore_objects, verify
from backup.objects.export import MANIFEST
from backup.objects.restore import Outcome
from backup.targets import Target
from demo.api import ask, change
from demo.prefect_server import PrefectServer, start_prefect_server
from demo.sandbox import Sandbox
from prefect_objects import NAME, SECRETS, fill, fill_in_secrets

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Scene:
    """A full server, its backup, and what became of that on an empty one."""

    sandbox: Sandbox
    folder: Path
    full: PrefectServer
    empty: PrefectServer
    steps: list[Step] = field(default_factory=list)
    again: list[Step] = field(default_factory=list)

    def export(self, server: PrefectServer, name: str) -> Path:
        """Return a folder with the objects of a server."""
        with Api(target_of(server)) as api:
            export_objects(api, self.folder / name, target="default")
        return self.folder / name

    def restore(self, into: PrefectServer, steps: list[Step]) -> None:
        """Bring the full server's objects to another."""
        with Api(target_of(into)) as api:
            restore_objects(self.folder / "full", api, say=steps.append)


def target_of(server: PrefectServer) -> Target:
    """Return a server as a target."""
    return Target(name="default", url=server.api_url)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A backup of a full server, restored twice into an empty one."""
    with Sandbox() as sandbox:
        full = start_prefect_server(sandbox, name="full")
        empty = start_prefect_server(sandbox, name="empty")
        scene = Scene(sandbox, tmp_path_factory.mktemp("objects"), full, empty)
        with full.client() as client:
            fill(client)
        scene.export(full, "full")
        scene.restore(empty, scene.steps)
        scene.restore(empty, scene.again)
        yield scene


def files(folder: Path) -> dict[str, bytes]:
    """Return all files of an export but the manifest."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*.json")
        if file.name != MANIFEST
    }


def without_ids(found: dict[str, bytes]) -> dict[str, str]:
    """Return the files with each id replaced by whose it is, or by a word."""
    names = {json.loads(text)["id"]: name for name, text in found.items()}
    return {
        name: _ID.sub(lambda one: names.get(one[0], "unknown"), text.decode())
        for name, text in found.items()
    }


def test_two_exports_of_one_state_are_equal_byte_for_byte(scene: Scene) -> None:
    """Nothing in the files but the manifest's time tells when they were made."""
    assert files(scene.folder / "full") == files(scene.export(scene.full, "once more"))


def test_every_kind_is_there(scene: Scene) -> None:
    """Each kind of object has at least one file, save the limits that only older servers have."""
    counts = json.loads((scene.folder / "full" / MANIFEST).read_bytes())["counts"]

    assert {"tag_limits"} == {name for name, number in counts.items() if number == 0}
    assert {"block_types": 3, "block_schemas": 3, "block_documents": 4} == {
        name: number for name, number in counts.items() if name.startswith("block_")
    }


def test_no_secret_is_in_any_file(scene: Scene) -> None:
    """Not even one that is an object, which Prefect gives in plain text; nor stars in its place."""
    everything = b"".join(file.read_bytes() for file in (scene.folder / "full").rglob("*.json"))

    assert [] == [secret for secret in SECRETS if secret.encode() in everything]
    assert b"****" not in everything
    assert b"db.example.com" in everything


def test_secrets_left_out_are_named(scene: Scene) -> None:
    """A block's file says at which paths something secret was."""
    blocks = [
        json.loads(text) for text in files(scene.folder / "full" / "block_documents").values()
    ]

    assert {
        "plain": ["value"],
        "object": ["value"],
        "credentials": ["more", "password"],
        "a-database": [],
    } == {block["name"]: block["secrets"] for block in blocks}


def test_export_verifies(scene: Scene) -> None:
    """A whole folder is said to be so, with the number of its objects."""
    assert f"{len(files(scene.folder / 'full'))} objects" == verify(scene.folder / "full")


def test_restored_server_exports_the_same_objects(scene: Scene) -> None:
    """Ids aside, and once a person has given the secrets, nobody can tell the two apart."""
    with scene.empty.client() as client:
        fill_in_secrets(client)

    expected = without_ids(files(scene.folder / "full"))
    assert expected == without_ids(files(scene.export(scene.empty, "restored")))


def test_restore_takes_all_into_an_empty_server(scene: Scene) -> None:
    """Nothing is refused, and nothing differs."""
    bad = {Outcome.REFUSED, Outcome.DIFFERS}
    assert [] == [str(step) for step in scene.steps if step.outcome in bad]


def test_restore_names_each_secret_that_a_person_must_give(scene: Scene) -> None:
    """They are said at each restore, until they were given."""
    expected = {
        ("Secret/plain", "its secret value is in no backup of objects"),
        ("Secret/object", "its secret value is in no backup of objects"),
        ("Credentials/credentials", "its secret password is in no backup of objects"),
        ("Credentials/credentials", "its secret more is in no backup of objects"),
    }
    for steps in (scene.steps, scene.again):
        assert expected == {
            (step.name, step.note) for step in steps if step.outcome is Outcome.BY_HAND
        }


def test_shared_limit_survives_the_deployment_that_uses_it(scene: Scene) -> None:
    """Prefect deletes a deployment's limit where it is told that it has none of its own."""
    with scene.empty.client() as client:
        limits = ask(client, "/v2/concurrency_limits/filter")

    assert "upstream" in {limit["name"] for limit in limits}


def test_second_restore_creates_nothing(scene: Scene) -> None:
    """All is there already."""
    outcomes = {step.outcome for step in scene.again}
    assert {Outcome.THERE, Outcome.BY_HAND} == outcomes


def test_lines_for_people_are_short_and_harmless(scene: Scene) -> None:
    """A hostile name is cut, and has no character that a terminal acts upon."""
    lines = [str(step) for step in scene.steps]

    assert any(json.dumps(NAME[:10])[1:-1] in line for line in lines)
    assert [] == [line for line in lines if len(line) > 300 or not line.isascii()]


def test_object_that_differs_is_kept_as_it_is(scene: Scene) -> None:
    """What a person changed since the backup stays, and is told with the fields that differ."""
    steps: list[Step] = []
    with scene.full.client() as client:
        change(client, "/variables/name/mail", value="changed since", tags=["t"])
        scene.restore(scene.full, steps)
        [now] = [row["value"] for row in ask(client, "/variables/filter") if row["name"] == "mail"]
        old = {"to": ["a@example.com"], "n": 1.5}
        change(client, "/variables/name/mail", value=old, tags=["t"])

    assert "changed since" == now
    assert ["differs, kept: variables mail: value"] == [
        str(step) for step in steps if step.outcome is not Outcome.THERE
    ]


def test_damaged_folder_is_told(scene: Scene, tmp_path: Path) -> None:
    """A file too few, one that is no object, or no manifest."""
    folder = scene.export(scene.full, "damaged")
    victim, *others = sorted((folder / "flows").iterdir())
    victim.write_text('{"name": "no id"}')
    with pytest.raises(Unverified, match="cannot be read"):
        verify(folder)
    victim.unlink()
    lacking = f"{len(others)} flows are there, {len(others) + 1} were kept"
    with pytest.raises(Unverified, match=lacking):
        verify(folder)
    with pytest.raises(Unverified, match="cannot be read"):
        verify(tmp_path)
