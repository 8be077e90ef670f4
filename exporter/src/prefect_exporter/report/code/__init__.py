"""What the sources of flows show that no run does, read as text and never imported.

``files`` finds them, ``sources`` says which functions are flows and tasks, ``rules`` judge them.
Everything stands in the code as it is told; what only the running program knows is left alone.
"""

from __future__ import annotations

from prefect_exporter.report.code.examining import Examined, examine, findings

__all__ = ["Examined", "examine", "findings"]
