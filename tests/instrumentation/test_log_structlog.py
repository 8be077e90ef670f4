"""structlog's loggers go the way of all records, unless the user has configured structlog."""

from __future__ import annotations

import pytest

from log_records import written

USERS = "structlog.configure(processors=[structlog.processors.JSONRenderer()])"
ONCE = "structlog.configure_once(processors=[structlog.processors.JSONRenderer()])"
IF_NOT = f"if not structlog.is_configured(): {USERS}"


def test_keys_are_the_events_own() -> None:
    """Bound keys, context variables and the call's own are all there; the name is the module's."""
    found = written(
        """
        install(_settings.current())
        import structlog
        structlog.contextvars.bind_contextvars(customer="c-1")
        log = structlog.get_logger().bind(cart=3)
        log.info("order taken", order=7, deep={"sku": ["egg"]})
        structlog.get_logger("shop").warning("low on %s", "eggs")
        """
    )

    assert [
        {"customer": "c-1", "cart": 3, "order": 7, "deep": {"sku": ["egg"]}},
        {"customer": "c-1"},
    ] == [{name: line[name] for name in list(line)[4:]} for line in found.lines]
    assert [
        ("info", "order taken", "__main__"),
        ("warning", "low on eggs", "shop"),
    ] == [(line["level"], line["event"], line["logger"]) for line in found.lines]
    assert [] == found.complaints


def test_logger_made_before_is_bridged_too() -> None:
    """Whether structlog or we are imported first does not matter."""
    found = written(
        """
        import structlog
        log = structlog.get_logger("shop")
        install(_settings.current())
        log.info("order taken", order=7)
        """
    )

    assert [("order taken", 7)] == [(line["event"], line["order"]) for line in found.lines]


def test_message_is_readable_text_without_secrets() -> None:
    """Prefect's API and a user's handlers show one readable line, once, with his own place."""
    found = written(
        """
        install(_settings.current())
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(funcName)s|%(message)s"))
        logging.getLogger().addHandler(handler)
        import structlog
        def shop():
            log = structlog.get_logger()
            log.info("order taken", order=7, note="two words", deep={"a": 1}, token="hunter22-abc")
            try:
                1 / 0
            except ZeroDivisionError:
                log.exception("oops", order=8)
        shop()
        """
    )

    assert [
        "shop|order taken order=7 note='two words' deep={\"a\":1} token=[redacted]",
        "shop|oops order=8",
        "Traceback (most recent call last):",
    ] == found.complaints[:3]
    assert "ZeroDivisionError" == found.lines[1]["error.type"]
    assert "hunter22" not in str(found)


def test_levels_are_those_of_logging() -> None:
    """A record that its logger does not want is not made."""
    found = written(
        """
        install(_settings.current())
        import structlog
        structlog.get_logger("shop").debug("one")
        structlog.get_logger("loud").debug("two")
        """,
        PREFECT_INSTRUMENTATION_LOG_LEVEL="loud=debug",
    )

    assert ["two"] == found.events


@pytest.mark.parametrize("configure", [USERS, ONCE, IF_NOT], ids=["configure", "once", "if not"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_users_configuration_stays(configure: str, order: str) -> None:
    """Whoever configures structlog himself has it as he says, from structlog's defaults on."""
    parts = ["install(_settings.current())", f"import structlog\n{configure}"]
    code = "\n".join(parts if order == "after" else reversed(parts))
    found = written(f"{code}\nstructlog.get_logger().info('order taken', order=7)\n")

    assert [{"event": "order taken", "order": 7}] == found.lines
    assert [] == found.complaints


def test_users_own_chain_through_logging_is_understood() -> None:
    """Keys of his `ProcessorFormatter` chain are on our line, and his handler is as it was."""
    found = written(
        """
        install(_settings.current())
        import structlog
        structlog.configure(
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        handler = logging.StreamHandler()
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(processor=structlog.processors.KeyValueRenderer())
        )
        logging.getLogger("shop").addHandler(handler)
        structlog.get_logger("shop").info("order taken", order=7)
        """
    )
    (line,) = found.lines

    assert ("order taken", 7) == (line["event"], line["order"])
    assert ["time", "level", "event", "logger", "order"] == list(line)
    assert "event='order taken'" in found.complaints[0]


def test_context_may_be_added_to_a_users_chain() -> None:
    """The processor gives his events the correlation id, and keeps what he has said."""
    found = written(
        """
        import structlog
        from prefect_instrumentation._correlation import correlation
        from prefect_instrumentation._logs.structlog_bridge import add_context
        structlog.configure(processors=[add_context, structlog.processors.JSONRenderer()])
        with correlation("req-1"):
            structlog.get_logger().info("one")
            structlog.get_logger().info("two", correlation_id="his")
        """
    )

    assert ["req-1", "his"] == [line["correlation_id"] for line in found.lines]


def test_defaults_come_back() -> None:
    """After `uninstall` structlog prints as it does by itself; no logger has another class."""
    found = written(
        """
        class Mine(logging.Logger): pass
        logging.setLoggerClass(Mine)
        import structlog
        before = structlog.get_config()["processors"]
        configure = structlog.configure
        install(_settings.current())
        during = structlog.get_config()["processors"]
        uninstall()
        after = structlog.get_config()["processors"]
        assert [type(each) for each in before] == [type(each) for each in after]
        assert during != after
        assert structlog.configure is configure
        assert not structlog.is_configured()
        assert logging.getLoggerClass() is Mine
        """
    )

    assert [] == found.complaints


def test_structlog_is_imported_by_whoever_uses_it() -> None:
    """A process without structlog's loggers does not pay for them."""
    found = written(
        """
        install(_settings.current())
        logging.getLogger("shop").info("order taken")
        assert "structlog" not in sys.modules
        """
    )

    assert (["order taken"], []) == (found.events, found.complaints)
