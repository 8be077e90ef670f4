"""Which process of several reads a target: the same answer in each of them, without asking.

A target belongs to the shard that draws the highest number for its name (rendezvous hashing), so
one more shard takes targets over and moves none between the others. Pure.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from prefect_exporter.values import Accept, whole

MOST_SHARDS = 1000

# Three digits at most: the random end of a Deployment's pod, five letters or digits, never fits.
_INDEX = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?-)?(0|[1-9][0-9]{0,2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of *total* processes that part the targets among them; *index* counts from 0.

    Raises:
        ValueError: There is no shard of that index; the text names both settings.
    """

    index: int = 0
    total: int = 1

    def __post_init__(self) -> None:
        """Refuse an index that would own nothing, or something twice."""
        if not 0 <= self.index < self.total:
            raise ValueError(
                f"PREFECT_EXPORTER_SHARD is {self.index}, but PREFECT_EXPORTER_SHARDS is "
                f"{self.total}; give a shard from 0 to {self.total - 1}"
            )

    def owns(self, target_name: str) -> bool:
        """Return whether this shard reads the target of that name."""
        return owner(target_name, self.total) == self.index


def owner(target_name: str, shards: int) -> int:
    """Return the index of the shard that reads a target; it depends on these two alone."""
    return max(range(shards), key=lambda shard: _drawn(target_name, shard))


def _drawn(target_name: str, shard: int) -> bytes:
    # Changing a byte of this moves targets between running ledgers: golden values guard it.
    name = target_name.encode(errors="surrogatepass")
    return hashlib.blake2b(b"%d/%b" % (shard, name), digest_size=8).digest()


def _index(text: str) -> int:
    found = _INDEX.fullmatch(text)
    if found is None:
        raise ValueError("does not end in an index below 1000")
    return int(found[1])


SHARD = Accept(
    "an index, such as 2, or a StatefulSet pod's name, such as prefect-exporter-2", _index
)
SHARDS = whole(1, MOST_SHARDS)
