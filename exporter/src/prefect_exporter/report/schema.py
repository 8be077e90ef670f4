"""The JSON schema of a report: ``python -m prefect_exporter.report.schema`` prints it.

docs/report.schema.json is that output.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import msgspec

from prefect_exporter.report.model import SCHEMA_VERSION, Report


def schema() -> dict[str, Any]:
    """Return the schema, in the dialect of JSON Schema 2020-12."""
    described = msgspec.json.schema(Report)
    for definition in described["$defs"].values():
        definition["description"] = inspect.cleandoc(definition["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Report of prefect-exporter, version {SCHEMA_VERSION}",
        **described,
    }


def main() -> None:
    """Print the schema."""
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
