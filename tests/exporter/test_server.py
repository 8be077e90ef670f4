"""The HTTP routes: what each answers, to whom, and with which headers."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from fronts import FAILING, NOW, SAFE, STARTING, WORKING, FakeService, ask_of, status
from prefect_exporter.exposition import Page
from prefect_exporter.routes import METRICS, PAGE
from prefect_exporter.server import OPENMETRICS_TYPE, TEXT_TYPE, Auth, create_app
from prefect_exporter.status import Configuration, Status, TargetStatus

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BASIC = Auth(basic=SecretStr("me:pässword"))
BEARER = Auth(bearer=SecretStr("token-1"))
UI = "http://127.0.0.1:4200"
LINKS = ("report", "runbooks", "status.json", "healthz", "readyz")
BOTH = Auth(basic=SecretStr("me:pässword"), bearer=SecretStr("token-1"))


def plain(page: Page) -> bytes:
    """Return a page as it was before it was zipped."""
    return b"".join(page.pieces())


def ask(
    service: FakeService,
    path: str,
    *,
    auth: Auth | None = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Return the answer to one request."""
    app = create_app(service, auth=auth or Auth())
    return ask_of(app, path, method=method, headers=headers)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT_TYPE),
        ("*/*", TEXT_TYPE),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT_TYPE),
        (PROMETHEUS_ACCEPT, OPENMETRICS_TYPE),
        ("application/openmetrics-text", OPENMETRICS_TYPE),
        ("application/openmetrics-text, text/plain", OPENMETRICS_TYPE),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS_TYPE),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.7", TEXT_TYPE),
        ("application/openmetrics-text;q=0", TEXT_TYPE),
        ("application/openmetrics-text;version=2.0.0", TEXT_TYPE),
        ("application/openmetrics-text;q=much", TEXT_TYPE),
        (";,=;q=,;;", TEXT_TYPE),
    ],
)
def test_metrics_come_in_the_format_that_is_preferred(accept: str, expected: str) -> None:
    """OpenMetrics answers those who prefer it by name, text everyone else."""
    service = FakeService()

    answer = ask(service, "/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})

    assert expected == answer.headers["content-type"]
    is_openmetrics = expected == OPENMETRICS_TYPE
    body = service.published.openmetrics if is_openmetrics else service.published.text
    assert plain(body) == answer.content


@pytest.mark.parametrize(
    ("encoding", "zipped"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("", False), ("br", False)],
)
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_metrics_are_zipped_only_where_asked(encoding: str, zipped: bool, accept: str) -> None:  # noqa: FBT001 - a table's column
    """Gzip comes by `Accept-Encoding`, and `Vary` tells caches so."""
    service = FakeService()

    answer = ask(service, "/metrics", headers={"Accept": accept, "Accept-Encoding": encoding})

    assert ("gzip" if zipped else None) == answer.headers.get("content-encoding")
    assert "Accept, Accept-Encoding" == answer.headers["vary"]
    expected = service.published.text if "plain" in accept else service.published.openmetrics
    assert plain(expected) == answer.content


def test_whole_answer_is_reported_once() -> None:
    """The front learns which publication a scraper was sent."""
    service = FakeService()

    ask(service, "/metrics")

    assert [7] == service.scrapes


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_answer_without_metrics_is_not_reported(method: str) -> None:
    """A request that gets no metrics is no scrape."""
    service = FakeService()

    ask(service, "/metrics", method=method)

    assert [] == service.scrapes


def test_refused_scrape_is_not_reported() -> None:
    """A scraper without its credential has seen nothing."""
    service = FakeService()

    ask(service, "/metrics", auth=BASIC)

    assert [] == service.scrapes


def test_scraper_that_hangs_up_is_not_reported() -> None:
    """A scraper that is gone before the end of the body has not seen it."""
    service = FakeService()
    app = create_app(service, auth=Auth())
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "scheme": "http",
        "server": ("exporter", 80),
        "client": ("scraper", 1),
        "http_version": "1.1",
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))

    assert plain(service.published.text) == sent[1]["body"]
    assert [] == service.scrapes


def test_health_asks_nobody() -> None:
    """`/healthz` answers while no collector has ever worked, and without a credential."""
    answer = ask(FakeService(now=status(STARTING, FAILING)), "/healthz", auth=BOTH)

    assert (200, "ok\n") == (answer.status_code, answer.text)


def test_ready_when_every_required_collector_is_fresh() -> None:
    """A collector that is not required does not hold readiness up."""
    optional = replace(STARTING, name="deployments", required=False)

    answer = ask(FakeService(now=status(WORKING, optional)), "/readyz", auth=BOTH)

    assert (200, "ready\n") == (answer.status_code, answer.text)


def test_unready_names_each_collector_and_why() -> None:
    """`/readyz` says in one line each which required collector is not fresh, but no error text."""
    answer = ask(FakeService(now=status(WORKING, STARTING, FAILING)), "/readyz", auth=BOTH)

    assert 503 == answer.status_code
    assert [
        "default/flow_runs: has not read Prefect yet",
        "default/task_runs: last read Prefect 32 min ago (unauthorized)",
    ] == answer.text.splitlines()


@pytest.mark.parametrize("path", ["/", "/metrics"])
@pytest.mark.parametrize(
    ("auth", "authorization", "expected"),
    [
        (Auth(), None, 200),
        (BASIC, None, 401),
        (BASIC, "Basic bWU6cMOkc3N3b3Jk", 200),
        (BASIC, "basic  bWU6cMOkc3N3b3Jk", 200),
        (BASIC, "Basic bWU6d3Jvbmc=", 401),
        (BASIC, "Basic ", 401),
        (BASIC, "Bearer bWU6cMOkc3N3b3Jk", 401),
        (BASIC, "Bearer", 401),
        (BEARER, "Bearer token-1", 200),
        (BEARER, "Bearer token-2", 401),
        (BEARER, "Basic token-1", 401),
        (BEARER, "Bearer tök", 401),
        (BOTH, "Bearer token-1", 200),
        (BOTH, "Basic bWU6cMOkc3N3b3Jk", 200),
        (BOTH, "Digest x", 401),
        (BOTH, "", 401),
    ],
)
def test_credential_guards_metrics_and_page(
    path: str, auth: Auth, authorization: str | None, expected: int
) -> None:
    """`/metrics` and `/` let in whoever knows one of the credentials that are set."""
    headers = {} if authorization is None else {"Authorization": authorization}

    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(FakeService(), auth=auth))
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            return await client.get(path, headers=raw)

    assert expected == asyncio.run(exchange()).status_code


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (BASIC, 'Basic realm="prefect-exporter", charset="UTF-8"'),
        (BEARER, 'Bearer realm="prefect-exporter"'),
        (
            BOTH,
            'Basic realm="prefect-exporter", charset="UTF-8", Bearer realm="prefect-exporter"',
        ),
    ],
    ids=["basic", "bearer", "both"],
)
def test_refusal_says_what_would_let_in(auth: Auth, expected: str) -> None:
    """A 401 names the schemes that are set, and shows no credential."""
    answer = ask(FakeService(), "/", auth=auth)

    assert (401, expected) == (answer.status_code, answer.headers["www-authenticate"])
    assert "Unauthorized\n" == answer.text


def test_credentials_are_in_no_repr() -> None:
    """The object that holds the credentials does not show them."""
    assert "token-1" not in repr(BOTH)
    assert "pässword" not in repr(BOTH)


@pytest.mark.parametrize("path", ["/nothing", "/docs", "/openapi.json", "/redoc", "/metrics/"])
def test_unknown_path_is_a_plain_404(path: str) -> None:
    """There is nothing else, and no API documentation of the framework's."""
    answer = ask(FakeService(), path)

    assert (404, "Not Found\n") == (answer.status_code, answer.text)


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz"])
def test_head_answers_as_get(path: str) -> None:
    """HEAD is answered on every route with the headers of GET."""
    got = ask(FakeService(), path)
    head = ask(FakeService(), path, method="HEAD")

    assert 200 == head.status_code
    assert got.headers["content-type"] == head.headers["content-type"]
    assert "content-length" in head.headers


@pytest.mark.parametrize(
    ("expected", "method", "path", "auth"),
    [
        (200, "GET", "/metrics", Auth()),
        (200, "HEAD", "/metrics", Auth()),
        (200, "GET", "/healthz", Auth()),
        (200, "GET", "/readyz", Auth()),
        (404, "GET", "/readyz?target=no", Auth()),
        (404, "GET", "/nothing", Auth()),
        (405, "POST", "/metrics", Auth()),
        (401, "GET", "/metrics", BASIC),
        (401, "GET", "/", BEARER),
    ],
)
def test_every_answer_tells_browsers_to_keep_out(
    expected: int, method: str, path: str, auth: Auth
) -> None:
    """No answer, a refusal included, may be sniffed, kept, framed or read by another site."""
    answer = ask(FakeService(), path, method=method, auth=auth)

    assert expected == answer.status_code
    assert SAFE == {name: answer.headers.get(name) for name in SAFE}
    assert "strict-transport-security" not in answer.headers


def test_page_has_the_same_headers_and_a_policy_of_its_own() -> None:
    """The page differs in its content policy alone, which forbids framing too."""
    headers = ask(FakeService(), "/").headers

    same = SAFE.keys() - {"content-security-policy"}
    assert {name: SAFE[name] for name in same} == {name: headers.get(name) for name in same}
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_defect_is_a_plain_500() -> None:
    """An error that nobody expected shows nothing of itself, under the same headers."""

    class Broken(FakeService):
        def status(self) -> Status:
            raise ZeroDivisionError("hunter2")

    answer = ask(Broken(), "/")

    assert (500, "Internal Server Error\n") == (answer.status_code, answer.text)
    assert SAFE == {name: answer.headers.get(name) for name in SAFE}


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz"])
def test_other_methods_are_told_which_there_are(path: str) -> None:
    """A 405 names both methods."""
    answer = ask(FakeService(), path, method="DELETE")

    expected = (405, "GET, HEAD", "Method Not Allowed\n")
    assert expected == (answer.status_code, answer.headers["allow"], answer.text)


@pytest.mark.parametrize(
    ("parts", "found"),
    [((METRICS,), {METRICS}), ((PAGE,), {PAGE}), ((METRICS, PAGE), {METRICS, PAGE})],
    ids=["metrics", "page", "both"],
)
def test_parts_are_served_apart(parts: tuple[str, ...], found: set[str]) -> None:
    """What is not among the parts is not there; the health answers always are."""
    paths = (METRICS, PAGE, "/healthz", "/readyz")
    app = create_app(FakeService(), auth=Auth(), parts=parts)
    answers = {path: ask_of(app, path).status_code for path in paths}

    expected = {path: 200 if path in found else 404 for path in (METRICS, PAGE)}
    assert {**expected, "/healthz": 200, "/readyz": 200} == answers


def test_page_links_to_no_metrics_elsewhere() -> None:
    """Where metrics are bound apart, the page has no link that would lead to nothing."""
    text = ask_of(create_app(FakeService(), auth=Auth(), parts=(PAGE,)), "/").text

    assert {"#main", UI, *LINKS} == set(re.findall(r'href="([^"]+)"', text))


TWO = replace(
    status(WORKING, replace(FAILING, target="cloud")),
    targets=(
        TargetStatus("default", "http://127.0.0.1:4200/api", "3.8.8"),
        TargetStatus("cloud", "https://api.prefect.cloud", None),
    ),
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (503, "cloud/task_runs: last read Prefect 32 min ago (unauthorized)\n")),
        ("?target=default", (200, "ready\n")),
        ("?target=cloud", (503, "cloud/task_runs: last read Prefect 32 min ago (unauthorized)\n")),
        ("?target=other", (404, "no target is called 'other'\n")),
        ("?target=", (404, "no target is called ''\n")),
        ("?target=%C3%A9", (404, "no target is called '\\xe9'\n")),
        ("?target=%0Aready%1B%E2%80%AE", (404, "no target is called '\\nready\\x1b\\u202e'\n")),
        ("?target=" + "x" * 5_000, (404, f"no target is called '{'x' * 63}'\n")),
    ],
    ids=["all", "ready", "not ready", "unknown", "empty", "foreign", "control", "long"],
)
def test_readiness_of_one_target(query: str, expected: tuple[int, str]) -> None:
    """`/readyz?target=` asks of one target alone; an unknown one is one short, plain line."""
    answer = ask(FakeService(now=TWO), f"/readyz{query}", auth=BOTH)

    assert expected == (answer.status_code, answer.text)


def test_page_groups_collectors_by_target_worst_first() -> None:
    """With several targets the one that fails comes first and is open; each has its own words."""
    text = ask(FakeService(now=TWO), "/").text

    heads = re.findall(r'<details id="collectors-(\w+)"( open)?>\n<summary>(.*)</summary>', text)
    said = [(name, opened, re.sub("<[^>]+>", "", words)) for name, opened, words in heads]
    assert [
        ("cloud", " open", "cloud: 1 collector 1 of 1 collectors fails"),
        ("default", "", "default: 1 collector Everything works"),
    ] == said


def test_page_tells_a_configuration_that_cannot_be_used() -> None:
    """Each problem of a new configuration stands on the page, with the age of what goes on."""
    problems = ("targets.yaml:3: no <name>", "targets.yaml:9: no url")
    broken = Configuration(NOW - timedelta(hours=3), problems)

    text = ask(FakeService(now=replace(status(WORKING), configuration=broken)), "/").text

    assert "</span>The new configuration cannot be used</span></h3>" in text
    assert "What was read 3 h ago goes on." in text
    assert "<li>targets.yaml:3: no &lt;name&gt;</li>" in text
    assert "<li>targets.yaml:9: no url</li>" in text


def test_page_is_silent_about_a_good_configuration() -> None:
    """Where nothing is wrong with the configuration nothing is said of it."""
    assert "configuration" not in ask(FakeService(), "/").text


def test_lacking_collector_alarms_nobody() -> None:
    """What the server does not have stands last, and the headline says that all works."""
    lacking = replace(STARTING, name="automations", required=False, succeeded=None, supported=False)

    text = ask(FakeService(now=status(lacking, WORKING)), "/").text

    assert "</span>Everything works</span></h3>" in text
    assert '<td class="state off">Not supported by this server</td>' in text
    assert text.index("<code>flow_runs<") < text.index("<code>automations<")


def test_page_lets_nothing_in_but_its_own_style_and_script() -> None:
    """The page's policy allows one style and one script, by a nonce that no other answer has."""
    first, second = ask(FakeService(), "/"), ask(FakeService(), "/")
    policies = [answer.headers["content-security-policy"] for answer in (first, second)]
    nonces = [re.findall("'nonce-([^']+)'", policy) for policy in policies]

    nonce = nonces[0][0]
    assert (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ) == policies[0]
    assert [f'<style nonce="{nonce}">'] == re.findall("<style[^>]*>", first.text)
    assert [f'<script nonce="{nonce}">'] == re.findall("<script[^>]*>", first.text)
    assert not set(nonces[0]) & set(nonces[1])
    assert not re.search(r"<[^>]* (style|on\w+)=", first.text)


def test_page_shows_what_fails_first_and_what_to_do() -> None:
    """A failure stands above the tables once, with a mend, each error and what that stops."""
    also = replace(FAILING, name="task_run_audit")
    third = replace(FAILING, name="flow_runs", error="flow_runs/filter: HTTP status 401")
    text = ask(FakeService(now=status(WORKING, FAILING, also, third)), "/").text

    assert "3 of 4 collectors fail" in text
    told = "task_runs/filter: HTTP status 401 (stops task_run_audit, task_runs)"
    assert (
        text.index("Check PREFECT_API_KEY")
        < text.index(told)
        < text.index('<h2 id="targets-title"')
    )
    assert "flow_runs/filter: HTTP status 401 (stops flow_runs)" in text
    assert 1 == text.count("Prefect refuses the credentials")


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("internal", "The exporter itself fails"),
        ("unprocessable", "Prefect does not take what it is asked"),
        ("ledger", "The ledger cannot be written"),
        ("rejected", "Prefect gives no usable answer"),
    ],
)
def test_page_blames_who_is_at_fault(kind: str, title: str) -> None:
    """The head of a failure says whether Prefect, the exporter or its disk is at fault."""
    text = ask(FakeService(now=status(replace(FAILING, error_kind=kind))), "/").text

    assert title in text


@pytest.mark.parametrize(
    ("collector", "headline", "state"),
    [
        (WORKING, "Everything works", "Works"),
        (STARTING, "Waiting for the first values", "First poll is running"),
        (FAILING, "1 of 1 collectors fails", "Fails"),
        (
            replace(FAILING, fresh=True),
            "1 of 1 collectors fails",
            "Fails; last values still hold",
        ),
        (
            replace(FAILING, error_kind="waiting", error="waits for flow_runs"),
            "Waiting for the first values",
            "Waits for another collector",
        ),
        (
            replace(WORKING, fresh=False, required=False),
            "Some collectors are overdue",
            "Overdue",
        ),
    ],
    ids=["works", "starts", "fails", "fails fresh", "waits", "overdue"],
)
def test_page_says_each_state_in_words(collector: object, headline: str, state: str) -> None:
    """Every state of a collector has words of its own, and so has the whole."""
    service = FakeService()
    service.now = replace(service.now, collectors=(collector,))  # type: ignore[arg-type]  # a table's column

    text = ask(service, "/").text

    assert f"</span>{headline}</span></h3>" in text
    assert f">{state}</td>" in text


def test_page_shows_the_figures_of_the_process() -> None:
    """The page tells the server, ages, sizes and counts in units for people."""
    text = ask(FakeService(), "/").text

    for shown in (
        "http://127.0.0.1:4200/api",
        "3.8.8",
        "started 2 h ago",
        "4 s ago",
        "84 ms",
        "12,345",
        "18,452",
        "46.1 MiB",
        "/var/lib/prefect-exporter/ledger.sqlite",
    ):
        assert shown in text
    assert {"#main", UI, "metrics", *LINKS} == set(re.findall(r'href="([^"]+)"', text))


def test_hostile_names_stay_text() -> None:
    """Markup in an error, a name, an address or a path is shown, never run."""
    evil = "<script>alert(1)</script>\"'><img src=x>"
    collector = replace(FAILING, name=evil, target=evil, error=evil, error_kind=evil)
    now = status(collector, replace(WORKING, target="b"))
    target = replace(now.targets[0], name=evil, url=evil, server_version=evil)
    now = replace(now, targets=(target, target), version=evil, ledger_path=evil)

    text = ask(FakeService(now=now), "/").text

    assert 1 == text.count("<script")
    assert "<img" not in text
    assert text.count("&lt;script&gt;") >= 8


def test_unseen_characters_are_spelled_out() -> None:
    """What would reorder or hide text, or is no UTF-8 at all, is shown as its escape."""
    hidden = "a\u202eb\x00c\x1bd\udcffe\u2028f"
    now = replace(status(replace(FAILING, error=hidden)), ledger_path=hidden)

    answer = ask(FakeService(now=now), "/")

    assert 200 == answer.status_code
    assert 2 == answer.text.count(r"a\u202eb\x00c\x1bd\udcffe\u2028f")


def test_clock_that_went_back_is_no_age() -> None:
    """A last success in the future, after the clock was set back, reads as just now."""
    ahead = replace(WORKING, last_success=NOW + timedelta(hours=1))

    assert '<td class="short">just now</td>' in ask(FakeService(now=status(ahead)), "/").text


def test_zipped_body_holds_the_same_metrics() -> None:
    """The ready gzip bytes are sent as they are."""
    service = FakeService()

    async def raw() -> bytes:
        transport = httpx.ASGITransport(create_app(service, auth=Auth()))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://exporter") as client,
            client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as answer,
        ):
            return b"".join([part async for part in answer.aiter_raw()])

    sent = asyncio.run(raw())

    assert service.published.text.zipped == sent
    assert plain(service.published.text) == gzip.decompress(sent)
