"""Settings: what is accepted, what a person is told otherwise, and that no secret shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from certificates import certificate
from contexts import settings_of
from prefect_exporter import collectors
from prefect_exporter.durations import format_duration, parse_duration
from prefect_exporter.environment import BadSettings, describe, is_secret, load_settings
from prefect_exporter.settings import Settings
from prefect_exporter.values import Accept, Address

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
HIDDEN = "hunter2-do-not-show"


def problems() -> tuple[str, ...]:
    """Return what loading the settings complains of."""
    with pytest.raises(BadSettings) as caught:
        load_settings()
    return caught.value.problems


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.startswith("PREFECT_"):
            monkeypatch.delenv(name)


LONG = "\x1b[31m" + "x" * 100
URL_MEND = "give an address such as http://127.0.0.1:4200/api"
LISTEN_MEND = (
    "give host:port, such as 127.0.0.1:9877, [::1]:9877, or 0.0.0.0:9877 for every interface"
)
FILE_MEND = "give the path of a readable PEM file"
CRON_MEND = "give five fields of cron in UTC, such as 0 6 * * 1"
LABEL_MEND = "give 1 to 63 letters, digits, dots, dashes or underscores"
BUCKETS_MEND = "give 1 to 12 ascending durations, such as 0.5,10,2m,1h"

BAD = [
    ("POLL_INTERVAL", "0", "='0' is out of range; give a duration from 1s to 10m"),
    ("POLL_INTERVAL", "11m", "='11m' is out of range; give a duration from 1s to 10m"),
    (
        "SLOW_INTERVAL",
        "five",
        "='five' is not a duration; give a duration from 10s to 1d",
    ),
    ("HOLD", "-1s", "='-1s' is not a duration; give a duration from 0s to 10m"),
    ("HOLD", "nan", "='nan' is not a duration; give a duration from 0s to 10m"),
    ("AUDIT_HORIZON", "8d", "='8d' is out of range; give a duration from 10m to 7d"),
    ("PAGE_SIZE", "201", "='201' is out of range; give a whole number from 1 to 200"),
    ("PAGE_SIZE", "2e2", "='2e2' is not a whole number; give a whole number from 1 to 200"),
    (
        "REQUESTS_PER_MINUTE",
        "0",
        "='0' is out of range; give a whole number from 1 to 100000",
    ),
    (
        "COLLECTORS",
        "server",
        (
            "='server' says nothing of server; "
            "give name=interval or name=off, such as workers=1m,automations=off"
        ),
    ),
    (
        "COLLECTORS",
        "server=0",
        (
            "='server=0' has an interval that is out of range; "
            "give name=interval or name=off, such as workers=1m,automations=off"
        ),
    ),
    (
        "TAG_LABELS",
        "team,a b",
        (
            "='team,a b' has a tag 'a b' that does not fit a label; "
            "give at most 10 keys of tags, such as team,tier"
        ),
    ),
    (
        "TAG_LABELS",
        "cost-center,cost.center",
        (
            "='cost-center,cost.center' names two tags that make one label; "
            "give at most 10 keys of tags, such as team,tier"
        ),
    ),
    (
        "FLOWS",
        "etl-*,!",
        "='etl-*,!' denies nothing; give shell patterns, such as etl-*,!etl-test-*; ! leaves out",
    ),
    ("LISTEN_ADDRESS", ":9877", f"=':9877' names no host; {LISTEN_MEND}"),
    ("LISTEN_ADDRESS", "9877", f"='9877' has no port; {LISTEN_MEND}"),
    ("LISTEN_ADDRESS", "localhost:http", f"='localhost:http' has no port; {LISTEN_MEND}"),
    (
        "LISTEN_ADDRESS",
        "127.0.0.1:70000",
        f"='127.0.0.1:70000' has a port that does not exist; {LISTEN_MEND}",
    ),
    (
        "LISTEN_ADDRESS",
        "::1:9877",
        f"='::1:9877' is an IPv6 address without its brackets, or not an address; {LISTEN_MEND}",
    ),
    (
        "LISTEN_ADDRESS",
        "http://localhost:9877",
        "='http://localhost:9877' is an IPv6 address without its brackets, or not an address; "
        + LISTEN_MEND,
    ),
    (
        "LOG_LEVEL",
        "chatty",
        "='chatty' is not known; give debug, info, warning or error",
    ),
    ("LOG_FORMAT", "xml", "='xml' is not known; give auto, json or console"),
    (
        "FAILURE_WINDOW",
        "15d",
        "='15d' is out of range; give a duration from 1h to 14d",
    ),
    ("REPORT_SCHEDULE", "0 6 * *", f"='0 6 * *' is not a cron expression; {CRON_MEND}"),
    ("REPORT_SCHEDULE", "0 6 * * 1 0", f"='0 6 * * 1 0' is not a cron expression; {CRON_MEND}"),
    ("REPORT_SCHEDULE", "0 6 30 2 *", f"='0 6 30 2 *' is not a cron expression; {CRON_MEND}"),
    ("REPORT_SCHEDULE", "61 6 * * 1", f"='61 6 * * 1' is not a cron expression; {CRON_MEND}"),
    (
        "REPORT_PATH",
        __file__,
        f"={__file__!r} is no folder; give the path of a folder on a local disk",
    ),
    (
        "TARGET",
        "a b",
        f"='a b' does not fit a label; {LABEL_MEND}",
    ),
    ("FLOW_RUN_BUCKETS", "5,1", f"='5,1' does not ascend from above 0; {BUCKETS_MEND}"),
    ("FLOW_RUN_BUCKETS", "0,1", f"='0,1' does not ascend from above 0; {BUCKETS_MEND}"),
    ("TASK_RUN_BUCKETS", "1,inf", f"='1,inf' is not a duration; {BUCKETS_MEND}"),
    (
        "START_DELAY_BUCKETS",
        "1,2,3,4,5,6,7,8,9,10,11,12,13",
        f"='1,2,3,4,5,6,7,8,9,10,11,12,13' has 13 bounds; {BUCKETS_MEND}",
    ),
    (
        "TLS_CERT_FILE",
        "/nowhere/cert.pem",
        f"='/nowhere/cert.pem' cannot be read (No such file or directory); {FILE_MEND}",
    ),
    (
        "TARGET",
        LONG,
        f"={LONG[:80]!r}… does not fit a label; {LABEL_MEND}",
    ),
    (
        "STALE_AFTER",
        "15s",
        " is not longer than PREFECT_EXPORTER_POLL_INTERVAL (15s); give at least twice that",
    ),
]


@pytest.mark.parametrize(("name", "text", "told"), BAD, ids=[f"{n}={t[:24]!r}" for n, t, _ in BAD])
def test_bad_value_gives_one_line_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, told: str
) -> None:
    """A bad value gives one line: the variable, the value, the problem, the mend."""
    monkeypatch.setenv(f"PREFECT_EXPORTER_{name}", text)

    assert (f"PREFECT_EXPORTER_{name}{told}",) == problems()


HEADERS_MEND = 'give a JSON object of texts, such as {"X-Tenant": "data"}'
BAD_SECRETS = [
    (
        "PREFECT_API_URL",
        f"http://admin:{HIDDEN}@prefect/api",
        f"holds credentials, which belong in PREFECT_API_AUTH_STRING; {URL_MEND}",
    ),
    (
        "PREFECT_API_URL",
        f"http://prefect/api?token={HIDDEN}",
        f"holds a query or a fragment; {URL_MEND}",
    ),
    (
        "PREFECT_UI_URL",
        f"http://admin:{HIDDEN}@prefect",
        (
            "holds credentials, which do not belong into a link; "
            "give an address such as http://127.0.0.1:4200"
        ),
    ),
    (
        "PREFECT_API_KEY",
        f"{HIDDEN}\nX-Evil: 1",
        "holds a space or a character that is not ASCII; give printable ASCII without spaces",
    ),
    (
        "PREFECT_API_AUTH_STRING",
        HIDDEN,
        "has no user, or no colon between user and password; give user:password",
    ),
    (
        "PREFECT_EXPORTER_BASIC_AUTH",
        f"me:{HIDDEN}\r\n",
        None,
    ),
    (
        "PREFECT_EXPORTER_BASIC_AUTH",
        f"me:{HIDDEN}\r\nx",
        "holds a control character; give user:password",
    ),
    ("PREFECT_CLIENT_CUSTOM_HEADERS", HIDDEN, f"is not JSON; {HEADERS_MEND}"),
    ("PREFECT_CLIENT_CUSTOM_HEADERS", f'["{HIDDEN}"]', f"is not a JSON object; {HEADERS_MEND}"),
    (
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        f'{{"X: y": "{HIDDEN}"}}',
        f"has a header name that HTTP does not allow; {HEADERS_MEND}",
    ),
    (
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        f'{{"X": "{HIDDEN}\\r\\nY: z"}}',
        f"has a header text with a line break or beyond ASCII; {HEADERS_MEND}",
    ),
    (
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        '{"X": 1}',
        f"has a header that is not a text; {HEADERS_MEND}",
    ),
]


@pytest.mark.parametrize(("name", "text", "told"), BAD_SECRETS)
def test_bad_secret_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, told: str | None
) -> None:
    """A bad value that may hold a secret is told by name alone; a last line break is no fault."""
    monkeypatch.setenv(name, text)

    if told is None:
        load_settings()
    else:
        assert (f"{name} {told}",) == problems()
        assert HIDDEN not in str(problems())


@pytest.mark.parametrize(
    "text", ["localhost:4200/api", "ftp://prefect/api", "http:///api", "not an address", "http://"]
)
def test_address_without_scheme_or_host_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """An API address needs http or https and a host."""
    monkeypatch.setenv("PREFECT_API_URL", text)

    assert problems()[0].startswith(f"PREFECT_API_URL={text!r} ")


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bad values give two lines, so that one look mends both."""
    monkeypatch.setenv("PREFECT_EXPORTER_PAGE_SIZE", "0")
    monkeypatch.setenv("PREFECT_EXPORTER_MAX_TASKS", "x")

    assert 2 == len(problems())


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("POLL_INTERVALL", "did you mean PREFECT_EXPORTER_POLL_INTERVAL?"),
        ("BASIC_AUT_FILE", "did you mean PREFECT_EXPORTER_BASIC_AUTH_FILE?"),
        ("PORT", "docs/configuration.md has them all"),
    ],
)
def test_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, mend: str) -> None:
    """A mistyped name of ours is an error with the nearest name, not a silent default."""
    monkeypatch.setenv(f"PREFECT_EXPORTER_{name}", "9877")

    assert (f"PREFECT_EXPORTER_{name} is not a setting; {mend}",) == problems()


def test_variables_of_kubernetes_services_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a Kubernetes service called prefect-exporter are no typos."""
    monkeypatch.setenv("PREFECT_EXPORTER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("PREFECT_EXPORTER_SERVICE_PORT", "9877")
    monkeypatch.setenv("PREFECT_EXPORTER_SERVICE_PORT_METRICS", "9877")
    monkeypatch.setenv("PREFECT_EXPORTER_PORT", "tcp://10.0.0.1:9877")
    monkeypatch.setenv("PREFECT_EXPORTER_PORT_9877_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("PREFECT_EXPORTER_HEADLESS_PORT", "tcp://10.0.0.1:9877")

    assert 15.0 == load_settings().poll_interval_seconds


def test_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`<NAME>_FILE` gives a secret, without the line break at its end."""
    file = tmp_path / "key"
    file.write_text(f"{HIDDEN}\n")
    monkeypatch.setenv("PREFECT_API_KEY_FILE", str(file))

    key = load_settings().api_key

    assert key is not None
    assert HIDDEN == key.get_secret_value()


def test_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret from both the environment and a file is an error, as either may be meant."""
    monkeypatch.setenv("PREFECT_API_KEY", HIDDEN)
    monkeypatch.setenv("PREFECT_API_KEY_FILE", str(tmp_path / "key"))

    expected = "PREFECT_API_KEY and PREFECT_API_KEY_FILE are both set; give one of them"
    assert (expected,) == problems()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read (No such file or directory); name a file that this user can read"),
        (b"", "is empty; write the secret into it"),
        (b"\xff\xfe", "is not text; name a file in UTF-8"),
        (b"x" * 70_000, "is too large for a secret; name another file"),
    ],
    ids=["missing", "empty", "binary", "large"],
)
def test_bad_secret_file_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, told: str
) -> None:
    """A secret's file that is missing, empty, no text or too large is one plain line."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("PREFECT_EXPORTER_BEARER_TOKEN_FILE", str(file))

    assert (f"PREFECT_EXPORTER_BEARER_TOKEN_FILE={str(file)!r} {told}",) == problems()


def test_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, as Compose passes for an unset one, leaves the default."""
    monkeypatch.setenv("PREFECT_EXPORTER_POLL_INTERVAL", "")
    monkeypatch.setenv("PREFECT_API_KEY", "")
    monkeypatch.setenv("PREFECT_API_KEY_FILE", "")

    settings = load_settings()

    assert (15.0, None) == (settings.poll_interval_seconds, settings.api_key)


def test_good_values_become_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text becomes seconds, numbers, truth values, addresses and bounds."""
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example:8443/api/")
    monkeypatch.setenv("PREFECT_EXPORTER_AUDIT_INTERVAL", "1m30s")
    monkeypatch.setenv("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "YES")
    monkeypatch.setenv("PREFECT_EXPORTER_COLLECTORS", "server=1m, deployments=OFF,")
    monkeypatch.setenv("PREFECT_EXPORTER_TAG_LABELS", "team, cost-center")
    monkeypatch.setenv("PREFECT_EXPORTER_LISTEN_ADDRESS", "[::1]:9000")
    monkeypatch.setenv("PREFECT_EXPORTER_FLOW_RUN_BUCKETS", "0.5, 2m, 1d")
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", f'{{"X-Tenant": "{HIDDEN}"}}')

    settings = load_settings()

    assert "https://prefect.example:8443/api" == settings.api_url
    assert 90.0 == settings.audit_interval_seconds
    assert settings.api_tls_insecure_skip_verify is True
    assert {"server": 60.0, "deployments": None} == settings.collectors
    assert ("team", "cost-center") == settings.tag_labels
    assert Address("::1", 9000) == settings.listen_address
    assert (0.5, 120.0, 86_400.0) == settings.flow_run_buckets
    assert HIDDEN == settings.connection().headers["X-Tenant"].get_secret_value()


def test_state_path_follows_the_state_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The ledger lies in XDG_STATE_HOME where that is set, else in the home folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with_state_home = load_settings().state_path
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")

    assert tmp_path / "prefect-exporter" / "ledger.sqlite" == with_state_home
    expected = Path("/home/someone/.local/state/prefect-exporter/ledger.sqlite")
    assert expected == load_settings().state_path


def test_reports_lie_beside_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are kept beside the ledger, unless another folder is named."""
    monkeypatch.setenv("PREFECT_EXPORTER_STATE_PATH", "/var/lib/prefect-exporter/ledger.sqlite")
    beside = load_settings().report_folder
    monkeypatch.setenv("PREFECT_EXPORTER_REPORT_PATH", "/srv/reports")

    assert Path("/var/lib/prefect-exporter/reports") == beside
    assert Path("/srv/reports") == load_settings().report_folder


def test_schedule_without_the_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule where reports cannot be made is an error at the start, with what to install."""
    monkeypatch.setattr("prefect_exporter.report_settings.find_spec", lambda _name: None)
    monkeypatch.setenv("PREFECT_EXPORTER_REPORT_SCHEDULE", "0 6 * * 1")

    expected = (
        "PREFECT_EXPORTER_REPORT_SCHEDULE needs what reports are made of, which is not installed; "
        "install prefect-exporter[report], or leave it out"
    )
    assert (expected,) == problems()


def test_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate without a key, or with another's, is told before anything listens."""
    cert, key = certificate(tmp_path, "a")
    _, other_key = certificate(tmp_path, "b")
    monkeypatch.setenv("PREFECT_EXPORTER_TLS_CERT_FILE", str(cert))
    alone = problems()
    monkeypatch.setenv("PREFECT_EXPORTER_TLS_KEY_FILE", str(other_key))
    unequal = problems()
    monkeypatch.setenv("PREFECT_EXPORTER_TLS_KEY_FILE", str(key))

    names = "PREFECT_EXPORTER_TLS_CERT_FILE", "PREFECT_EXPORTER_TLS_KEY_FILE"
    assert (f"{names[0]} is set without {names[1]}; give both or neither",) == alone
    expected = f"{' and '.join(names)} are no pair; give a PEM certificate and its plain key"
    assert (expected,) == unequal
    assert key == load_settings().tls_key_file


def test_file_of_authorities_must_hold_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A certificate file for Prefect that holds no certificate is told at the start."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(file))

    expected = "holds no certificate; give the path of a PEM file with certificates"
    assert (f"PREFECT_API_SSL_CERT_FILE={str(file)!r} {expected}",) == problems()


def test_no_text_of_the_settings_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the settings, nor the connection, nor the table of check-config shows a secret."""
    file = tmp_path / "token"
    file.write_text(HIDDEN)
    monkeypatch.setenv("PREFECT_API_KEY", HIDDEN)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"me:{HIDDEN}")
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", f'{{"X": "{HIDDEN}"}}')
    monkeypatch.setenv("PREFECT_EXPORTER_BASIC_AUTH", f"me:{HIDDEN}")
    monkeypatch.setenv("PREFECT_EXPORTER_BEARER_TOKEN_FILE", str(file))

    settings = load_settings()
    rows = list(describe(settings))

    assert HIDDEN not in f"{settings!r} {settings} {settings.connection()!r} {rows}"
    assert 5 == sum(value == "********" for _, _, value in rows)
    assert ("PREFECT_EXPORTER_BEARER_TOKEN", "file", "********") in rows


def test_error_of_pydantic_shows_no_secret() -> None:
    """Even where nobody turns it into lines, a validation error keeps its input to itself."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"PREFECT_API_AUTH_STRING": HIDDEN})

    assert HIDDEN not in f"{caught.value} {caught.value!r}"


@given(st.integers(min_value=0, max_value=10**15))
def test_duration_survives_writing_and_reading(nanoseconds: int) -> None:
    """What is written as a duration reads back as the same number of seconds."""
    seconds = nanoseconds / 10**9

    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("text", ["", "s", "1m1h", "1s1s", "1 s", "1e3", "٣s", "1.s", "+1"])
def test_text_that_is_no_duration_is_refused(text: str) -> None:
    """Units out of order, signs, exponents and foreign digits are no durations."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_every_setting_is_documented_and_nothing_else() -> None:
    """The tables of docs/configuration.md have exactly the settings that there are."""
    documented = {row for row in DOCS.read_text().splitlines() if row.startswith("| `PREFECT_")}

    assert {_documentation(field) for field in Settings.model_fields.values()} == documented


def _documentation(field: FieldInfo) -> str:
    name = str(field.validation_alias)
    default = "-" if field.default in (None, "") else f"`{field.default}`"
    (accept,) = _accepts(field)
    secret = " **Secret.**" if is_secret(name) else ""
    return f"| `{name}` | {default} | {accept.words} | {field.description}{secret} |"


def _accepts(field: FieldInfo) -> Iterator[Accept]:
    arms = getattr(field.annotation, "__args__", ())
    nested = [item for arm in arms for item in getattr(arm, "__metadata__", ())]
    yield from (item for item in (*field.metadata, *nested) if isinstance(item, Accept))


def test_collectors_are_switched_off_and_slowed() -> None:
    """A collector that is off is not built; another interval is its own."""
    settings = settings_of(COLLECTORS="server=1m,workers=off")

    built = {each.name: each.interval_seconds for each in collectors.build(settings)}

    assert set(collectors.names()) - {"workers"} == set(built)
    assert (60.0, 15.0) == (built["server"], built["flow_runs"])


def test_shard_beyond_their_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that counts from more than there are shards would read nothing, and says so."""
    monkeypatch.setenv("PREFECT_EXPORTER_SHARD", "prefect-exporter-2")
    monkeypatch.setenv("PREFECT_EXPORTER_SHARDS", "2")

    assert (
        "PREFECT_EXPORTER_SHARD is 2, but PREFECT_EXPORTER_SHARDS is 2; give a shard from 0 to 1",
    ) == problems()
