"""What of the Helm chart is made from other files: its copies, its schema and its README."""

from __future__ import annotations

from generated import ROOT

CHART = ROOT / "deploy" / "helm" / "prefect-observability"
