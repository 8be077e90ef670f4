"""Spans as a tree of text that reads well in a test; pure, and the same for every kind of span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, TypeAlias

from prefect_instrumentation.attributes import ERROR_TYPE, STATE_NAME

SpanKey: TypeAlias = tuple[str, str]
Line: TypeAlias = tuple[int, str]

_LONGEST_TEXT = 200
_DEEPEST_INDENT = 100


class TreeSpan(Protocol):
    """What a tree needs to know of a span, recorded or received; ids are in hexadecimal."""

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to."""

    @property
    def span_id(self) -> str:
        """Its own id in the trace."""

    @property
    def parent_id(self) -> str:
        """The span around it, "" for a root."""

    @property
    def name(self) -> str:
        """Such as `flow etl`."""

    @property
    def start_ns(self) -> int:
        """Nanoseconds since 1970."""

    @property
    def status(self) -> str:
        """`UNSET`, `OK` or `ERROR`."""

    @property
    def attributes(self) -> Mapping[str, object]:
        """By their full names."""

    @property
    def events(self) -> Sequence[tuple[str, Mapping[str, object]]]:
        """Names and attributes, in their order."""

    @property
    def links(self) -> Sequence[SpanKey]:
        """The trace and span ids that it links to."""


def render_tree(
    spans: Iterable[TreeSpan],
    *attributes: str,
    events: bool = False,
    links: bool = False,
    by_start: bool = True,
) -> str:
    """Draw spans as text, one line a span, children indented below their parent.

    A line holds the name, the state's name (of a span that is no run: its status), `!` and the
    short name of the error's type, and in brackets those of the chosen *attributes* that the span
    has. `(remote parent)` marks a span whose parent is not among *spans*. Every text is escaped and
    cut, so that a line stays one line of bounded length. There is no line end after the last::

        flow etl Completed
          task extract Completed [prefect.source=redis]
          task load Failed !ValueError
            event Retrying
            -> task extract

    Args:
        spans: in any order.
        attributes: full names of the attributes to show.
        events: show the names of a span's events below it.
        links: show the names of the spans that a span links to below it.
        by_start: order siblings by their start, then by name; else by how they read, which is the
            same in each run even if they ran at the same time.
    """
    detail = _Detail(attributes, events=events, links=links)
    branches = [_Branch(span) for span in sorted(spans, key=_age)]
    names = {_key(branch.span): branch.span.name for branch in branches}
    for branch in reversed(_grown(branches)):
        below = _in_order(branch.children, by_start=by_start)
        branch.block = [*detail.lines(branch, names), *chain(*(each.block for each in below))]
        for each in below:
            each.block = []
    roots = _in_order([each for each in branches if not each.depth], by_start=by_start)
    return "\n".join(
        "  " * min(depth, _DEEPEST_INDENT) + text for root in roots for depth, text in root.block
    )


@dataclass(slots=True, eq=False)
class _Branch:
    """A span in its place; a block is its lines and those of everything below it."""

    span: TreeSpan
    depth: int = -1
    note: str = ""
    children: list[_Branch] = field(default_factory=list)
    block: list[Line] = field(default_factory=list)


def _grown(branches: Sequence[_Branch]) -> list[_Branch]:
    """Give each branch its place, and return all of them with children after their parents."""
    by_key = {_key(branch.span): branch for branch in reversed(branches)}
    roots = []
    for branch in branches:
        span = branch.span
        parent = by_key.get((span.trace_id, span.parent_id)) if span.parent_id else None
        if parent is None:
            branch.note = " (remote parent)" if span.parent_id else ""
            roots.append(branch)
        else:
            parent.children.append(branch)
    order = [each for root in roots for each in _placed(root)]
    for branch in branches:
        if branch.depth < 0:
            branch.note = " (circular parent)"
            order += _placed(branch)
    return order


def _placed(root: _Branch) -> Iterator[_Branch]:
    root.depth = 0
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        branch.children = [child for child in branch.children if child.depth < 0]
        for child in branch.children:
            child.depth = branch.depth + 1
        waiting += branch.children
        yield branch


def _in_order(branches: Iterable[_Branch], *, by_start: bool) -> list[_Branch]:
    if by_start:
        return sorted(branches, key=lambda each: (each.span.start_ns, each.span.name, each.block))
    return sorted(branches, key=lambda each: each.block)


@dataclass(frozen=True, slots=True)
class _Detail:
    """What is told of each span."""

    attributes: tuple[str, ...]
    events: bool
    links: bool

    def lines(self, branch: _Branch, names: Mapping[SpanKey, str]) -> Iterator[Line]:
        span, depth = branch.span, branch.depth
        yield depth, self._headline(span) + branch.note
        if self.events:
            for name, _ in span.events:
                yield depth + 1, f"event {_text(name)}"
        if self.links:
            for link in span.links:
                target = _text(names[link]) if link in names else "(not recorded)"
                yield depth + 1, f"-> {target}"

    def _headline(self, span: TreeSpan) -> str:
        words = [_text(span.name), _text(span.attributes.get(STATE_NAME, span.status))]
        if ERROR_TYPE in span.attributes:
            words.append("!" + _text(str(span.attributes[ERROR_TYPE]).rpartition(".")[2]))
        chosen = [
            f"{name}={_text(span.attributes[name])}"
            for name in self.attributes
            if name in span.attributes
        ]
        if chosen:
            words.append(f"[{', '.join(chosen)}]")
        return " ".join(words)


def _key(span: TreeSpan) -> SpanKey:
    return span.trace_id, span.span_id


def _age(span: TreeSpan) -> tuple[int, str, SpanKey]:
    return span.start_ns, span.name, _key(span)


def _text(value: object) -> str:
    text = str(value)
    short = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in short
    )
