"""Which calls wait for the network, and which of them may wait for ever. Data, and pure readers."""

from __future__ import annotations

import ast

from prefect_exporter.report.code.sources import Source, keywords

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request")

WAITS = frozenset(
    {
        *(f"requests.{verb}" for verb in _VERBS),
        *(f"httpx.{verb}" for verb in (*_VERBS, "stream")),
        "aiohttp.request",
        "boto3.client",
        "boto3.resource",
        "ftplib.FTP",
        "paramiko.SSHClient",
        "psycopg.connect",
        "psycopg2.connect",
        "pymysql.connect",
        "smtplib.SMTP",
        "smtplib.SMTP_SSL",
        "snowflake.connector.connect",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
    }
)
"""Calls that ask another machine."""

# httpx waits five seconds by itself; requests and urllib for ever.
_FOR_EVER = frozenset({*(f"requests.{verb}" for verb in _VERBS), "urllib.request.urlopen"})
_UNLESS_NONE = frozenset(
    {*(f"httpx.{verb}" for verb in (*_VERBS, "stream")), "httpx.Client", "httpx.AsyncClient"}
)
# Position of the timeout among the arguments of those that take it without its name.
_POSITION = {"urllib.request.urlopen": 2}

RETRYING = ("backoff", "retry", "retrying", "stamina", "tenacity", "urllib3.util")
"""Packages by which code tries again by itself."""


def waits(source: Source, call: ast.Call) -> bool:
    """Return whether a call asks another machine."""
    return source.called(call) in WAITS


def waits_for_ever(source: Source, call: ast.Call) -> bool:
    """Return whether a call has no bound of time."""
    name, given = source.called(call), keywords(call)
    if "" in given:
        return False
    timeout = given.get("timeout")
    if name in _UNLESS_NONE:
        return isinstance(timeout, ast.Constant) and timeout.value is None
    if name not in _FOR_EVER or len(call.args) > _POSITION.get(name, len(call.args)):
        return False
    if any(isinstance(each, ast.Starred) for each in call.args):
        return False
    return timeout is None or (isinstance(timeout, ast.Constant) and timeout.value is None)
