"""PromQL is read by promtool, and its metrics are known; of LogQL the frame is, and the filters.

There is no parser of LogQL to be had. A query that counts is PromQL around a log query, so it is
given to promtool with a selector in that place; the log query itself is held against a grammar of
the stages that the pages use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from alert_rules import promtool
from docs.blocks import Block
from docs.checkers.metrics import known_metrics, metric_names
from docs.checks import Problems

_TEXT = r'(?:"(?:\\.|[^"\\])*"|`[^`]*`)'
_MATCHER = rf"[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*{_TEXT}"
_STAGE = rf"(?:\|=|!=|\|~|!~)\s*{_TEXT}|\|\s*(?:json\b|logfmt\b|{_MATCHER})"
_LOG_QUERY = re.compile(rf"\{{\s*{_MATCHER}(?:\s*,\s*{_MATCHER})*\s*\}}(?:\s*(?:{_STAGE}))*")


def promql(blocks: Sequence[Block], folder: Path) -> Problems:
    """Say what promtool does not read, and which metrics nobody makes; one run for all."""
    told = _promtool({str(block): block.text for block in blocks}, folder)
    return {block: [*told[str(block)], *_unknown(block.text)] for block in blocks}


def logql(blocks: Sequence[Block], folder: Path) -> Problems:
    """Say which lines are no query: each line of a block is one."""
    queries = {f"{block} {line}": line for block in blocks for line in block.text.splitlines()}
    told = _promtool({key: _LOG_QUERY.sub("logs ", line) for key, line in queries.items()}, folder)
    return {
        block: [
            problem
            for line in block.text.splitlines()
            for problem in [*told[f"{block} {line}"], *_without_selector(line)]
        ]
        for block in blocks
    }


def _unknown(query: str) -> Iterator[str]:
    for name in sorted(metric_names(query) - known_metrics()):
        yield f"nobody makes the metric {name}"


def _without_selector(line: str) -> Iterator[str]:
    if not _LOG_QUERY.search(line):
        yield f"no log query of a selector and filters in: {line}"


def _promtool(queries: dict[str, str], folder: Path) -> dict[str, list[str]]:
    """Return what promtool says of each query: it names a rule by its group and number."""
    rules = [{"record": "a", "expr": query, "labels": {"n": key}} for key, query in queries.items()]
    file = folder / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "page", "rules": rules}]}))
    said = promtool("check", "rules", "--lint=none", file)
    found = re.findall(r'rule (\d+), "a": (.+)', said.stdout + said.stderr)
    assert bool(found) == bool(said.returncode), said
    told: dict[str, list[str]] = {key: [] for key in queries}
    for number, problem in found:
        told[list(queries)[int(number) - 1]].append(problem)
    return told
