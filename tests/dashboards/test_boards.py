"""What holds for every board: complete, linked, in sync, and about metrics that exist.

The SDK's models are what a board is checked against; Grafana's own schema is CUE and is not run.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

import dashboards
from backup_metrics import backup_metrics
from dashboards.__main__ import FOLDER
from dashboards.palette import OUTCOMES
from dashboards.written import as_json
from pictures.boards import queries
from queried_metrics import queried_metrics

ROOT = Path(__file__).parents[2]
BOARDS = {board.uid: json.loads(as_json(board)) for board in dashboards.all_boards()}
# What Grafana's sources read and the SDK's models leave out: fields of marks, searches in Jaeger.
UNMODELLED = re.compile(
    r"^/annotations/list/\d+/(titleFormat|textFormat|useValueForTime)$"
    r"|^/panels/\d+/targets/\d+/(service|tags|limit|queryType)$"
)
GLOBALS = {"__from", "__to", "__url_time_range", "__all_variables"}
OF_NUMBERS = {"stat", "timeseries", "table", "bargauge", "gauge", "heatmap", "state-timeline"}

each_board = pytest.mark.parametrize("uid", sorted(BOARDS))


def panels(uid: str) -> list[Mapping[str, Any]]:
    """Return the panels of a board without its headings, folded ones too."""
    every = [each for panel in BOARDS[uid]["panels"] for each in (panel, *panel.get("panels", ()))]
    return [panel for panel in every if panel["type"] != "row"]


def variables(uid: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the variables of a board by name, in their order."""
    return {variable["name"]: variable for variable in BOARDS[uid]["templating"]["list"]}


def texts(part: object) -> Iterator[str]:
    """Yield every text in *part*, however deep."""
    match part:
        case str():
            yield part
        case dict():
            yield from itertools.chain.from_iterable(map(texts, part.values()))
        case list():
            yield from itertools.chain.from_iterable(map(texts, part))


def lost(part: object, again: object, path: str = "") -> Iterator[str]:
    """Yield where *again* has not what *part* has; what it has beside that does not count."""
    match part, again:
        case dict(), dict():
            for key, value in part.items():
                yield from lost(value, again.get(key), f"{path}/{key}")
        case list(), list() if len(part) == len(again):
            for index, pair in enumerate(zip(part, again, strict=True)):
                yield from lost(*pair, f"{path}/{index}")
        case _ if part != again:
            yield path


@functools.cache
def known_metrics() -> set[str]:
    """Return what the exporter, flows, the backup and our questions to PostgreSQL have.

    The first two by tables that are held against their code.
    """
    row = re.compile(r"^\| `(prefect_\w+)` \| (\w+) \|", re.MULTILINE)
    found = queried_metrics() | backup_metrics()
    for page in ("metrics.md", "meters.md"):
        for name, kind in row.findall((ROOT / "docs" / page).read_text()):
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            found |= {f"{name}{suffix}" for suffix in suffixes}
    return found


@functools.cache
def recorded_metrics() -> set[str]:
    """Return what the recording rules of deploy/prometheus/rules write."""
    files = (ROOT / "deploy" / "prometheus" / "rules").glob("*/*.yml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def promql(uid: str) -> Iterator[tuple[str, str]]:
    """Yield who asks, and what, of all that a board asks of Prometheus."""
    for query in queries(BOARDS[uid]):
        if query.source == "prometheus":
            yield query.name, query.text
    for name, variable in variables(uid).items():
        if variable["type"] == "query":
            yield f"variable {name}", variable["query"]["query"]


def metrics_in(expr: str) -> set[str]:
    """Return the names in PromQL that are ours: those of Prefect, and recorded ones."""
    return set(re.findall(r"\b(?:prefect_\w+|\w+:[\w:]+)", re.sub(r'"[^"]*"', '""', expr)))


def filled(expr: str) -> str:
    """Return a query with something for each variable, as Grafana would."""
    expr = re.sub(r"\$__(range|interval|rate_interval)\b", "5m", expr)
    return re.sub(r"\$\{?\w+\}?", "1", expr)


def test_files_are_what_the_boards_say() -> None:
    """No file is edited by hand, missing or left over."""
    files = {path.stem: path.read_text() for path in FOLDER.glob("prefect-*.json")}

    assert files == {board.uid: as_json(board) for board in dashboards.all_boards()}


@each_board
def test_board_is_one_of_the_sdk(uid: str) -> None:
    """Read into the models of Grafana's SDK and written again, nothing is lost that they know."""
    register_default_plugins()

    again = json.loads(JSONEncoder().encode(Dashboard.from_json(BOARDS[uid])))

    assert again["schemaVersion"] == 41
    assert set() == {path for path in lost(BOARDS[uid], again) if not UNMODELLED.search(path)}


@each_board
def test_board_has_what_all_have(uid: str) -> None:
    """A board reloads itself, cannot be edited, and says which question it answers."""
    board = BOARDS[uid]

    assert board["title"]
    assert board["description"].endswith((".", "?"))
    assert board["editable"] is False
    assert board["timezone"] == "browser"
    assert board["refresh"] == "30s"
    assert board["time"] == {"from": "now-6h", "to": "now"}
    assert board["tags"] == ["prefect"]
    assert {mark["name"] for mark in board["annotations"]["list"]} >= {"Restart", "Deployment"}


@each_board
def test_board_leads_to_all_others(uid: str) -> None:
    """The menu keeps the time range and what was chosen."""
    menu = BOARDS[uid]["links"][0]

    assert (menu["type"], menu["tags"]) == ("dashboards", ["prefect"])
    assert menu["keepTime"] is True
    assert menu["includeVars"] is True


@each_board
def test_numbers_of_panels_are_unique(uid: str) -> None:
    """Links to single panels hold."""
    headings = [panel for panel in BOARDS[uid]["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in (*headings, *panels(uid))]

    assert sorted(set(numbers)) == sorted(numbers)
    assert min(numbers) > 0


@each_board
def test_panels_stand_side_by_side(uid: str) -> None:
    """No panel covers another or leaves the board, and none is too narrow for a phone or a wall."""
    shown = BOARDS[uid]["panels"]
    for together in (shown, *(panel.get("panels", []) for panel in shown)):
        places = [panel["gridPos"] for panel in together]
        assert [] == [place for place in places if place["x"] + place["w"] > 24 or place["w"] < 6]
        assert [] == [pair for pair in itertools.combinations(places, 2) if _overlap(*pair)]


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return bool(
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@each_board
def test_panels_explain_themselves(uid: str) -> None:
    """Each has a title of its own, a description in whole sentences, and its numbers a unit."""
    titles = [panel["title"] for panel in panels(uid)]

    assert sorted(set(titles)) == sorted(titles)
    for panel in panels(uid):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["type"] not in OF_NUMBERS or panel["fieldConfig"]["defaults"]["unit"]


@each_board
def test_panels_ask_a_source(uid: str) -> None:
    """Prometheus is what the reader chose, the others have fixed names, queries have letters."""
    uids = {"prometheus": "${datasource}", "loki": "loki", "jaeger": "jaeger"}
    for panel in panels(uid):
        if panel["type"] == "text":
            continue
        assert panel["datasource"]["uid"] == uids[panel["datasource"]["type"]], panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == uids[target["datasource"]["type"]]
        letters = [target["refId"] for target in panel["targets"]]
        assert sorted(set(letters)) == sorted(letters)


@each_board
def test_outcomes_have_one_colour(uid: str) -> None:
    """A failed run looks the same on every board."""
    for panel in panels(uid):
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            name = override["matcher"].get("options")
            colors = [each["value"] for each in override["properties"] if each["id"] == "color"]
            if name in OUTCOMES and colors:
                assert colors == [{"mode": "fixed", "fixedColor": OUTCOMES[name]}]


@each_board
def test_named_lines_have_colours(uid: str) -> None:
    """What a query names is told apart by everybody: no two lines of a panel share a colour."""
    for panel in panels(uid):
        if panel["type"] == "timeseries":
            names = [target.get("legendFormat", "") for target in panel["targets"]]
            colors = [_color(panel, name) for name in names if name and "{{" not in name]
            assert None not in colors, panel["title"]
            assert len(set(colors)) == len(colors), panel["title"]


def _color(panel: Mapping[str, Any], name: str) -> str | None:
    for override in panel["fieldConfig"]["overrides"]:
        pattern = override["matcher"]["options"].strip("/")
        for each in override["properties"]:
            if each["id"] == "color" and re.search(pattern, name):
                return str(each["value"]["fixedColor"])
    return None


@each_board
def test_variables_begin_with_the_same_three(uid: str) -> None:
    """Every board can be narrowed to a target and a team, and asks again when the time changes."""
    assert list(variables(uid))[:3] == ["datasource", "target", "team"]
    for name, variable in variables(uid).items():
        if variable["type"] == "query":
            assert variable["refresh"] == 2, name
            assert variable["multi"] is True, name
            assert variable.get("allValue") in {".*", None}, name


@each_board
def test_variables_narrow_the_next_one(uid: str) -> None:
    """The values of a variable depend on those before it, and on none after it."""
    seen: set[str] = set()
    for name, variable in variables(uid).items():
        used = _variables_in(json.dumps(variable.get("query", "")))
        assert used <= seen, name
        seen.add(name)


@each_board
def test_variables_that_are_used_are_there(uid: str) -> None:
    """Nothing asks for what the board does not let choose, and every choice changes something."""
    asked = set().union(*map(_variables_in, texts(BOARDS[uid]["panels"])))

    assert asked - GLOBALS <= set(variables(uid)) | {"__data"}
    chosen = {name for name, each in variables(uid).items() if each["type"] == "query"}
    assert chosen <= asked | {"team"}


def _variables_in(text: str) -> set[str]:
    macros = {"__rate_interval", "__interval", "__interval_ms", "__range"}
    return {name for name in re.findall(r"\$\{?(\w+)", text) if not name.isdigit()} - macros


@each_board
def test_links_lead_to_boards(uid: str) -> None:
    """A link goes to a board that there is, sets its variables, and keeps the time range."""
    for url in (text for text in texts(BOARDS[uid]["panels"]) if text.startswith("/d/")):
        board, _, query = url.removeprefix("/d/").partition("?")
        assert board in BOARDS, url
        assert set(re.findall(r"var-(\w+)=", query)) <= set(variables(board)), url
        assert "${__url_time_range}" in query, url


@each_board
def test_metrics_exist(uid: str) -> None:
    """A panel shows what the code counts or a rule records."""
    there = known_metrics() | recorded_metrics()
    for asking, expr in promql(uid):
        assert metrics_in(expr) <= there, asking


@each_board
def test_counters_are_read_as_such(uid: str) -> None:
    """A panel shows how much a counter rose, not its naked total, whose height says nothing."""
    for asking, expr in promql(uid):
        for name in re.findall(r"\b\w+_(?:total|bucket)\b", expr):
            risen = rf"(rate|increase|label_values)\({name}\b|\b{name}\b({{[^}}]*}})? offset \$__"
            assert re.search(risen, expr), asking


@each_board
def test_queries_are_promql(uid: str, tmp_path: Path) -> None:
    """Prometheus can read every one of them."""
    rules = [
        {"record": "asked", "expr": filled(expr), "labels": {"by": re.sub(r"\W+", "_", asking)}}
        for asking, expr in promql(uid)
        if not expr.startswith(("label_values(", "query_result("))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": uid, "rules": _numbered(rules)}]}))
    command = ["promtool", "check", "rules", "--lint=none", str(file)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def _numbered(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**rule, "record": f"asked:{number}"} for number, rule in enumerate(rules)]
