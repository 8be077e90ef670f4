"""What a Prefect engine tells about a run: frozen values, and who listens to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Run:
    """A flow run or task run as its engine starts it.

    Args:
        kind: which of the two it is.
        id: of the run, a UUID's text.
        name: of the run, such as `crimson-otter`.
        function: what the user decorated; the engine calls it once an attempt.
        flow: name of the flow, or of the flow that the task belongs to; "" for a task without.
        flow_run_id: of the flow run, "" for a task without; equal to `id` for a flow run.
        task: name of the task, "" for a flow run.
        tags: of the run, in no order.
        parameters: of this call, by name. Values are the user's: nobody reads them unasked.
        labels: of the run.
        enclosing_labels: nearest first, of the runs around this one that another process has
            started; empty if they are of this process.
        in_process: another run of this process encloses this one.
        generator: the run's code is suspended at each `yield`.
        background: the task was started by `.delay()`.
        flow_id, deployment_id, deployment, work_pool, work_queue: "" where there is none.
        waited: seconds between the run's creation and this start.
        url: of a flow run's page for people.
        flow_run_tags: of the flow run that a task run belongs to, which mostly say who owns it.
        run_count: how often the run was started before, over all processes.
    """

    kind: Literal["flow", "task"]
    id: str
    name: str
    function: Callable[..., object]
    flow: str
    flow_run_id: str
    flow_run_name: str
    task: str
    tags: tuple[str, ...]
    parameters: Mapping[str, object]
    labels: Mapping[str, object]
    enclosing_labels: tuple[Mapping[str, object], ...]
    in_process: bool
    generator: bool
    background: bool
    flow_id: str
    deployment_id: str
    deployment: str
    work_pool: str
    work_queue: str
    waited: float
    url: str = ""
    flow_run_tags: tuple[str, ...] = ()
    run_count: int = 0


FAILING = frozenset({"FAILED", "CRASHED", "CANCELLED", "CANCELLING"})
"""Types of the states of which no good comes."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A state that the run has entered, in Prefect's words: `COMPLETED`, `Cached`, ..."""

    type: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run stood when its engine let go of it; its state need not be a final one.

    Args:
        state: as Prefect has it, or as it will have it where a runner sets it later.
        attempts: how often the run was started, over all processes.
        error: what the user's code or the engine raised, if anything.
    """

    state: StateChange
    attempts: int
    error: BaseException | None

    @property
    def is_failure(self) -> bool:
        """Whether the run did not do what it was meant to do."""
        return self.error is not None or self.state.type in FAILING or self.state.name == "NotReady"


class RunObserver(Protocol):
    """Hears of one run. No method may raise; whoever calls it guards against it all the same."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What other processes need to know of this run; goes onto the run's record."""

    def resumed(self) -> None:
        """The run's own code goes on in this context: at its start, and after each yield."""

    def suspended(self) -> None:
        """The run's own code stops in this context: at its end, and at each yield."""

    def changed(self, state: StateChange) -> None:
        """The run has entered a state."""

    def raised(self, error: BaseException) -> None:
        """An attempt has raised."""

    def renamed(self, name: str) -> None:
        """The run has got its custom name."""

    def ended(self, outcome: Outcome | None) -> None:
        """The engine has let go of the run, nobody knows how if None; nothing more comes."""


class Observer(Protocol):
    """Hears of every run of this process."""

    def started(self, run: Run) -> RunObserver | None:
        """A run starts now, in this context; None to hear no more of it."""

    def outgoing(self) -> Mapping[str, str]:
        """Labels for a flow run that this context is about to create."""

    def flush(self) -> bool:
        """Send what is held, for the process is about to be killed.

        Takes a second at most. Returns whether everything has arrived.
        """
