"""The only package that knows Prefect's internals; contract tests ask each version for them."""

from prefect_instrumentation._prefect.engines import instrument, uninstrument
from prefect_instrumentation._prefect.secret_blocks import unwatch as unwatch_secrets
from prefect_instrumentation._prefect.secret_blocks import watch as watch_secrets

__all__ = ["instrument", "uninstrument", "unwatch_secrets", "watch_secrets"]
