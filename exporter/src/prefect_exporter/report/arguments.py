"""The values of the command's options, as people write them; a wrong one is one plain line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from prefect_exporter.durations import parse_duration
from prefect_exporter.environment import BadSettings
from prefect_exporter.moments import DAY, SECOND, micros

LONGEST_US = 400 * DAY
STDOUT = "-"

_ENDINGS = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md", ".json": "json"}


class OneLine(click.Command):
    """A command whose wrong options are told as wrong settings are: one line, exit code 2."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:  # noqa: ANN401 - the parent's
        """Parse the arguments.

        Raises:
            BadSettings: One of them cannot be used.
        """
        try:
            return super().make_context(*args, **more)
        except click.BadParameter as error:
            option = error.param.opts[-1] if error.param else ""
            raise BadSettings((f"{option}: {error.message.rstrip('.')}".strip(": "),)) from None
        except click.UsageError as error:
            problem = error.format_message().rstrip(".")
            raise BadSettings((f"{problem}; prefect-exporter report --help shows all",)) from None


def bad(option: str, value: object, problem: str) -> NoReturn:
    """Say what is wrong with an option's value.

    Raises:
        BadSettings: Always.
    """
    raise BadSettings((f"{option} {value!r} {problem}",))


def moment_of(option: str, text: str, now_us: int) -> int:
    """Return the time that *text* names: RFC 3339, or a duration before now.

    Raises:
        BadSettings: It is neither.
    """
    try:
        return now_us - round(parse_duration(text) * SECOND)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        bad(option, text, "is neither a duration such as 7d nor a time such as 2026-11-01T00:00Z")
    if at.tzinfo is None:
        bad(option, text, f"names no time zone; write {text}Z for UTC")
    return micros(at)


def prices_of(texts: Iterable[str]) -> Mapping[str, float]:
    """Return prices by name, from ``NAME=PRICE``.

    Raises:
        BadSettings: One of them is not like that.
    """
    prices = {}
    for text in texts:
        name, _, price = text.rpartition("=")
        try:
            told = float(price)
        except ValueError:
            told = math.nan
        if not name or not 0 <= told < math.inf:
            bad("--price-pool", text, "is no name with a price; write it as gpu-pool=2.50")
        prices[name] = told
    return prices


def price_of(option: str, price: float) -> float:
    """Return a price.

    Raises:
        BadSettings: It is no number, or without end.
    """
    if not math.isfinite(price):
        bad(option, price, "is no price; write it as 0.05")
    return price


def text_of(option: str, text: str) -> str:
    """Return a name.

    Raises:
        BadSettings: It has bytes that are no UTF-8, so nothing in Prefect can be called so.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        bad(option, text, "is not UTF-8")
    return text


def format_of(output: str, wanted: str | None) -> str:
    """Return the format of an output: what is wanted, else by its ending, else Markdown.

    Raises:
        BadSettings: Its ending says nothing.
    """
    if wanted or output == STDOUT:
        return wanted or "md"
    ending = Path(output).suffix.lower()
    if ending not in _ENDINGS:
        bad("--output", output, "ends in neither .html nor .md nor .json; say --format too")
    return _ENDINGS[ending]


def check_output(output: str) -> None:
    """Say before anything is read that a file cannot be written.

    Raises:
        BadSettings: Its folder does not exist, it is a folder itself, or no name for a file.
    """
    if output == STDOUT:
        return
    path = Path(output)
    try:
        if path.is_dir():
            bad("--output", output, "is a folder; name a file in it")
        if not path.absolute().parent.is_dir():
            bad("--output", output, f"cannot be written: there is no folder {str(path.parent)!r}")
    except OSError as error:
        bad("--output", output, f"cannot be written: {error.strerror}")
