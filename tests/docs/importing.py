"""Run modules one by one, each in a process of its own, and print as JSON how each one failed.

``python -m docs.importing FILE ...``; what takes long to import is imported once, before.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback

import prefect  # noqa: F401 - for all of them

import prefect_instrumentation  # noqa: F401 - as above


def _problem(file: str) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            runpy.run_path(file, run_name="page")
        except BaseException:  # noqa: BLE001 - whatever it is belongs into the report
            os.write(writing, traceback.format_exc()[-2000:].encode())
        # Nothing is exported, and no thread is waited for.
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        problem = told.read()
    os.waitpid(child, 0)
    return problem


if __name__ == "__main__":
    print(json.dumps({file: _problem(file) for file in sys.argv[1:]}))
