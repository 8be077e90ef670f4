"""Write a report where it was wanted: whole, or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from prefect_exporter.report.arguments import STDOUT, bad
from prefect_exporter.report.model import Report, Severity
from prefect_exporter.report.phrases import listed
from prefect_exporter.report.words import count


def rendered(report: Report, form: str) -> str:
    """Return a report in one of its formats: html, md or json."""
    # Each draws with libraries of its own, which the others do not need.
    if form == "html":
        from prefect_exporter.report.rendering import html  # noqa: PLC0415 - see above

        return html.render(report)
    if form == "json":
        from prefect_exporter.report.rendering import jsontext  # noqa: PLC0415 - see above

        return jsontext.render(report)
    from prefect_exporter.report.rendering import markdown  # noqa: PLC0415 - see above

    return markdown.render(report)


def told(report: Report, outputs: Iterable[str]) -> str:
    """Return one line for whoever made a report: how much there is to mend, and where it stands."""
    high = sum(each.severity is Severity.HIGH for each in report.findings)
    files = [each for each in outputs if each != STDOUT]
    where = f", in {listed(files, len(files))}" if files else ""
    return f"{count(len(report.findings), 'finding')}, {high:,} of them high{where}"


def write(output: str, text: str) -> None:
    """Write a text to a file that its owner alone may read, or to standard output.

    Raises:
        BadSettings: The file cannot be written.
    """
    body = text.encode(errors="replace")
    if output == STDOUT:
        sys.stdout.buffer.write(body if body.endswith(b"\n") else body + b"\n")
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe: root, as in a container, would put a file in its place.
            path.write_bytes(body)
        else:
            _replace(path, body)
    except OSError as error:
        bad("--output", output, f"cannot be written: {error.strerror}")


def _replace(path: Path, body: bytes) -> None:
    # Made with the mode 0600, and beside it, so that it can take its place at once.
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
