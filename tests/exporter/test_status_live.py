"""The whole way: a real Prefect, a real exporter, its page, its failures, a scheduled report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from browsers import Browser
from demo.processes import free_port
from prefect_exporter.reports import Reports
from report.planting import Planter, still_server

pytestmark = pytest.mark.timeout(300)

DEADLINE_SECONDS = 90
MESSAGE = "Flow run encountered an exception: ConnectionError: crm password=hunter2 refused"


@dataclass(frozen=True)
class Exporter:
    """An exporter that reads a Prefect in which a deployment fails and a pool has no worker."""

    url: str
    ui: str
    failed: tuple[str, ...]
    reports: Path

    def until(self, path: str, good: Callable[[httpx.Response], bool]) -> httpx.Response:
        """Return the first answer that is good."""
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                answer = httpx.get(f"{self.url}{path}", trust_env=False)
                if good(answer):
                    return answer
            time.sleep(0.2)
        pytest.fail(f"{path} does not answer as it ought to")


@pytest.fixture(name="exporter", scope="module")
def _exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    folder = tmp_path_factory.mktemp("exporter")
    address = f"127.0.0.1:{free_port()}"
    clean = {name: text for name, text in os.environ.items() if "PREFECT" not in name}
    with still_server() as server:
        with Planter(server) as planter:
            flow = planter.flow("sync-crm")
            planter.pool("reports")
            deployment = planter.deployment(flow, "hourly", cron="0 * * * *", pool="reports")
            ends = [
                planter.run(flow, deployment, ended_ago=60.0 * ago, state="Failed", message=MESSAGE)
                for ago in range(5, 9)
            ]
        # The last one is of yesterday, so one was missed.
        reports = Reports(folder / "reports")
        reports.folder.mkdir()
        yesterday = datetime.now(UTC) - timedelta(days=1, minutes=1)
        reports.path("default", yesterday, "html").write_text("of yesterday")
        env = clean | {
            "PREFECT_API_URL": server.api_url,
            "PREFECT_EXPORTER_LISTEN_ADDRESS": address,
            "PREFECT_EXPORTER_STATE_PATH": str(folder / "ledger"),
            "PREFECT_EXPORTER_POLL_INTERVAL": "1s",
            "PREFECT_EXPORTER_COLLECTORS": "late_causes=1s",
            "PREFECT_EXPORTER_REPORT_SCHEDULE": "0 0 * * *",
        }
        command = [sys.executable, "-m", "prefect_exporter", "serve"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=env, stderr=log)
        try:
            ui = server.api_url.removesuffix("/api")
            failed = tuple(map(str, ends))
            yield Exporter(f"http://{address}", ui, failed, folder / "reports")
            assert "Traceback" not in (folder / "log").read_text()
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def test_page_of_a_real_prefect_tells_what_is_wrong(exporter: Exporter, browser: Browser) -> None:
    """The page names what stands still, the pool without a worker, and what fails."""
    known = exporter.until("/status.json", _is_known).json()

    # The server has no scheduler, so the runs that are due are not made.
    assert "Stalled" == known["verdict"]["word"]
    with browser.visit(exporter.url) as visit:
        page = visit.page
        expect(page.locator("h1")).to_have_text("Stalled")
        expect(page.locator("#work")).to_contain_text("no runs are made: scheduler behind")
        expect(page.locator("#work")).to_contain_text("prefect server services start")
        expect(page.locator("#failing")).to_contain_text("sync-crm/hourly")
        expect(page.locator("#pools")).to_contain_text("no worker")
        newest = page.locator("#failures a").first
        expect(newest).to_have_attribute(
            "href", f"{exporter.ui}/runs/flow-run/{exporter.failed[0]}"
        )
        expect(page.locator("#alike")).to_contain_text("ConnectionError")
        assert "hunter2" not in page.content()
        assert [] == visit.errors
        assert [] == visit.barriers()


def _is_known(answer: httpx.Response) -> bool:
    if not answer.is_success:
        return False
    parts = answer.json()
    names = ("work", "pools", "failing", "failures", "alike")
    listed = parts["failing"]["total"] > 0 and parts["work"]["total"] > 0
    return listed and all(parts[name]["known"] == "known" for name in names)


def test_failures_of_a_real_prefect_are_one_group(exporter: Exporter) -> None:
    """Four runs that failed alike are one group, with links to them and without the password."""
    answer = exporter.until("/api/failures", lambda answer: answer.is_success)
    document = json.loads(answer.content)

    assert [4] == [group["count"] for group in document["groups"]]
    assert set(exporter.failed) == {row["run"]["id"] for row in document["recent"]}
    assert "hunter2" not in answer.text


def test_missed_report_is_made_and_served(exporter: Exporter, browser: Browser) -> None:
    """The report that was due while the exporter was down is made, served, and readable."""
    exporter.until("/report", lambda answer: answer.is_success and "sync-crm" in answer.text)
    document = exporter.until("/report.json", lambda answer: answer.is_success).json()
    exporter.until("/report.md", lambda answer: answer.is_success)
    metrics = exporter.until(
        "/metrics",
        lambda answer: 'prefect_exporter_report_success{target="default"}' in answer.text,
    )

    assert "default" == document["scope"]["target"]
    assert 'prefect_exporter_report_success{target="default"} 1.0' in metrics.text
    assert {".html", ".md", ".json"} == {path.suffix for path in exporter.reports.iterdir()}
    with browser.visit(f"{exporter.url}/report") as visit:
        expect(visit.page.locator("h1")).to_be_visible()
        assert [] == visit.errors
