"""What several sections and checks ask of one workspace is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from prefect_exporter.report.workspace import Workspace

AnswerT = TypeVar("AnswerT")
MoreP = ParamSpec("MoreP")


def remembered(
    work: Callable[Concatenate[Workspace, MoreP], AnswerT],
) -> Callable[Concatenate[Workspace, MoreP], AnswerT]:
    """Remember what *work* answers of a workspace and some hashable values, while that lives.

    What it answers must be frozen or left alone: all who ask get the same.
    """
    known: WeakKeyDictionary[Workspace, dict[Hashable, AnswerT]] = WeakKeyDictionary()

    @wraps(work)
    def answer(workspace: Workspace, /, *more: MoreP.args, **named: MoreP.kwargs) -> AnswerT:
        answers = known.setdefault(workspace, {})
        key = (more, tuple(sorted(named.items())))
        if key not in answers:
            answers[key] = work(workspace, *more, **named)
        return answers[key]

    return answer
