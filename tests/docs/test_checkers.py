"""Checkers of code blocks see what is wrong: each is given blocks that no page may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.blocks import Block, UnclosedBlockError, blocks, pages, read
from docs.checkers.commands import Shown, commands, shown
from docs.checkers.metrics import metric_names
from docs.registry import checker_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

FENCE = "```"


def block(language: str, text: str, before: str = "Say:", follows: str | None = None) -> Block:
    """Return a block of a page that there is not."""
    return Block("docs/page.md", 1, language, f"{text}\n", before, follows)


def problems(given: Block, folder: Path) -> list[str]:
    """Return what its checker says of it."""
    checker = checker_of(given)
    assert checker
    return list(checker([given], folder)[given])


@pytest.mark.parametrize(
    ("language", "text", "says"),
    [
        ("promql", "sum by (flow) (prefect_flow_runs_late", "unclosed left parenthesis"),
        ("promql", "max(prefect_flow_runs_latex) > 1", "metric prefect_flow_runs_latex"),
        ("logql", '{service_name="etl"} | jsonx', "unexpected"),
        ("logql", "{service_name=etl}", "expected string"),
        ("json", '{"a": 1,}', "JSONDecodeError"),
        ("json", '[{"targets": [1], "labels": {}}]', "1 is no text"),
        ("json", '{"PREFECT_EXPORTER_NONE": "1"}', "variable PREFECT_EXPORTER_NONE"),
        ("json", '{"event": "x", "time": "now"}', "begins with"),
        ("toml", '[[rule]]\ncategory = "nothing"', "0 can be used"),
        ("sql", "GRANT pg_read_all_dat TO nobody;", "does not exist"),
        ("dockerfile", "FORM python:3.11", "no instruction"),
        ("dockerfile", "FROM python\nCOPY nothing /there", "no nothing to copy"),
        ("dockerfile", "FROM prefecthq/prefect:3.0.0-python3.11", "not of Prefect"),
        ("dockerfile", "RUN pip install '/tmp/instrumentation[none]'", "no extra none"),
        ("dotenv", "PREFECT_EXPORTER_POL_INTERVAL=2m", "PREFECT_EXPORTER_POL_INTERVAL"),
        ("dotenv", "export A=b", "no line of a .env"),
        ("", "printed", "follows no commands"),
        ("python", "import math\n\nmath.nothing()", 'no attribute "nothing"'),
        ("python", "def f(a) -> int:\n    return 1", "line 2: Function is missing a type"),
        ("python", "nothing_of_anybody()", "nothing_of_anybody"),
        ("python", "def f(:", "invalid syntax"),
        ("python", "raise SystemExit(1)", "SystemExit"),
    ],
)
def test_broken_block_is_told_of(language: str, text: str, says: str, tmp_path: Path) -> None:
    """What its program would refuse, or nobody would read, is a problem of the block."""
    assert says in "\n".join(problems(block(language, text), tmp_path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scrape_configs: [{job_nam: x}]", "job_nam"),
        ("rule_files: [/opt/prefect-observability/deploy/nothing/*.yml]", "no file is at"),
        ("groups: [{name: x, rules: [{record: y, expr: 'sum('}]}]", "unclosed left parenthesis"),
        ("route: {receiver: nobody}", "nobody"),
        ("processors: {tail_sampling: {decision_wat: 1s}}", "decision_wat"),
        ("services: {prometeus: {image: x}}", "no such service"),
        ("services: {prometheus: {imag: x}}", "imag"),
        ("services: {prometheus: {secrets: [none]}}", "nothing declares none"),
        ("logging: {driver: syslog, options: {}}", "another driver"),
        ("exporter: {replicaz: 2}", "replicaz"),
        ("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {title: x}", "title"),
        ("kpis: [{name: x}]", "is missing"),
        ("tiers: {'1': {succeeds: 99%}}", "succeeds"),
        ("teams: {payments: {warning: {slak: x}}}", "slak"),
        ("targets: [{name: x, url: 'ftp://x'}]", "not an http or https address"),
        ("- runs: make test", "runs"),
        ("- run: make nothing", "no target nothing"),
        ("deployments: [{name: a, entrypoint: 'etl.batch.nothing'}]", "no flow etl.batch.nothing"),
        ("nobody: knows", "nobody knows what YAML with the keys ['nobody'] is for"),
        ("a: b: c", "mapping values are not allowed"),
    ],
)
def test_broken_yaml_is_told_of(text: str, says: str, tmp_path: Path) -> None:
    """YAML is known by its keys, and given to the program that it is for."""
    assert says in "\n".join(problems(block("yaml", text), tmp_path))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo 'open", "bash"),
        ("make nothing", "no target nothing"),
        ('make demo ARGS="--form 60s"', "no option --form"),
        ('make restore ARGS="--hold-workr"', "no option --hold-workr"),
        ("make lint ARGS=x", "takes no ARGS"),
        ("docker compose up -d --weit", "no option --weit"),
        ("docker compose exec backups prefect-backup run", "no service backups"),
        ("docker compose exec backup prefect-backup runs", "No such command"),
        ("docker compose exec backup sh -c 'true && prefect-backup runs'", "No such command"),
        ("docker compose --profile none up", "no profile none"),
        ("docker compose -f none.yml up", "no Compose file none.yml"),
        ("prefect-exporter report --outptu x", "No such option"),
        ("PREFECT_EXPORTER_NONE=1 prefect-exporter serve", "PREFECT_EXPORTER_NONE"),
        ("export PREFECT_INSTRUMENTATION_LOGZ=json", "PREFECT_INSTRUMENTATION_LOGZ"),
        ("env OTEL_TRACES_EXPORTR=none python flows.py", "OTEL_TRACES_EXPORTR"),
        ("prefect work-pool make x", "no command"),
        ("prefect work-pool create x --typ process", "no option --typ"),
        ("prefect --no-prompt deploy --al", "no option --al"),
        ("python examples/tracing/order.py", "no file examples/tracing/order.py"),
        ("python examples/kubernetes/instrument_pool.py --none", "no option --none"),
        ("python -m kpi --none", "no option --none"),
        ("python -c 'import'", "is no Python"),
        ("python -m none.at_all", "no module none.at_all"),
        ("uvicorn trigger.app:none", "no example has the application"),
        ("pip install './instrumentation[none]'", "no extra none"),
        ("helm upgrade a b --none", "no option --none"),
        ("helm upgrade a b --set exporter.none=1", "no value exporter.none"),
        ("amtool silence add --none", "no option --none"),
        ("otelcol-contrib --config none.yaml", "no none.yaml"),
        ("scripts/secrets --none", "no option --none"),
        ("a=$(make nothing) && true", "no target nothing"),
        ("for a in b; do make nothing; done", "no target nothing"),
        ("sudo make nothing", "no target nothing"),
        ("unheard-of", "nobody knows how to check the program unheard-of"),
    ],
)
def test_broken_command_is_told_of(command: str, says: str, tmp_path: Path) -> None:
    """A target, option, service, file or variable that there is not is a problem of the block."""
    assert says in "\n".join(problems(block("bash", command), tmp_path))
    assert says in "\n".join(problems(block("console", f"$ {command}"), tmp_path))


@pytest.mark.parametrize(
    "before", ["`orders.py` in `examples/tracing`, whole:", "From `examples/tracing/orders.py`:"]
)
def test_quote_is_as_its_file(before: str, tmp_path: Path) -> None:
    """What is said to be a file of ours, or a part of one, stands so in the file."""
    (text, other) = "def total(amounts: list[int]) -> int:", "def total(rows: list[int]) -> int:"

    assert [] == problems(block("python", text, "From `examples/tracing/orders.py`:"), tmp_path)
    assert problems(block("python", other, before), tmp_path)


def test_block_of_no_known_language_has_no_checker() -> None:
    """A language that nobody has thought of is not passed over."""
    assert checker_of(block("cobol", "MOVE A TO B.")) is None


def test_console_begins_with_a_command(tmp_path: Path) -> None:
    """A script in a block of console would be taken for output, and never be looked at."""
    assert problems(block("console", "make nothing"), tmp_path)


def test_blocks_are_read_with_what_stands_around_them() -> None:
    """Fences may be indented, longer or of tildes; headings end a section."""
    page = (
        f"# A\n\nSay\nso:\n\n   {FENCE}console\n   $ a\n     b\n   {FENCE}\n\n~~~\n{FENCE}\n~~~\n"
        f"\n## B\n{FENCE}{FENCE}text one two\n{FENCE}\n{FENCE}{FENCE}\n"
    )

    assert [
        Block("p.md", 6, "console", "$ a\n  b\n", "Say so:", None),
        Block("p.md", 11, "", f"{FENCE}\n", f"{FENCE}console $ a b {FENCE}", "console"),
        Block("p.md", 16, "text", f"{FENCE}\n", "## B", None),
    ] == list(read("p.md", page))


def test_unclosed_block_is_an_error() -> None:
    """Else the rest of the page would be one block, or none."""
    with pytest.raises(UnclosedBlockError, match=r"p.md:3 .* nothing closes"):
        list(read("p.md", f"one\n\n{FENCE}python\ntwo\n"))


def test_pages_are_all_that_people_read() -> None:
    """The pages of the root, of docs and of each distribution are among them, and have blocks."""
    names = {path.name for path in pages()}
    read_ = {each.page for each in blocks()}

    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "tracing.md"} <= names
    assert {"README.md", "exporter/README.md", "benchmarks/README.md", "docs/tracing.md"} <= read_


def test_console_is_commands_and_what_they_print() -> None:
    """A command goes on where bash would ask for more; all else is output."""
    text = "$ a \\\n    b |\n  c\nout\n\nput\n$ d 'e\nf'\n$ cat <<X\ng\nX\nh\n"

    assert [
        Shown("a \\\n    b |\n  c", "out\n\nput"),
        Shown("d 'e\nf'", ""),
        Shown("cat <<X\ng\nX", "h"),
    ] == shown(text)


def test_commands_are_found_behind_pipes_and_in_loops() -> None:
    """Words are the shell's; redirections, comments and keywords are none of a program's."""
    script = "a 'b c' >d 2>&1 | e # f\nif g; then h <<X && i; fi\n(make j)\nX\nX=1 k \\\n  l"

    assert [
        ["a", "b c"],
        ["e"],
        ["g"],
        ["h"],
        ["i"],
        ["X=1", "k", "l"],
    ] == commands(script)


def test_metrics_of_a_query_are_its_series_alone() -> None:
    """Functions, labels, texts, ranges, numbers and words of PromQL are no metrics."""
    query = (
        'sum by (a) (rate(b_total{c="d"}[5m] offset 1h)) / on (e) group_left (f) g:h:i > 1e3 or j'
    )

    assert {"b_total", "g:h:i", "j"} == metric_names(query)
