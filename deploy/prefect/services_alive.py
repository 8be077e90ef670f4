"""Tell whether this container's background services live: a check for healthcheck.sh.

`prefect server services start` answers no HTTP. The event loop that all services share writes a
heartbeat into the sorted set `prefect:workers` every other second, as `<host name>#<process id>`.
Exit codes: 0 there is one, 1 there was none lately, 2 Redis does not answer, or refuses.

Start it through entrypoint.sh, which brings the password. It speaks to Redis itself: importing the
client takes a second of processor time, and this runs all day.
"""  # noqa: INP001  # run by its path

from __future__ import annotations

import os
import socket
import sys
import time
from urllib.parse import unquote, urlsplit

_MOST_SECONDS = 30


def alive() -> bool:
    """Return whether a process of this host has had a heartbeat lately.

    Raises:
        OSError: Redis cannot be asked, or it refuses, as it does while it loads its file.
    """
    redis = urlsplit(os.environ["PREFECT_SERVER_DOCKET_URL"])
    since = str(time.time() - _MOST_SECONDS)
    with socket.create_connection((redis.hostname or "", redis.port or 6379), timeout=3) as wire:
        wire.sendall(
            _command("AUTH", unquote(redis.username or ""), unquote(redis.password or ""))
            + _command("SELECT", redis.path.strip("/") or "0")
            + _command("ZRANGEBYSCORE", "prefect:workers", since, "+inf")
            + _command("QUIT")
        )
        answer = wire.makefile("rb").read()
    if not answer.startswith(b"+OK\r\n+OK\r\n*"):
        raise ConnectionError(answer.decode(errors="replace")[:100])
    return f"\r\n{socket.gethostname()}#".encode() in answer


def _command(*words: str) -> bytes:
    encoded = (word.encode() for word in words)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded)


def main() -> int:
    """Return the exit code, and say why it is not 0."""
    try:
        if alive():
            return 0
    except OSError as error:
        print(f"Redis does not say: {error}")
        return 2
    print(f"no heartbeat for {_MOST_SECONDS} s")
    return 1


if __name__ == "__main__":
    sys.exit(main())
