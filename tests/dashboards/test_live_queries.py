"""Every query of every dashboard is run against a demo, and shows something or has a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from live_boards import asked, busy_demo, missing, needless, refused, settled, unchoosable
from live_reasons import CHOICES, REASONS
from pictures.asking import Answer, Ask, over_http
from pictures.boards import every_board

# The fixture's time counts for the first test that asks for it.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

_BOARDS = every_board()
# The windows of hours and days are recorded every two minutes, and lag by three.
_WITHIN_SECONDS = 600


@pytest.fixture(name="sources", scope="module")
def _sources() -> Iterator[Mapping[str, Ask]]:
    """Who can be asked: the Prometheus of a demo."""
    with busy_demo() as parts:
        assert parts.prometheus is not None
        yield {"prometheus": over_http(parts.prometheus.url)}


@pytest.fixture(name="answers", scope="module")
def _answers(sources: Mapping[str, Ask]) -> Sequence[Answer]:
    """What all dashboards show when they are opened, once the demo has gone on for a while."""
    return settled(_BOARDS, sources, REASONS, _WITHIN_SECONDS)


def test_every_query_has_data(answers: Sequence[Answer]) -> None:
    """No panel and no annotation is empty, but for what the table of reasons names."""
    empty = missing(answers, REASONS)

    assert [] == empty, "\n".join(empty)


def test_every_query_is_understood(answers: Sequence[Answer]) -> None:
    """Prometheus takes each of them, and each variable in it is one of the dashboard's."""
    assert {} == refused(answers)


def test_every_reason_is_needed(answers: Sequence[Answer]) -> None:
    """What has data by now is no longer excused."""
    assert [] == needless(answers, REASONS)


@pytest.mark.usefixtures("answers")
def test_every_query_is_understood_for_single_values(sources: Mapping[str, Ask]) -> None:
    """So does it where somebody has chosen one target, team, flow or pool."""
    assert {} == refused(asked(_BOARDS, sources, everything=False))


@pytest.mark.usefixtures("answers")
def test_every_variable_has_values(sources: Mapping[str, Ask]) -> None:
    """There is something to choose from, but where only the Compose stack has it."""
    assert CHOICES == unchoosable(_BOARDS, sources["prometheus"])
