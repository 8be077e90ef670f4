"""Who checks a code block: one checker for each language, and no block without one.

What is done with a block, by its language:

========================  ====================================================================
``python``                mypy --strict in one run, and run as a module that is imported; a file
                          that is quoted, whole or in parts, stands so in the repository
``console``, ``bash``     ``bash -n``; each program's commands, options and files, the stack's
                          services and profiles, the chart's values and all variables exist; what
                          needs no stack is run by tests/docs/test_commands_run.py, with its output
``yaml``                  given to the program that reads it: see `docs.checkers.configs`
``promql``, ``logql``     parsed by promtool, metrics are known: see `docs.checkers.queries`
``json``, ``toml``        parsed, and held against what reads them
``sql``                   done by a PostgreSQL
``dockerfile``            instructions, files and commands are looked at; nothing is built
``dotenv``                each variable is one that the stack, or a program of ours, reads
no language               the output of commands just before it
``text``                  a picture or a sample, for eyes alone
========================  ====================================================================

The rest is checked by the tests that are named below.
"""

from __future__ import annotations

from collections.abc import Mapping

from docs.blocks import Block
from docs.checkers import configs, data, outputs, python, queries, shell, variables
from docs.checks import Checker, by_test, one_by_one

CHECKERS: Mapping[str, Checker] = {
    "": one_by_one(outputs.check),
    "bash": shell.check,
    "console": shell.check,
    "console-line": by_test(
        "tests/instrumentation/test_logging_docs.py::test_formats_are_those_of_the_code"
    ),
    "dockerfile": one_by_one(data.dockerfile),
    "dotenv": one_by_one(variables.dotenv),
    "json": one_by_one(data.json_),
    "logfmt": by_test(
        "tests/instrumentation/test_logging_docs.py::test_formats_are_those_of_the_code"
    ),
    "logql": queries.logql,
    "promql": queries.promql,
    "python": python.check,
    "seen": by_test("tests/examples/test_correlation_example.py::test_page_shows_what_is_seen"),
    "sql": data.sql,
    "text": one_by_one(lambda _block: ()),
    "toml": data.toml,
    "trace": by_test("tests/instrumentation/test_cases.py::test_trace_is_as_the_docs_draw_it"),
    "trace-between": by_test(
        "tests/instrumentation/test_deployments.py::test_worker_runs_a_deployment"
    ),
    "yaml": configs.check,
}

_TUTORIAL = by_test("tests/docs/test_tutorial.py::test_step_prints_what_the_page_shows")

ON_PAGES: Mapping[tuple[str, str], Checker] = {
    # Diffs are applied, commands typed, and what they print is compared.
    ("docs/tutorial.md", "console"): _TUTORIAL,
    ("docs/tutorial.md", "diff"): _TUTORIAL,
}


def checker_of(block: Block) -> Checker | None:
    """Return the one checker of a block, or None where nobody has taken it on."""
    return ON_PAGES.get((block.page, block.language)) or CHECKERS.get(block.language)
