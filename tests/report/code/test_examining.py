"""Sources are read as text: within bounds, whatever stands in them, and never run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import prefect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from prefect_exporter.report.code import examine, files
from prefect_exporter.report.code.rules import RULES
from prefect_exporter.report.code.sources import Project, read_source
from prefect_exporter.report.model import Finding

FLOW = "from prefect import flow\n@flow\ndef f(): ...\n"


def test_nothing_is_imported(tmp_path: Path) -> None:
    """A file that would leave a mark if it were run leaves none."""
    mark = tmp_path / "mark"
    (tmp_path / "flows.py").write_text(f"open({str(mark)!r}, 'w')\n{FLOW}")

    examine([tmp_path])
    assert not mark.exists()


@pytest.mark.parametrize("folder", [".venv", "venv", "site-packages", "node_modules", "made"])
def test_what_others_wrote_is_not_read(tmp_path: Path, folder: str) -> None:
    """Virtual environments are left out, whatever they are called."""
    inner = tmp_path / folder / "lib"
    inner.mkdir(parents=True)
    (inner / "flows.py").write_text(FLOW)
    if folder == "made":
        (tmp_path / folder / "pyvenv.cfg").touch()

    assert () == tuple(examine([tmp_path]).findings)


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A circle of folders ends, and a link to a file elsewhere shows nothing of it."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "elsewhere.txt").write_text(FLOW)
    (tmp_path / "flows" / "again").symlink_to(tmp_path)
    (tmp_path / "flows" / "linked.py").symlink_to(tmp_path / "elsewhere.txt")

    assert () == tuple(examine([tmp_path / "flows"]).findings)


def test_single_file_is_a_project(tmp_path: Path) -> None:
    """It may be given as well as a folder."""
    path = tmp_path / "flows.py"
    path.write_text(FLOW)

    assert [f"{path}:3"] == [each.evidence[0].source for each in examine([path]).findings]


@pytest.mark.parametrize(
    "content",
    [b"def f(:\n", b"\x00", b"\xff\xfe\xfa", b"(" * 5_000, b"x = " + b"-" * 50_000 + b"1\n"],
    ids=["syntax", "nul", "not text", "parentheses", "deep"],
)
def test_file_that_is_no_python_is_a_note(tmp_path: Path, content: bytes) -> None:
    """The others are read all the same."""
    (tmp_path / "broken.py").write_bytes(b"import prefect\n" + content)
    (tmp_path / "flows.py").write_text(FLOW)
    told = examine([tmp_path])

    assert [f"{tmp_path / 'broken.py'} could not be read as Python."] == list(told.notes)
    assert 1 == len(told.findings)


def test_what_is_too_much_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a folder that is too large is said to be."""
    monkeypatch.setattr(files, "MOST_BYTES", 100)
    monkeypatch.setattr(files, "MOST_FILES", 2)
    (tmp_path / "0.py").write_text("#" * 101)
    assert [f"Too large to be read, of {tmp_path}: 1 file."] == list(examine([tmp_path]).notes)
    for number in range(1, 5):
        (tmp_path / f"{number}.py").touch()
    assert [f"Only the first 2 files of {tmp_path} were read."] == list(examine([tmp_path]).notes)


def test_file_that_is_too_large_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was named itself."""
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    (tmp_path / "flows.py").write_text(FLOW)
    told = examine([tmp_path / "flows.py"])

    assert [f"{tmp_path / 'flows.py'} is too large to be read."] == list(told.notes)
    assert () == tuple(told.findings)


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("retries=" + "+".join(["1"] * 2_000), "retries=..."),
        ("retries=0x" + "f" * 5_000, "retries=..."),
        ("retries=" + "9" * 400, "retries=999"),
        ("description='token=hunter2hunter2'", "description='token=[redacted]'"),
    ],
    ids=["deep", "digits", "too large for a float", "secret"],
)
def test_hostile_option_is_written_out_within_bounds(
    tmp_path: Path, option: str, shown: str
) -> None:
    """What Python itself cannot write is left out, and a secret is hidden."""
    text = (
        f"import requests\nfrom prefect import flow\n@flow({option})\ndef f(): requests.get('x')\n"
    )
    (tmp_path / "flows.py").write_text(text)
    told = examine([tmp_path])
    changes = "".join(each.action.change for each in told.findings)

    assert [] == list(told.notes)
    assert shown in changes
    assert "hunter2" not in changes


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    """Who reads a pipe waits for ever."""
    for name in ("odd.py", "Dockerfile"):
        match kind:
            case "pipe":
                os.mkfifo(tmp_path / name)
            case "folder":
                (tmp_path / name).mkdir()
            case "link":
                (tmp_path / name).symlink_to(name)
    (tmp_path / "flows.py").write_text(FLOW)

    assert 1 == len(examine([tmp_path]).findings)


def test_path_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    """A slip of the pen is told, and is no clean project."""
    (note,) = examine([tmp_path / "nothing"]).notes

    assert "nothing" in note


def test_no_rule_fails_on_other_peoples_code() -> None:
    """Every tenth file of Prefect's own sources is read and judged."""
    folder = Path(prefect.__file__).parent
    sources = [
        read_source(str(path), path.read_text()) for path in sorted(folder.rglob("*.py"))[::10]
    ]
    assert len(sources) > 30

    for rule in RULES:
        list(rule(Project(folder, sources)))


NAMES = ("flow", "task", "requests.get", "httpx.get", "pd.read_csv", "f", "x", "y")
EXPRESSIONS = st.recursive(
    st.sampled_from([*NAMES, "1", "None", "...", "f.with_options(retries=2)"]),
    lambda inner: st.one_of(
        st.builds("{}({})".format, st.sampled_from(NAMES), inner),
        st.builds("{}.submit({}, *y, **x)".format, st.sampled_from(NAMES), inner),
        st.builds("[{} for x in {}]".format, inner, inner),
        st.builds("({}, {})".format, inner, inner),
        st.builds("(lambda x: {})".format, inner),
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    EXPRESSIONS,
    st.builds("x = {}".format, EXPRESSIONS),
    st.builds("x[0], *y = {}".format, EXPRESSIONS),
    st.builds("return {}".format, EXPRESSIONS),
    st.builds("for x, (y, *z) in f: {}".format, EXPRESSIONS),
    st.builds("try: {}\n    except: pass\n    finally: {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("with {} as (x, y): pass".format, EXPRESSIONS),
)


@given(
    st.lists(STATEMENTS, min_size=1, max_size=5),
    st.sampled_from(["@flow", "@task(retries=3)", "@flow(**x)", "@task(*y)", "@task(retries=x)"]),
)
def test_no_rule_fails_on_any_code(statements: list[str], decorator: str) -> None:
    """Whatever stands in a flow or a task, rules end and say what they can prove."""
    body = "\n    ".join(statements)
    text = (
        "import requests, httpx, pandas as pd\nfrom prefect import flow, task\n"
        f"{decorator}\ndef f(x, y):\n    {body}\n"
    )
    project = Project(Path("here"), [read_source("flows.py", text)])

    for rule in RULES:
        for finding in rule(project):
            assert finding.evidence


def test_rule_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    """A defect of one rule costs its own findings alone, and the report says so."""

    def has_a_defect(project: Project) -> Iterator[Finding]:
        raise ZeroDivisionError(project)
        yield

    (tmp_path / "flows.py").write_text(FLOW)
    with capture_logs():
        examined = examine([tmp_path], [has_a_defect, *RULES])

    assert examined.findings == examine([tmp_path]).findings != []
    assert [
        "The part has-a-defect failed (ZeroDivisionError): its results are lacking."
    ] == examined.notes
