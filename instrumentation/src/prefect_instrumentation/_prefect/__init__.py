"""The only package that knows Prefect's internals; contract tests ask each version for them."""

from prefect_instrumentation._prefect.engines import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
