"""Each rule on sources that it is for, on near misses, and on sources that are in order."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from prefect_exporter.report.code import examine, findings
from prefect_exporter.report.model import Finding

ROOT = Path(__file__).parents[3]
INSTRUMENTED = "import prefect_instrumentation\n"

SWALLOWS = """
    from prefect import task as job

    @job(retries=3)
    def load(rows):
        try:
            write(rows)
        except Exception:  # ! code-exception-swallowed
            print("it did not work")
"""
WAITS = """
    import requests
    import prefect

    @prefect.task(retries=2)
    def fetch(url):
        return requests.get(url).json()  # ! code-network-timeout-missing
"""
HANGS = """
    import httpx
    from prefect import flow, task

    @task(retries=2)
    async def fetch(url):
        async with httpx.AsyncClient(timeout=None) as client:  # ! code-network-timeout-missing
            return await client.get(url)

    @flow(name="night shift")
    async def nightly():  # ! code-timeout-missing
        await httpx.post("https://example.com", timeout=5)
"""
ONCE = """
    import urllib.request as web
    from prefect.tasks import task

    @task
    def fetch(url):  # ! code-retries-missing
        return web.urlopen(url, None, 10).read()
"""
TABLES = """
    import pandas as pd
    from prefect import flow, task

    @task
    def read(path):
        table = pd.read_parquet(path)
        return table

    @task
    def count(table):
        return len(table)

    @flow
    def counting(path):
        rows = read.submit(path)
        return count(rows)  # ! code-large-data-passed
"""
ONE_BY_ONE = """
    from prefect import flow, task

    @task
    def load(name, retries):
        return name

    @flow
    def loading(names):
        for name in names:
            load(name, 3)  # ! code-parallelism-missing
        kept = []
        for name in names:
            kept.append(load(name, retries=3))  # ! code-parallelism-missing
        return [load(name, 3) for name in names]  # ! code-parallelism-missing
"""
ONE_AWAITED = """
    from prefect import flow, task

    @task
    async def load(name):
        return name

    @flow
    async def loading(names):
        for name in names:
            await load(name)  # ! code-parallelism-missing
"""
SAME_AGAIN = """
    import httpx
    from prefect import flow, task

    @task(retries=1, timeout_seconds=5)
    def rates(currency):
        return httpx.get(f"https://example.com/{currency}").json()

    @flow
    def converting(amounts):
        for amount in amounts:
            rate = rates("EUR")  # ! code-cache-missing
            print(amount * rate)
"""

# With whose they are, by check; the lines that are to be told of say so themselves.
PLANTED = {
    "swallows": (SWALLOWS, ["flows.py"]),
    "waits": (WAITS, ["flows.py"]),
    "hangs": (HANGS, ["flows.py", "night shift"]),
    "once": (ONCE, ["flows.py"]),
    "tables": (TABLES, ["counting"]),
    "one by one": (ONE_BY_ONE, ["loading"]),
    "one awaited": (ONE_AWAITED, ["loading"]),
    "same again": (SAME_AGAIN, ["converting"]),
}

CLEAN = {
    "raises again": """
        from prefect import task

        @task(retries=3)
        def load(rows):
            try:
                write(rows)
            except Exception:
                print("once more")
                raise
    """,
    "no retries": """
        from prefect import task

        @task
        def load(rows):
            try:
                write(rows)
            except Exception:
                pass
    """,
    "retries of nothing": """
        from prefect import task

        @task(retries=0)
        def load(rows):
            try:
                write(rows)
            except Exception:
                pass
    """,
    "one kind only": """
        from prefect import task

        @task(retries=3)
        def load(rows):
            try:
                write(rows)
            except FileExistsError:
                pass
    """,
    "says that it failed": """
        from prefect import task
        from prefect.states import Failed

        @task(retries=3)
        def load(rows):
            try:
                write(rows)
            except Exception as error:
                return Failed(message=str(error))
    """,
    "only clears up": """
        from prefect import task

        @task(retries=3)
        def load(rows):
            connection = connect()
            send(connection, rows)
            commit(connection)
            try:
                connection.close()
            except Exception:
                pass
    """,
    "tries again itself": """
        from prefect import task

        @task(retries=3)
        def load(rows):
            for _ in range(5):
                try:
                    return write(rows)
                except Exception:
                    pass
            raise RuntimeError
    """,
    "another function's": """
        from prefect import task

        @task(retries=3)
        def load(rows):
            def careful():
                try:
                    write(rows)
                except Exception:
                    pass
            careful()
    """,
    "bounded": """
        import requests
        from prefect import flow, task

        OPTIONS = {"timeout": 3}

        @task(retries=2)
        def fetch(url):
            requests.get(url, timeout=3)
            requests.get(url, **OPTIONS)

        @task(retries=2, timeout_seconds=60)
        def slow(url):
            return requests.get(url)

        @flow(timeout_seconds=600)
        def all(url):
            fetch(url)
            slow(url)
    """,
    "options from elsewhere": """
        import httpx
        from prefect import task

        DEFAULTS = {"retries": 3}

        @task(**DEFAULTS)
        def fetch(url):
            return httpx.get(url)

        @task
        def post(url):
            return httpx.post(url)

        post_often = post.with_options(retries=5)
    """,
    "tries again by a library": """
        import httpx
        import stamina
        from prefect import task

        @task
        @stamina.retry(on=httpx.HTTPError)
        def fetch(url):
            return httpx.get(url)
    """,
    "tried again whole": """
        import httpx
        from prefect import flow, task

        @task
        def fetch(url):
            return httpx.get(url)

        @flow(retries=2, timeout_seconds=60)
        def fetching(url):
            fetch(url)
    """,
    "paths, not tables": """
        import pandas as pd
        from prefect import flow, task

        @task
        def read(path):
            table = pd.read_parquet(path)
            table.describe().to_csv("/tmp/described")
            return "/tmp/described"

        @task
        def count(path):
            return len(pd.read_csv(path))

        @flow
        def counting(path):
            described = read(path)
            return count(described)
    """,
    "its own read_csv": """
        from prefect import flow, task

        def read_csv(path):
            return path

        @task
        def read(path):
            return read_csv(path)

        @task
        def count(table):
            return len(table)

        @flow
        def counting(path):
            return count(read(path))
    """,
    "at once": """
        from prefect import flow, task

        @task
        def load(name):
            return name

        @flow
        def loading(names):
            futures = [load.submit(name) for name in names]
            load.map(names)
            return [future.result() for future in futures]
    """,
    "each takes the one before": """
        from prefect import flow, task

        @task
        def step(total, name):
            return total + name

        @flow
        def stepping(names):
            total = 0
            for name in names:
                total = step(total, name)
            steps = {}
            for name in names:
                steps[name] = step(steps, name)
    """,
    "gathered": """
        import asyncio
        from prefect import flow, task

        @task
        async def load(name):
            return name

        @flow
        async def loading(names):
            return await asyncio.gather(*[load(name) for name in names])
    """,
    "polls until it is there": """
        import time
        from prefect import flow, task

        @task
        def look(attempt):
            return False

        @flow
        def waiting():
            for attempt in range(9):
                if look(attempt):
                    break
                time.sleep(1)
    """,
    "cached": """
        import httpx
        from prefect import flow, task
        from prefect.cache_policies import INPUTS

        @task(retries=1, timeout_seconds=5, cache_policy=INPUTS)
        def rates(currency):
            return httpx.get("https://example.com").json()

        @flow
        def converting(amounts):
            for amount in amounts:
                rate = rates("EUR")
                print(amount * rate)
    """,
    "writes the same again": """
        import httpx
        from prefect import flow, task

        @task(retries=1, timeout_seconds=5)
        def beat(name):
            return httpx.post("https://example.com/beats")

        @flow
        def beating(times):
            for time in times:
                answer = beat("a")
                print(time, answer)
    """,
    "another library's names": """
        from dagster import flow, task
        import requests

        @task(retries=3)
        def load(rows):
            try:
                requests.get(rows)
            except Exception:
                pass
    """,
    "no flow at all": "import requests\nrequests.get('https://example.com')\n",
}


def found(folder: Path, text: str, *, instrumented: bool = True) -> list[Finding]:
    """Return what is found in one file, instrumented unless a test wants it otherwise."""
    folder.mkdir(exist_ok=True)
    # Not in the file itself, so that lines keep their numbers.
    (folder / "setup.py").write_text(INSTRUMENTED if instrumented else "")
    (folder / "flows.py").write_text(dedent(text).lstrip("\n"))
    found = findings([folder])
    assert all(each.evidence[0].source.startswith(str(folder)) for each in found)
    return list(found)


def marked(text: str) -> list[tuple[str, str]]:
    """Return the checks and places that a text says of itself."""
    lines = enumerate(text.lstrip("\n").splitlines(), 1)
    marks = ((line.partition("# ! ")[2], f"flows.py:{number}") for number, line in lines)
    return [(check, place) for check, place in marks if check]


@pytest.mark.parametrize("name", PLANTED)
def test_planted_defect_is_found(tmp_path: Path, name: str) -> None:
    """With its file and line, whose it is, and no other finding beside it."""
    text, subjects = PLANTED[name]
    told = found(tmp_path, text)

    assert subjects == [each.subject.removeprefix(f"{tmp_path}/") for each in told]
    assert marked(text) == [
        (each.check, evidence.source.removeprefix(f"{tmp_path}/"))
        for each in told
        for evidence in each.evidence
    ]


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_invented(tmp_path: Path, name: str) -> None:
    """What is near a rule, and no defect, is not told."""
    assert [] == found(tmp_path, CLEAN[name])


@pytest.mark.parametrize("name", PLANTED)
def test_finding_says_how_it_is_mended(tmp_path: Path, name: str) -> None:
    """Each has a change, a risk and a way back, and belongs to the risks."""
    for each in found(tmp_path, PLANTED[name][0]):
        assert "risks" == each.section
        assert each.action.change
        assert each.action.risk
        assert each.action.rollback
        assert each.detail
        assert "{" not in each.title


def test_decorator_is_written_out_as_it_ought_to_be(tmp_path: Path) -> None:
    """What it was given stays."""
    text = ONCE.replace("@task", "@task(tags=['web'], name='fetch it')")

    (finding,) = found(tmp_path, text)
    assert (
        "@task(tags=['web'], name='fetch it', retries=3, retry_delay_seconds=[1, 10, 60])"
        "  # def fetch"
    ) == finding.action.change


def test_flows_without_instrumentation_are_told_once(tmp_path: Path) -> None:
    """One finding for a path, however many flows there are."""
    text = "from prefect import flow\n" + "".join(
        f"@flow\ndef f{number}():\n    pass\n" for number in range(20)
    )

    (finding,) = found(tmp_path, text, instrumented=False)
    assert ("code-uninstrumented", str(tmp_path)) == (finding.check, finding.subject)
    assert "20 flows" in finding.evidence[0].text


@pytest.mark.parametrize("name", ["Dockerfile", "pyproject.toml", "requirements-flows.txt"])
def test_instrumentation_may_be_installed_elsewhere(tmp_path: Path, name: str) -> None:
    """What builds the image names it."""
    (tmp_path / name).write_text("prefect-instrumentation==1.0\n")

    assert [] == found(tmp_path, "from prefect import flow\n@flow\ndef f(): ...\n")
    assert [] == found(
        tmp_path, "from prefect import flow\n@flow\ndef f(): ...\n", instrumented=False
    )


def test_many_places_are_one_finding(tmp_path: Path) -> None:
    """Five of them stand as evidence, and the number of all."""
    calls = "\n".join("        requests.get(url)" for _ in range(9))
    text = f"""
    import requests
    from prefect import task

    @task(retries=1)
    def fetch(url):
{calls}
    """

    (finding,) = found(tmp_path, text)
    assert 5 == len(finding.evidence)
    assert "9 calls" in finding.title
    assert 1 == finding.action.change.count("\n") + 1


def test_our_own_examples_swallow_nothing() -> None:
    """The demo's flows and the traced examples are in order as far as rules can see."""
    told = examine([ROOT / "examples"])

    assert [] == [(each.check, each.subject, each.evidence[0].source) for each in told.findings]
    assert [] == list(told.notes)
