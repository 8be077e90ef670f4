"""For Prefect's plugin system: every process with the package is instrumented, without code.

`PREFECT_PLUGINS_ENABLED=1` turns plugins on (Prefect 3.4 and 3.6:
`PREFECT_EXPERIMENTS_PLUGINS_ENABLED=1`). Prefect calls the hook while `prefect` is imported.
"""

from __future__ import annotations

import pluggy

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<1"

# The name under which Prefect builds its plugin manager, in every version so far.
_hook = pluggy.HookimplMarker("prefect-experimental")


@_hook
def setup_environment(*, ctx: object) -> None:  # noqa: ARG001 - the hook's own signature
    """Instrument this process; the SDK is imported when the first run starts."""
    from prefect_instrumentation._setup import plug_in  # noqa: PLC0415 - not for a mere look

    plug_in()
