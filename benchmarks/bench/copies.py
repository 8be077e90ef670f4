"""Many series out of few: copies of real ones under other names, with a history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_COUNTED = ("_total", "_bucket", "_count", "_sum")
# What says whose a series is; a copy is somebody else's.
_NAMES = ("flow", "deployment", "task", "limit")


class Copies:
    """Series that rise evenly from 0 at *since*, and have the values of *text* at *now*.

    Args:
        text: What an exporter showed at *now*.
        number: How many series there are to be at least; nothing is left out for it.
        since: Unix time.
        now: Unix time.
    """

    def __init__(self, text: str, number: int, *, since: float, now: float) -> None:
        families = text_string_to_metric_families(text)
        samples = copied([each for family in families for each in family.samples], number)
        self._since = since
        self._now = now
        self._counted = [_pair(each) for each in samples if each.name.endswith(_COUNTED)]
        others = [each for each in samples if not each.name.endswith(_COUNTED)]
        self._times = [_pair(each) for each in others if each.name.endswith("_timestamp_seconds")]
        self._steady = [
            _pair(each) for each in others if not each.name.endswith("_timestamp_seconds")
        ]

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._counted) + len(self._times) + len(self._steady)

    def lines(self, at: float, *, stamp: str = "") -> Iterator[str]:
        """Yield each series with its value at the Unix time *at*, then *stamp*."""
        grown = (at - self._since) / (self._now - self._since)
        for series, value in self._counted:
            yield f"{series} {value * grown}{stamp}\n"
        for series, value in self._times:
            yield f"{series} {value + at - self._now}{stamp}\n"
        for series, value in self._steady:
            yield f"{series} {value}{stamp}\n"


def copied(samples: Sequence[Sample], number: int) -> Sequence[Sample]:
    """Return *samples* and, under other names, so many copies that there are *number* of them."""
    owned = [each for each in samples if any(each.labels.get(name) for name in _NAMES)]
    copies = -(-max(0, number - len(samples)) // max(len(owned), 1))
    return [*samples, *(_renamed(each, copy) for copy in range(copies) for each in owned)]


def _renamed(sample: Sample, copy: int) -> Sample:
    renamed = {key: f"{sample.labels[key]}-{copy:03d}" for key in _NAMES if sample.labels.get(key)}
    return sample._replace(labels={**sample.labels, **renamed})


def _pair(sample: Sample) -> tuple[str, float]:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
    return f"{sample.name}{{{pairs}}}", sample.value


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
