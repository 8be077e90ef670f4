"""What a client asks for in its ``Accept`` headers. Pure."""

from __future__ import annotations


def prefers_openmetrics(accept: str) -> bool:
    """Return whether an ``Accept`` header asks for OpenMetrics by name, rather than for text."""
    wanted = weights(accept)
    offered = (
        wanted.get("application/openmetrics-text", 0),
        wanted.get("application/openmetrics-text;version=1.0.0", 0),
    )
    text = max(wanted.get("text/plain", 0), wanted.get("text/plain;version=0.0.4", 0))
    return max(offered) > 0 and max(offered) >= text


def weights(header: str) -> dict[str, float]:
    """Return the weight of each choice in an ``Accept`` header, named with its version."""
    found: dict[str, float] = {}
    for choice in header.lower().split(","):
        name, *parameters = (part.strip().replace('"', "") for part in choice.split(";"))
        given = dict(part.split("=", 1) for part in parameters if "=" in part)
        try:
            weight = float(given.get("q", "1"))
        except ValueError:
            weight = 0.0
        name += f";version={given['version']}" if "version" in given else ""
        found[name] = max(weight, found.get(name, 0.0))
    return found
