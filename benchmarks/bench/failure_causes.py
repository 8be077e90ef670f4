"""Failures of known causes: messages that vary, tracebacks of real shape, and who is who."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect_exporter.failures.model import Failed
from prefect_exporter.moments import DAY, SECOND

CAUSES = 200
_FLOWS = 40
_RAISED, _TWINS, _WORDY, _STATES = 100, 20, 20, 40
"""Causes of each kind; the rest raise too, but their logs are nowhere."""

_TYPES = (
    *("ValueError", "KeyError", "shop.errors.OrderRejected", "httpx.ConnectError", "TypeError"),
    *(
        "sqlalchemy.exc.OperationalError",
        "FileNotFoundError",
        "RuntimeError",
        "json.JSONDecodeError",
    ),
)
_SAYING = (
    *("order {int} of {uuid} has no customer", "no answer from {url} within {float} s"),
    *("row {int}: bad value '{int}' for column", "file /data/{date}/part-{int}.csv is not there"),
    *("host db-{int}.prod.internal ({ip}) refused", "user {email} is locked since {time}"),
    *("job {hex} ended with status {int}", "batch {uuid}: {int} of {int} rows"),
)
_STATE_SAYING = (
    *(
        "Flow run process exited with non-zero status code {int}.",
        "pod {pod} was evicted at {time}",
    ),
    *("Flow run exceeded timeout of {float} second(s)", "{int}/{int} states failed."),
    *("Job {uuid} vanished from node {ip}", "no capacity in {pod} after {int} attempts"),
)
_NAMES = ("Ada", "Alan", "Anita", "Barbara", "Donald", "Edsger", "Grace", "Guido", "Hedy", "Ken")
_SITE = "/usr/local/lib/python3.12/site-packages"
_ENGINE = "".join(
    f'  File "{_SITE}/prefect/{file}", line {line}, in {function}\n    {code}\n'
    for file, line, function, code in (
        ("flow_engine.py", 2111, "run_flow_sync", "engine.call_flow_fn()"),
        ("flow_engine.py", 1350, "call_flow_fn", "result = call_with_parameters(self.flow.fn)"),
        ("utilities/callables.py", 356, "call_with_parameters", "return fn(*args, **kwargs)"),
    )
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why runs fail.

    Args:
        kind: Full name of the error's class; "" where nothing is raised.
        saying: What the message is made of.
        functions: Where it is raised, outermost first; none where no log tells.
    """

    number: int
    flow: str
    kind: str
    saying: str
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planted:
    """A failure whose cause is known."""

    failed: Failed
    cause: Cause

    @property
    def text(self) -> str:
        """Its traceback; "" without one."""
        cause = self.cause
        if not cause.functions:
            return ""
        message = self.failed.message.partition(": ")[2].partition(": ")[2]
        file = f"/opt/prefect/run-{self.failed.name}/flows.py"
        own = "".join(
            f'  File "{file}", line 7, in {each}\n    step(order)\n' for each in cause.functions
        )
        return (
            f"Encountered exception during execution: {cause.kind}('...')\n"
            f"Traceback (most recent call last):\n{_ENGINE}{own}{cause.kind}: {message}"
        )


def causes(chance: random.Random) -> list[Cause]:
    """Return as many causes as there are."""
    found = [_cause(number, chance) for number in range(CAUSES)]
    twins = range(_RAISED, _RAISED + _TWINS)
    # One message that two places raise: only the traceback tells them apart.
    for number in twins:
        other = found[number - _RAISED]
        functions = (*other.functions[:-1], f"{other.functions[-1]}_again")
        found[number] = Cause(number, other.flow, other.kind, other.saying, functions)
    return found


def _cause(number: int, chance: random.Random) -> Cause:
    flow = f"flow-{number % _FLOWS}"
    place = number - _RAISED - _TWINS
    if 0 <= place - _WORDY < _STATES:
        return Cause(number, flow, "", f"{_word(number)}: {chance.choice(_STATE_SAYING)}")
    saying = f"{_word(number)}: {chance.choice(_SAYING)}"
    if 0 <= place < _WORDY:
        saying = f"{_word(number)} of {{name}} for {{name}} was refused"
    functions = (flow.replace("-", "_"), "load", f"check_{number}")
    is_told = place < _WORDY
    return Cause(number, flow, chance.choice(_TYPES), saying, functions if is_told else ())


def failures(number: int, seed: int = 7) -> Iterator[Planted]:
    """Yield failures of a day; a few causes have most of them, as they do in life."""
    chance = random.Random(seed)
    every = causes(chance)
    weights = [1 / (1 + place) for place in range(len(every))]
    chance.shuffle(weights)
    picked: Sequence[Cause] = chance.choices(every, weights, k=number - len(every))
    for cause in (*every, *picked):
        yield Planted(_failed(cause, chance), cause)


def _failed(cause: Cause, chance: random.Random) -> Failed:
    said = cause.saying.format_map(_Values(chance))
    short = cause.kind.rpartition(".")[2]
    message = f"Flow run encountered an exception: {short}: {said}" if short else said
    state = ("FAILED", "Failed") if short else ("CRASHED", "Crashed")
    ended_us = 20_000 * DAY + chance.randrange(86_400) * SECOND
    run_id = chance.randbytes(16)
    return Failed(run_id, run_id.hex()[:8], cause.flow, "nightly", *state, message, ended_us)


class _Values(dict[str, str]):
    """A value of each kind, another one each time."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def __getitem__(self, kind: str) -> str:
        chance = self._chance
        number = chance.randrange(1, 10 ** chance.randrange(1, 9))
        uuid = UUID(bytes=chance.randbytes(16))
        date = f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        return {
            "int": str(number),
            "float": f"{chance.random() * 100:.2f}",
            "uuid": str(uuid),
            "hex": uuid.hex[:16],
            "url": f"https://api-{number}.shop.com/v1/orders/{number}?page={number}",
            "ip": ".".join(str(chance.randrange(256)) for _ in range(4)),
            "email": f"{chance.choice(_NAMES).lower()}{number}@example.com",
            "date": date,
            "time": f"{date}T{chance.randrange(24):02}:{chance.randrange(60):02}:07.123456Z",
            "pod": f"etl-{uuid.hex[:10]}-{''.join(chance.choices('bcdfghjklm2456789', k=5))}",
            "name": chance.choice(_NAMES),
        }[kind]


def _word(number: int) -> str:
    """Return a word that is the cause's own, without a digit."""
    letters = "bcdfghklmn"
    return "".join(letters[int(digit)] + "aeiou"[int(digit) % 5] for digit in f"{number:03}") + "x"
