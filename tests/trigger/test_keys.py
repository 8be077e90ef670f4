"""Who may ask: keys from a file that changes while the service runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger import keys
from trigger.keys import KeyFile, digest, name_of, parse
from trigger.settings import BadSettings

KEY = "0123456789abcdef-0123456789abcdef"
OTHER = "fedcba9876543210-fedcba9876543210"
EXAMPLES = Path(keys.__file__).parents[1]


def test_key_has_a_name_in_either_form() -> None:
    """A key stands in the file as it is, or as its digest."""
    digests = parse(f"# who\n\nshop:{KEY}\n  crm:sha256:{digest(OTHER)}\n")

    assert ("shop", "crm", None) == (
        name_of(KEY, digests),
        name_of(OTHER, digests),
        name_of(KEY[:-1], digests),
    )


def test_name_may_have_two_keys() -> None:
    """While a key is replaced, the old one and the new one are the same caller."""
    digests = parse(f"shop:{KEY}\nshop:{OTHER}\n")

    assert ("shop", "shop") == (name_of(KEY, digests), name_of(OTHER, digests))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no key; `python -m trigger.keys NAME` makes one"),
        ("# nobody\n", "holds no key; `python -m trigger.keys NAME` makes one"),
        (KEY, "line 1: a line is name:key, and a name has a-z, 0-9, - and _, 40 at most"),
        (f"\nShop:{KEY}", "line 2: a line is name:key, and a name has a-z, 0-9, - and _, 40"),
        ("shop:short", "line 1: a key has 32 to 256 letters, digits and ._~+/=-, or is sha256:"),
        ("shop:sha256:0123", "line 1: a key has 32 to 256 letters, digits and ._~+/=-, or is"),
    ],
)
def test_bad_line_is_told_of_without_its_key(text: str, problem: str) -> None:
    """What is wrong with the file is said by line, and never with what stands there."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        parse(text)


@given(st.text())
def test_any_text_is_keys_or_a_value_error(text: str) -> None:
    """No text of a file, and no key of a request, is more than wrong."""
    try:
        digests = parse(text)
    except ValueError:
        digests = parse(f"shop:{KEY}")

    assert name_of(text, digests) is None


def test_file_that_changes_counts_at_once(tmp_path: Path) -> None:
    """A key that was added may ask, one that was taken away may not, without a restart."""
    path = tmp_path / "keys"
    path.write_text(f"shop:{KEY}\n")
    file = KeyFile(path)
    before = file.name_of(KEY), file.name_of(OTHER)

    path.write_text(f"crm:{OTHER}\n# another length\n")

    assert (("shop", None), (None, "crm")) == (before, (file.name_of(KEY), file.name_of(OTHER)))


@pytest.mark.parametrize("text", ["shop", None], ids=["wrong", "gone"])
def test_file_that_gets_wrong_keeps_the_keys(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the file, or none for a moment, locks nobody out, and is told of."""
    path = tmp_path / "keys"
    path.write_text(f"shop:{KEY}\n")
    file = KeyFile(path)

    path.unlink() if text is None else path.write_text(text)

    assert ("shop", ["keys.kept"]) == (file.name_of(KEY), [each.msg for each in caplog.records])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read (No such file or directory); name a file that this user can read"),
        (b"\xff\xfe", "is not text; name a file in UTF-8"),
        (b"#" * (keys.MAX_BYTES + 1), "is larger than 1 MiB; name another file"),
        (b"", "holds no key; `python -m trigger.keys NAME` makes one"),
    ],
    ids=["none", "no text", "large", "empty"],
)
def test_file_that_is_no_use_from_the_start_is_one_line(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """Without keys the service does not start, and says which setting is to be mended."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadSettings) as caught:
        KeyFile(path)

    assert f"TRIGGER_API_KEYS_FILE={str(path)!r}: {problem}" == str(caught.value)


def test_key_that_is_made_is_let_in() -> None:
    """`python -m trigger.keys` prints a key, and a line of it that a file takes."""
    command = [sys.executable, "-m", "trigger.keys", "shop"]
    printed = subprocess.run(command, cwd=EXAMPLES, check=True, capture_output=True, text=True)
    key, line = (each.partition(": ")[2].strip() for each in printed.stdout.splitlines())

    assert ("shop", False) == (name_of(key, parse(line)), key in line)


def test_bad_name_makes_no_key() -> None:
    """What could not stand in the file is refused with the way to call it."""
    command = [sys.executable, "-m", "trigger.keys", "The Shop"]
    printed = subprocess.run(command, cwd=EXAMPLES, check=False, capture_output=True, text=True)

    assert (64, "", True) == (
        printed.returncode,
        printed.stdout,
        printed.stderr.startswith("usage: python -m trigger.keys NAME"),
    )
