"""Where our handler is put, what stays, and that everything can be given back."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from log_records import Written, written

RUN_ID = "5bc172cf-1fd2-4ce8-932d-a7b0ed25c4bf"
SAY = """
logging.getLogger("shop").info("of the user")
logging.getLogger("prefect").info("of Prefect")
logging.getLogger("prefect.flow_runs").info("of a run", extra={"send_to_api": False})
logging.getLogger("prefect.server").warning("of the server")
logging.getLogger("uvicorn.error").warning("of Uvicorn")
logging.getLogger("fastapi").warning("of FastAPI")
logging.getLogger("prefect._internal").error("of its inside")
"""
SAID = [
    *("of the user", "of Prefect", "of a run", "of the server", "of Uvicorn", "of FastAPI"),
    "of its inside",
]
TO_API = """
from prefect.logging.handlers import set_api_log_sink
sent = []
set_api_log_sink(sent.append)
"""
STATE = """
def state():
    names = ["", *sorted(logging.root.manager.loggerDict)]
    return [
        (
            name, log.level, log.propagate,
            [(id(each), type(each.formatter).__name__) for each in log.handlers],
        )
        for name in names if (log := logging.getLogger(name)) and (log.handlers or log.level)
    ]
"""
AGAIN = """
from prefect.logging import configuration
configuration.setup_logging()
configuration.setup_logging(incremental=False)
"""
INSTALL = "install(_settings.current())\n"


def run(code: str, home: Path, **environ: str) -> Written:
    """Run code in a process whose Prefect has a home of its own."""
    return written(code, PREFECT_HOME=str(home), **environ)


@pytest.mark.parametrize(
    "code",
    [
        f"{INSTALL}import prefect.main\n",
        f"import prefect.main\n{INSTALL}",
        f"import prefect\n{INSTALL}from prefect import flow\n",
        f"import prefect.logging.configuration\n{INSTALL}import prefect.main\n",
        f"{INSTALL}import prefect.main\n{INSTALL}",
        f"{INSTALL}import prefect.main\n{AGAIN}",
        f"import prefect.main\n{INSTALL}uninstall()\n{INSTALL}",
    ],
    ids=["before", "after", "between", "configured", "twice", "again", "anew"],
)
def test_each_record_is_one_line(code: str, tmp_path: Path) -> None:
    """Whoever is imported first, and however often Prefect sets up its logging."""
    found = run(code + SAY, tmp_path)

    assert (SAID, []) == (found.events, found.complaints)


def test_plugin_installs_while_prefect_is_imported(tmp_path: Path) -> None:
    """With Prefect's plugins turned on nobody has to call anything, in children neither."""
    code = """
    import prefect.main
    logging.getLogger("shop").info("parent")
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    child = "import logging, prefect; logging.getLogger('shop').info('child')"
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(exec, child).result()
    """
    environ = {"PREFECT_PLUGINS_ENABLED": "1", "OTEL_TRACES_EXPORTER": "none"}
    found = run(code, tmp_path, **environ)

    assert (["parent", "child"], []) == (found.events, found.complaints)


@pytest.mark.parametrize(
    ("environ", "events"), [({"PREFECT_PLUGINS_ENABLED": "1"}, ["said"]), ({}, [])]
)
@pytest.mark.parametrize("order", [*itertools.permutations(["setup()", "import prefect.main"])])
def test_plugin_writes_lines_whoever_is_first(
    order: tuple[str, ...], environ: dict[str, str], events: list[str], tmp_path: Path
) -> None:
    """It does beside a mere `setup()`, unless it is this call alone that has it loaded."""
    said = ["from prefect_instrumentation import setup", *order, "logging.warning('said')"]
    found = run("\n".join(said), tmp_path, OTEL_TRACES_EXPORTER="none", **environ)

    assert events == found.events


THEIRS = """
import prefect.main
from prefect.logging.handlers import PrefectConsoleHandler
def add(logger, handler):
    handler.setFormatter(logging.Formatter("theirs|%(message)s"))
    logger.addHandler(handler)
def file(name):
    return open(os.environ["PREFECT_HOME"] + name, "w", buffering=1)
add(logging.root, logging.StreamHandler())
add(logging.getLogger("shop"), logging.StreamHandler(file("/stream")))
add(logging.getLogger("shop"), PrefectConsoleHandler(file("/console")))
"""


@pytest.mark.parametrize("code", [THEIRS + INSTALL, INSTALL + THEIRS], ids=["before", "after"])
def test_users_handlers_stay(code: str, tmp_path: Path) -> None:
    """They get what they got, in their own format, whenever they came."""
    found = run(f'{code}logging.getLogger("shop").warning("order %d", 7)', tmp_path)

    assert (["order 7"], ["theirs|order 7"]) == (found.events, found.complaints)
    assert "theirs|order 7\n" == (tmp_path / "stream").read_text()
    assert "theirs|order 7\n" == (tmp_path / "console").read_text()


def test_users_root_handler_survives_prefects_import(tmp_path: Path) -> None:
    """`basicConfig` before all: Prefect leaves the root alone, and we add ours."""
    code = f"logging.basicConfig(format='basic|%(message)s')\n{INSTALL}import prefect.main\n{SAY}"
    found = run(code, tmp_path)

    assert SAID == found.events
    assert {f"basic|{each}" for each in SAID[:4]} <= set(found.complaints)


def test_everything_is_given_back(tmp_path: Path) -> None:
    """After `uninstall` handlers, levels and formatters are those of before."""
    code = f"""
    import prefect.main
    import structlog
    exec({STATE!r})
    before = state()
    {INSTALL.strip()}
    assert before != state()
    from prefect.logging import configuration
    configuration.setup_logging()
    uninstall()
    assert before == state(), (before, state())
    uninstall()
    assert not hasattr(configuration.setup_logging, "__wrapped__")
    """
    assert Written([], []) == run(code, tmp_path, PREFECT_INSTRUMENTATION_LOG_LEVEL="debug,a=error")


def test_api_gets_readable_text_without_secrets_once(tmp_path: Path) -> None:
    """What goes to Prefect's API and UI is the text, with the traceback, redacted."""
    code = f"""
    import json, prefect.main
    {INSTALL.strip()}
    exec({TO_API!r})
    from prefect.logging.loggers import flow_run_logger
    import structlog
    flow_run_logger(flow_run_id="{RUN_ID}").info("order %d token=%s", 7, "hunter22-abc")
    try:
        raise ValueError("password=hunter22-def")
    except ValueError:
        logging.getLogger("shop.sub").exception("no", extra={{"flow_run_id": "{RUN_ID}"}})
    structlog.contextvars.bind_contextvars(flow_run_id="{RUN_ID}")
    uninstall()
    flow_run_logger(flow_run_id="{RUN_ID}").info("after")
    print(json.dumps({{"messages": [each["message"] for each in sent]}}))
    """
    found = run(code, tmp_path, PREFECT_LOGGING_EXTRA_LOGGERS="shop,shop.sub")
    *lines, last = found.lines
    messages = last["messages"]

    assert ["order 7 token=[redacted]", "no"] == [line["event"] for line in lines]
    assert "hunter22" not in str(found.lines)
    assert "order 7 token=[redacted]" == messages[0]
    assert messages[1].startswith("no\nTraceback (most recent call last):")
    assert "after" == messages[-1]


def test_extra_loggers_of_structlog_reach_the_api_as_text(tmp_path: Path) -> None:
    """A structlog logger that `PREFECT_LOGGING_EXTRA_LOGGERS` names is readable there."""
    code = f"""
    import json, prefect.main
    {INSTALL.strip()}
    exec({TO_API!r})
    import structlog
    class WithRun(logging.Filter):
        def filter(self, record):
            record.flow_run_id = "{RUN_ID}"
            return True
    logging.getLogger("shop").addFilter(WithRun())
    structlog.get_logger("shop").info("order taken", order=7, token="hunter22-abc")
    print(json.dumps({{"messages": [each["message"] for each in sent]}}))
    """
    found = run(code, tmp_path, PREFECT_LOGGING_EXTRA_LOGGERS="shop")

    assert {"messages": ["order taken order=7 token=[redacted]"]} == found.lines[1]
    assert ("order taken", 7, "[redacted]") == tuple(
        found.lines[0][name] for name in ("event", "order", "token")
    )


LEVELS = """
import prefect.main
for name in ("shop", "httpx", "prefect.flows", "prefect.client", "prefect.server.x", "a.b"):
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger(name).log(level, "%s %s", name, logging.getLevelName(level).lower())
"""


@pytest.mark.parametrize(
    ("environ", "least"),
    [
        ({}, ["info", "warning", "info", "info", "warning", "info"]),
        (
            {"PREFECT_LOGGING_LEVEL": "DEBUG"},
            ["info", "warning", "debug", "debug", "warning", "info"],
        ),
        (
            {"PREFECT_LOGGING_ROOT_LEVEL": "WARNING"},
            ["warning", "warning", "info", "info", "warning", "warning"],
        ),
        (
            {"PREFECT_LOGGING_ROOT_LEVEL": "DEBUG", "PREFECT_SERVER_LOGGING_LEVEL": "INFO"},
            ["debug", "warning", "info", "info", "info", "debug"],
        ),
        (
            {
                "PREFECT_LOGGING_LOGGERS_PREFECT_CLIENT_LEVEL": "WARNING",
                "PREFECT_INSTRUMENTATION_LOG_LEVEL": "debug,httpx=info,a=warning",
            },
            ["debug", "info", "debug", "warning", "warning", "warning"],
        ),
    ],
    ids=["default", "prefect", "root", "server", "ours"],
)
def test_levels_of_prefect_and_ours_count(
    environ: dict[str, str], least: list[str], tmp_path: Path
) -> None:
    """Prefect's variables keep their meaning; ours is more exact."""
    found = run(INSTALL + LEVELS, tmp_path, **environ)
    names = ("shop", "httpx", "prefect.flows", "prefect.client", "prefect.server.x", "a.b")

    assert dict(zip(names, least, strict=True)) == {
        name: next(line["level"] for line in found.lines if line["logger"] == name)
        for name in names
    }
    assert [] == found.complaints


def test_level_of_a_profile_counts(tmp_path: Path) -> None:
    """Prefect's settings may come from a profile too."""
    (tmp_path / "profiles.toml").write_text(
        'active = "p"\n[profiles.p]\nPREFECT_LOGGING_LEVEL = "WARNING"\n'
    )
    code = f"{INSTALL}import prefect.main\n{SAY}"
    found = run(code, tmp_path, PREFECT_INSTRUMENTATION_LOG_LEVEL="info")

    assert "of Prefect" not in found.events
    assert "of the user" in found.events


def test_prefects_own_file_of_settings_keeps_its_handlers(tmp_path: Path) -> None:
    """Handlers of the user's in his `logging.yml` stay; Prefect's console in it is ours."""
    (tmp_path / "logging.yml").write_text(
        f"""
version: 1
disable_existing_loggers: false
formatters: {{mine: {{format: "mine|%(message)s"}}}}
handlers:
  console: {{class: prefect.logging.handlers.PrefectConsoleHandler, formatter: mine}}
  mine: {{class: logging.FileHandler, filename: {tmp_path / "mine"}, formatter: mine}}
loggers:
  shop: {{level: DEBUG, handlers: [mine, console], propagate: false}}
  twice: {{handlers: [console]}}
root: {{level: ERROR, handlers: [console, mine]}}
"""
    )
    code = f"""
    {INSTALL.strip()}
    import prefect.main
    logging.getLogger("shop").debug("one")
    logging.getLogger("other").error("two")
    logging.getLogger("other").warning("three")
    logging.getLogger("twice").error("four")
    """
    found = run(code, tmp_path, PREFECT_LOGGING_SETTINGS_PATH=str(tmp_path / "logging.yml"))

    assert (["one", "two", "four"], []) == (found.events, found.complaints)
    assert "mine|one\nmine|two\nmine|four\n" == (tmp_path / "mine").read_text()


@pytest.mark.parametrize("order", ["before", "after"])
def test_uvicorns_lines_are_ours(order: str, tmp_path: Path) -> None:
    """What Uvicorn itself would write is one line each, its access log too."""
    parts = [INSTALL, "import uvicorn\nuvicorn.Config(print)\n"]
    code = "".join(parts if order == "before" else reversed(parts))
    say = """
logging.getLogger("uvicorn.error").info("Started")
logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "1:2", "GET", "/", "1.1", 200)
uninstall()
logging.getLogger("uvicorn.error").info("Stopped")
"""
    found = run(code + say, tmp_path)

    assert ["Started", '1:2 - "GET / HTTP/1.1" 200'] == found.events
    assert ["INFO:     Stopped"] == found.complaints


def test_users_uvicorn_handlers_stay(tmp_path: Path) -> None:
    """A log configuration of the user's own is left alone."""
    code = f"""
    {INSTALL.strip()}
    import uvicorn
    uvicorn.Config(print, log_config={{
        "version": 1,
        "formatters": {{"mine": {{"format": "mine|%(message)s"}}}},
        "handlers": {{"mine": {{"class": "logging.StreamHandler", "formatter": "mine"}}}},
        "loggers": {{"uvicorn": {{"level": "INFO", "handlers": ["mine"], "propagate": False}}}},
    }})
    logging.getLogger("uvicorn.error").info("Started")
    """
    assert Written([], ["mine|Started"]) == run(code, tmp_path)


def test_threads_that_install_at_once_install_once(tmp_path: Path) -> None:
    """There is one handler, whoever was first."""
    code = f"""
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(install, [_settings.current()] * 32))
    {SAY.strip().splitlines()[0]}
    """
    assert ["of the user"] == run(code, tmp_path).events


def test_lines_may_go_to_standard_error(tmp_path: Path) -> None:
    """For who keeps standard output for something else."""
    found = run(INSTALL + SAY, tmp_path, PREFECT_INSTRUMENTATION_LOG_STREAM="stderr")

    assert ([], len(SAID)) == (found.lines, len(found.complaints))


@pytest.mark.parametrize("code", [INSTALL, f"import prefect.main\n{INSTALL}"])
def test_pattern_of_no_use_blocks_nobody(code: str, tmp_path: Path) -> None:
    """A bad pattern is told of while the first record is written, which waits for itself."""
    found = run(code + SAY, tmp_path, PREFECT_INSTRUMENTATION_REDACT_PATTERNS="(")

    assert "of the user" in found.events
    assert 1 == sum("is no regular expression" in event for event in found.events)


def test_format_is_the_settings(tmp_path: Path) -> None:
    """`logfmt` is not JSON."""
    with pytest.raises(ValueError, match="Expecting value"):
        run(INSTALL + SAY, tmp_path, PREFECT_INSTRUMENTATION_LOGS="logfmt")


def test_file_gets_the_same_lines(tmp_path: Path) -> None:
    """A file beside the stream, where one is named."""
    file = tmp_path / "log.jsonl"
    found = run(INSTALL + SAY, tmp_path, PREFECT_INSTRUMENTATION_LOG_FILE=str(file))

    assert len(found.lines) == len(file.read_text().splitlines())


def test_warnings_stay_as_they_are(tmp_path: Path) -> None:
    """`logging.captureWarnings` is the user's to switch on."""
    found = run(f"{INSTALL}import warnings\nwarnings.warn('mind', stacklevel=1)\n", tmp_path)

    assert [] == found.lines
    assert "UserWarning: mind" in found.complaints[0]
