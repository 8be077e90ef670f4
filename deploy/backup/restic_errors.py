"""What restic complains of, as errors of this program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from backup.errors import (
    BackupError,
    Busy,
    ClockWrong,
    NoSpace,
    ProgramFailed,
    RepositoryDamaged,
    RepositoryUnreachable,
    SourceUnavailable,
    WrongPassword,
)

# https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes
INCOMPLETE = 3
NO_REPOSITORY = 10
LOCKED = 11
WRONG_PASSWORD = 12

NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist", re.IGNORECASE)
"""What a store says where restic would make the bucket with the repository."""

_MAX_SAID = 400
_RETRIED = re.compile(r"^\w+\(.*?\) (?:returned error, retrying after [\w.]+|failed): ")
_COMMAND = re.compile(r"(?:command failed|failed to start command): ")
_SUBPROCESS = re.compile(r"^subprocess \S+: ")
_END = re.compile(r"context canceled|^signal \w+ received")
_LOCKED = re.compile(r"locked (?:exclusively )?by")
_TELLING = re.compile(r"error|fatal|fail", re.IGNORECASE)
_FULL = re.compile(r"no space left|quota ?exceeded|StorageFull|disk full", re.IGNORECASE)
_CLOCK = re.compile(r"RequestTimeTooSkewed|difference between the request time", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"""connection\ refused | connection\ reset | no\ such\ host | no\ route\ to\ host
      | i/o\ timeout | timed?\ ?out | unreachable | x509 | tls: | certificate
      | access\ ?denied | InvalidAccessKeyId | SignatureDoesNotMatch | NoSuchBucket | bucket
      | \b40[13]\b | unauthorized | forbidden | authenticat | credential | access\ key
      | permission\ denied | sftp | ssh | bad\ gateway | service\ unavailable | EOF
      | unable\ to\ open\ (?:repository|config) | create\ (?:repository|key)""",
    re.IGNORECASE | re.VERBOSE,
)
_DAMAGED = re.compile(
    r"""ciphertext\ verification | contains\ \d+\ errors? | contains\ errors | damaged
      | unexpected\ pack | hash\ (?:mismatch|does\ not\ match) | invalid\ data
      | ReadFull\( | not\ found\ in\ (?:repository|index) | pack\ \w+:\ does\ not\ exist
      | index.*(?:not\ found|incomplete) | is\ truncated
      | config\ file\ has\ zero\ size | already\ contains\ keys
      | decrypting\ blob""",
    re.IGNORECASE | re.VERBOSE,
)


def explain(failed: ProgramFailed, complaints: Iterable[str]) -> BackupError:
    """Return the error that says best why restic failed.

    Args:
        failed: How it ended.
        complaints: Lines of its standard error.
    """
    lines = list(_plain(complaints))
    if command := _first(_COMMAND, lines):
        return SourceUnavailable(_of_subprocess(lines) or command)
    match failed.code:
        case code if code == WRONG_PASSWORD:
            mend = "the repository was made with another password; give that one"
            return WrongPassword("restic", mend, code)
        case code if code == LOCKED:
            said = _first(_LOCKED, lines) or _last(lines)
            return Busy(f"the repository is locked by another job: {said}")
    if said := _first(_CLOCK, lines):
        return ClockWrong(f"the store finds that this machine's clock is wrong: {said}; set it")
    for pattern, kind in _KINDS:
        if said := _first(pattern, lines):
            return kind("restic", said, failed.code)
    return failed


def last_retried(complaints: Iterable[str]) -> str:
    """Return why restic tried again, the last time that it did; "" where it never did."""
    return _last(list(_plain(line for line in complaints if _RETRIED.match(line))))


_KINDS: tuple[tuple[re.Pattern[str], type[ProgramFailed]], ...] = (
    (_FULL, NoSpace),
    (_DAMAGED, RepositoryDamaged),
    (_UNREACHABLE, RepositoryUnreachable),
)


def _plain(complaints: Iterable[str]) -> Iterator[str]:
    """Yield each complaint in words: restic writes JSON, and its retries and programs' lines."""
    for line in complaints:
        try:
            parsed = json.loads(line)
            text = parsed["error"]["message"] if "error" in parsed else parsed["message"]
        except (ValueError, TypeError, KeyError):
            text = line
        text = _RETRIED.sub("", " ".join(str(text).split()))
        if text and not _END.search(text):
            yield text[:_MAX_SAID]


def _first(pattern: re.Pattern[str], lines: list[str]) -> str:
    return next((line for line in lines if pattern.search(line)), "")


def _last(lines: list[str]) -> str:
    return lines[-1] if lines else ""


def _of_subprocess(lines: list[str]) -> str:
    said = [_SUBPROCESS.sub("", line) for line in lines if _SUBPROCESS.match(line)]
    return _last([line for line in said if _TELLING.search(line)] or said)
