"""By what a failure is known again: its stack where that is told, else its error, else its words.

Pure, and of one failure alone: neither the others, nor their order, nor the day, nor the process
has a say in an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from prefect_exporter.failures import digests, messages, tracebacks
from prefect_exporter.failures.bases import UNKNOWN_MODULE
from prefect_exporter.failures.facts import ErrorFacts, Facts, StateFacts
from prefect_exporter.failures.model import Basis, Failed, Signature
from prefect_exporter.failures.normalise import NORMALISER_VERSION, normalise
from prefect_exporter.failures.redaction import redact
from prefect_exporter.failures.rules import Rules, classify

SAMPLES = 3
"""Of how many runs of one key the traceback is read: the newest, the oldest and the middle one."""


class Key(NamedTuple):
    """What runs have in common whose traceback is most likely the same; it costs no request."""

    flow: str
    deployment: str
    state_name: str
    id: str


def signature(failed: Failed, traceback: str | None, rules: Rules = ()) -> Signature:
    """Return the signature of a failed run.

    Args:
        failed: The run.
        traceback: Its text; None where it was not read, or where there is none.
        rules: A user's own, which have a say in the category alone.
    """
    state = StateFacts(failed.state_type, failed.state_name, failed.message)
    error = tracebacks.read(traceback) if traceback else None
    return _of_stack(error, state, rules) if error else _of_message(state, rules)


def key(failed: Failed) -> Key:
    """Return what a failed run has in common with others that it most likely is the same as."""
    words = _words(failed.state_name, failed.message)
    return Key(failed.flow, failed.deployment, failed.state_name, words.id)


class Assigned(NamedTuple):
    """A failure with its signature; *sure* where its traceback was read, or one like it."""

    failed: Failed
    signature: Signature
    sure: bool


def assigned(
    failures: Sequence[Failed], texts: Mapping[bytes, str], rules: Rules = ()
) -> list[Assigned]:
    """Return each failure with its signature, in their order.

    Of one key, the runs without a traceback get the signature of those with one, if all of these
    have the same; else each keeps that of its message.

    Args:
        failures: In any order.
        texts: Tracebacks by the run's id, "" for a run that was read and has none.
        rules: A user's own.
    """
    read: dict[Key, set[Signature]] = {}
    for failed in failures:
        if (text := texts.get(failed.run_id)) is not None:
            found = read.setdefault(key(failed), set())
            found |= {signature(failed, text, rules)} if text else set()
    return [_assigned(failed, texts.get(failed.run_id), read, rules) for failed in failures]


def _assigned(
    failed: Failed, text: str | None, read: Mapping[Key, Iterable[Signature]], rules: Rules
) -> Assigned:
    if text:
        return Assigned(failed, signature(failed, text, rules), sure=True)
    known = read.get(key(failed))
    if known is not None and (ids := {each.id for each in known}):
        if len(ids) == 1:
            return Assigned(failed, min(known, key=lambda each: each.pattern), sure=True)
        return Assigned(failed, signature(failed, None, rules), sure=text is not None)
    return Assigned(failed, signature(failed, None, rules), sure=known is not None)


def _of_stack(error: ErrorFacts, state: StateFacts, rules: Rules) -> Signature:
    return Signature(
        f"f{digests.VERSION}-{digests.of_error(error)}",
        classify(Facts(error, state), rules),
        error.types[0],
        _pattern(error.message),
        Basis.TRACEBACK,
        error.stack.places,
    )


def _of_message(state: StateFacts, rules: Rules) -> Signature:
    words = _words(state.name, state.message)
    category = classify(Facts(words.error, state), rules)
    return Signature(words.id, category, words.type, words.pattern, words.basis)


class _Words(NamedTuple):
    """What a state's message says."""

    id: str
    type: str
    pattern: str
    basis: Basis
    error: ErrorFacts | None


@lru_cache(maxsize=8192)
def _words(state_name: str, message: str) -> _Words:
    error = messages.error_of(message)
    name = error.types[0].removeprefix(UNKNOWN_MODULE) if error else ""
    pattern = _pattern(error.message if error else message)
    digest = digests.of_parts(NORMALISER_VERSION, name or f"prefect.{state_name}", pattern)
    basis = Basis.EXCEPTION if error else Basis.MESSAGE
    return _Words(f"m{NORMALISER_VERSION}-{digest}", name, pattern, basis, error)


def _pattern(message: str) -> str:
    """Return what a message has in common with others; secrets go first, while they are whole."""
    return normalise(redact(message))
