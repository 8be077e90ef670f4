"""A server may answer anything: bounded, told in one line, and our credential stays where it is."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backup.errors import SourceUnavailable
from backup.model import Kind
from backup.objects import Api, ObjectsSource, Step, export_objects, restore_objects
from backup.objects.api import Bounds
from backup.objects.export import MANIFEST
from backup.targets import Target
from backup_worlds import repository_of, restic, settings_of
from objects_server import Answer, ObjectsServer, answer, row, serving

KEY = "pnu_hunter2doNotShow"
VARIABLES = "variables/filter"


@pytest.fixture(name="server")
def _server() -> Iterator[ObjectsServer]:
    """A workspace with one variable."""
    tables = {VARIABLES: [row("mail", value="a@example.com", tags=[])]}
    with serving(ObjectsServer(tables=tables, authorization=f"Bearer {KEY}")) as server:
        yield server


def target_of(server: ObjectsServer, tmp_path: Path) -> Target:
    """Return a server as a target whose key stands in a file."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    return Target(name="cloud", url=server.url, secrets={"api_key": f"file:{tmp_path / 'key'}"})


def exported(server: ObjectsServer, tmp_path: Path, bounds: Bounds | None = None) -> Path:
    """Return a folder with the objects of a server."""
    with Api(target_of(server, tmp_path), bounds) as api:
        export_objects(api, tmp_path / "objects", target="cloud")
    return tmp_path / "objects"


def told(server: ObjectsServer, tmp_path: Path, bounds: Bounds | None = None) -> str:
    """Return what is said of a server that gives no good answer."""
    with pytest.raises(SourceUnavailable) as raised:
        exported(server, tmp_path, bounds)

    line = str(raised.value)
    assert KEY not in line
    assert "\n" not in line
    assert not (tmp_path / "objects").exists()
    return line


@pytest.mark.parametrize("status", [403, 404])
def test_what_cloud_lacks_is_skipped_and_said(
    server: ObjectsServer, tmp_path: Path, status: int
) -> None:
    """The rest is kept, and the manifest tells what is not in it, and why."""
    missing = answer({"detail": "Not Found"}, status)
    server.scripts = {"concurrency_limits/filter": [missing], "admin/version": [missing]}
    folder = exported(server, tmp_path)
    manifest = json.loads((folder / MANIFEST).read_bytes())

    assert ["tag_limits"] == list(manifest["skipped"])
    assert f"with {status}:" in manifest["skipped"]["tag_limits"]
    assert manifest["prefect_version"] is None
    assert 1 == manifest["counts"]["variables"]


def test_what_every_server_has_is_never_skipped(server: ObjectsServer, tmp_path: Path) -> None:
    """A key that may not read deployments makes no backup without deployments."""
    server.scripts = {"deployments/filter": [answer({"detail": "Forbidden"}, 403)]}
    assert "deployments/filter with 403" in told(server, tmp_path)


def test_wrong_key_is_told(server: ObjectsServer, tmp_path: Path) -> None:
    """It is no kind that is skipped, and neither what was sent nor what is right is shown."""
    server.authorization = "Bearer another"
    assert "with 401" in told(server, tmp_path)


def test_fields_of_cloud_are_not_kept(server: ObjectsServer, tmp_path: Path) -> None:
    """A restore could not send them, and some change with every look."""
    (file,) = (exported(server, tmp_path) / "variables").iterdir()
    assert {"id", "name", "value", "tags"} == json.loads(file.read_bytes()).keys()


def test_page_size_is_what_the_server_allows(server: ObjectsServer, tmp_path: Path) -> None:
    """All rows are read, none twice, at the size that a refusal names."""
    server.page = 7
    server.tables[VARIABLES] = [row(f"v{n}", value=n, tags=[]) for n in range(30)]
    folder = exported(server, tmp_path)

    assert 30 == len(list((folder / "variables").iterdir()))
    assert {7, 200} == {body["limit"] for _, _, body in server.asked if "limit" in body}


def test_throttled_request_waits_as_long_as_it_is_told(
    server: ObjectsServer, tmp_path: Path
) -> None:
    """Retry-After is heard, and the answer after it taken."""
    throttled = answer({"detail": "Too Many Requests"}, 429, retry_after="2")
    server.scripts = {VARIABLES: [throttled, answer(server.tables[VARIABLES])]}
    began = time.monotonic()
    exported(server, tmp_path)

    # Of itself it would wait for 1.1 s at most.
    assert 2.0 <= time.monotonic() - began
    assert 2 == server.paths().count(VARIABLES)


def test_server_that_stays_busy_is_told(server: ObjectsServer, tmp_path: Path) -> None:
    """After so many attempts the job fails with what the server said."""
    server.scripts = {VARIABLES: [answer({"detail": "locked"}, 503, retry_after="0")]}
    line = told(server, tmp_path, Bounds(attempts=3))

    assert "variables/filter with 503" in line
    assert 3 == server.paths().count(VARIABLES)


def test_credential_does_not_follow_a_redirect(server: ObjectsServer, tmp_path: Path) -> None:
    """Neither to another host nor to another path; the line says where it led."""
    with serving(ObjectsServer()) as elsewhere:
        to = f"{elsewhere.url}/variables/filter\u001b[2J"
        server.scripts = {VARIABLES: [(307, {"location": to.replace("\u001b", "%1b")}, b"")]}
        line = told(server, tmp_path)

    assert [] == elsewhere.asked
    assert f"redirect to {elsewhere.url}" in line


def test_csrf_token_is_taken_where_one_is_wanted(server: ObjectsServer, tmp_path: Path) -> None:
    """A server with that protection refuses even what only reads."""
    wanted = answer({"detail": "Missing CSRF token."}, 403)

    def guarded(_: Row) -> Answer:
        headers = server.asked[-1][1]
        names = {name.lower(): text for name, text in headers.items()}
        given = names.get("prefect-csrf-token") == "t" and "prefect-csrf-client" in names
        return answer([]) if given else wanted

    server.scripts = {"csrf-token": [answer({"token": "t"})], "block_types/filter": [guarded]}
    exported(server, tmp_path)

    assert 1 == server.paths().count("csrf-token")


Row = dict[str, object]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<html>Prefect</html>", "no JSON"),
        (b'[{"id": "fed145de', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"rows": []}', "no list"),
        (b'[{"id": 17, "name": "hunter2"}]', "no object of Prefect's"),
        (b'["hunter2"]', "no object of Prefect's"),
        (b'[{"id": "fed145de-fcf9-452f-b99a-253d5439b878", "name": 7}]', "not as Prefect's are"),
        (
            b'[{"id": "fed145de-fcf9-452f-b99a-253d5439b878", "name": "a", "value": NaN}]',
            "numbers or a depth",
        ),
    ],
    ids=["page", "cut", "deep", "object", "number", "text", "name", "nan"],
)
def test_garbage_is_told(
    server: ObjectsServer, tmp_path: Path, content: bytes, expected: str
) -> None:
    """What is no answer of Prefect's is named as that, and not repeated."""
    server.scripts = {VARIABLES: [(200, {}, content)]}
    if expected == "numbers or a depth":
        with pytest.raises(SourceUnavailable, match=expected):
            exported(server, tmp_path)
        return
    line = told(server, tmp_path)
    assert expected in line
    assert "hunter2" not in line


def _endless(body: Row) -> Answer:
    start = int(str(body["offset"]))
    return answer([row(f"v{start + n}", value=n, tags=[]) for n in range(200)])


def _same(_: Row) -> Answer:
    return answer([row(f"v{n}", value=n, tags=[]) for n in range(200)])


@pytest.mark.parametrize(
    ("script", "bounds", "expected"),
    [
        ((200, {}, b"[" + b" " * 2_000_000 + b"]"), Bounds(answer_bytes=1_000_000), "more than"),
        (_endless, Bounds(total_bytes=1_000_000), "more than"),
        (_endless, Bounds(rows=1000), "without end"),
        (_same, Bounds(), "without end"),
        (
            (200, {"content-encoding": "gzip"}, gzip.compress(b"[" + b" " * 10**7 + b"]")),
            Bounds(),
            "compressed",
        ),
        ((200, {"content-length": "9"}, b"[]"), Bounds(attempts=1), "does not answer"),
    ],
    ids=["answer", "total", "rows", "same page", "zipped", "cut off"],
)
def test_too_much_is_not_taken(
    server: ObjectsServer,
    tmp_path: Path,
    script: Answer | Callable[[Row], Answer],
    bounds: Bounds,
    expected: str,
) -> None:
    """Each bound ends the export before memory or disk does."""
    server.scripts = {VARIABLES: [script]}
    assert expected in told(server, tmp_path, bounds)


def test_slow_server_is_given_up(server: ObjectsServer, tmp_path: Path) -> None:
    """The deadline is for the whole export, not for one answer."""
    now = iter(range(0, 100_000, 100))
    with (
        Api(target_of(server, tmp_path), clock=lambda: float(next(now))) as api,
        pytest.raises(SourceUnavailable, match="too long"),
    ):
        export_objects(api, tmp_path / "objects", target="cloud")


def test_hostile_names_stay_in_their_folder(server: ObjectsServer, tmp_path: Path) -> None:
    """Slashes, dots, control characters and 2 KB become short names of files that all differ."""
    names = [
        "../../etc/passwd",
        "..",
        "/",
        "a\u0000b",
        "\u202e\ud83d",
        "n" * 2048,
        "N" * 2048,
    ]
    server.tables[VARIABLES] = [row(name, value=name, tags=[]) for name in names]
    folder = exported(server, tmp_path)
    files = [file for file in tmp_path.rglob("*.json") if file.name != MANIFEST]

    assert len(names) == len({file.name.lower() for file in files})
    assert {folder / "variables"} == {file.parent for file in files}
    assert max(len(file.name) for file in files) < 100
    assert set(names) == {json.loads(file.read_bytes())["value"] for file in files}
    assert all(file.read_bytes().isascii() for file in files)


def test_one_change_is_one_file(server: ObjectsServer, tmp_path: Path) -> None:
    """``restic diff`` of two backups names what a person did, and nothing else."""
    settings = settings_of(tmp_path)
    repository = repository_of(settings)
    repository.ready()
    source = ObjectsSource(target_of(server, tmp_path), settings.scratch_dir)
    server.tables[VARIABLES] += [row("other", value=1, tags=[])]
    first = source.save(repository)
    server.tables[VARIABLES][1]["value"] = 2
    second = source.save(repository)
    changed = [
        line.rsplit("/", 1)[1]
        for line in restic(repository, "diff", first.id, second.id).splitlines()
        if line.startswith(("M ", "+ ", "- "))
    ]

    assert 2 == len(changed)
    assert MANIFEST in changed
    assert any(name.startswith("other-") for name in changed)
    assert "2" == second.tags["rows.variables"]
    assert second.id == repository.of_target("cloud").find(Kind.OBJECTS).id
    assert [] == list((settings.scratch_dir / "objects").iterdir())


def test_refused_object_does_not_keep_the_others_out(server: ObjectsServer, tmp_path: Path) -> None:
    """It is named with what the server said, and the rest is made."""
    server.tables[VARIABLES] += [row("worse", value=1, tags=[])]
    folder = exported(server, tmp_path)
    server.tables[VARIABLES] = []

    def make(body: Row) -> Answer:
        if body["name"] == "mail":
            return answer({"detail": "hunter\u001b[2J"}, 422)
        return answer(row("made", **{k: v for k, v in body.items() if k != "name"}), 201)

    server.scripts = {"variables/": [make]}
    steps: list[Step] = []
    with Api(target_of(server, tmp_path)) as api:
        restored = restore_objects(folder, api, say=steps.append)

    assert 1 == restored.refused
    assert ["created", "refused"] == sorted(step.outcome for step in steps)
    assert all(str(step).isascii() and str(step).isprintable() for step in steps)
