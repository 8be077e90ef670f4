"""scripts/doctor: whatever can be wrong with a machine or a stack, and the one line for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stack.compose import ROOT
from stack.installing import make_secrets

_NEEDED = "awk bash cat cut date df dirname env grep head id printf sed sort stat tail timeout tr"
_NEEDED += " sh mkdir chmod"
_HIDDEN = "s3cret-of-the-doctor"

_FAKE = """#!/bin/bash
# Answers as docker does, from files: "compose version" has the answer compose-version.
words=()
for word in "$@"; do case $word in -*) ;; *) words+=("$word") ;; esac; done
case "${words[*]:0:2}" in
    "compose config") name=compose-config ;;
    "compose version" | "compose exec") name=compose-${words[1]} ;;
    "network ls" | "volume ls") name=${words[0]}-ls ;;
    *) name=${words[0]} ;;
esac
asked=$*
case $asked in
    *publish=*) name=publish ;;
    *com.docker.compose.service=*) name=service-${asked##*service=} ;;
    *prefect-exporter*) name=check-config ;;
    *compose*exec*prometheus*) name=targets ;;
    *compose*exec*backup*) name=backups ;;
    *"df -P"*) name=df ;;
    *wget*/version) name=asked-version ;;
    *wget*) name=asked ;;
esac
answers=$(dirname "$0")/answers
[ ! -e "$answers/$name" ] || cat "$answers/$name"
[ ! -e "$answers/$name.err" ] || { cat "$answers/$name.err" >&2; exit 1; }
"""

_CONFIG = """name: made-up
services:
  alertmanager:
    volumes:
      - type: bind
        source: {folder}/secrets/alerts
  backup:
    environment:
      PREFECT_BACKUP_REPOSITORY: {repository}
  container-logs:
    volumes:
      - type: bind
        source: {root}/containers
  exporter:
    image: prefect-observability/exporter:0.1.0
    ports:
      - mode: ingress
        host_ip: 127.0.0.1
        target: 9090
        published: "{port}"
        protocol: tcp
    user: "{uid}:{uid}"
  init:
    environment:
      PREFECT_API_URL: {url}
    image: busybox:1.37.0-musl
networks:
  edge:
    name: made-up_edge
volumes:
  backups:
    name: made-up_backups{options}
secrets:
  grafana_admin_password:
    name: made-up_grafana_admin_password
    file: {folder}/secrets/grafana_admin_password
  prefect_api_auth_string:
    name: made-up_prefect_api_auth_string
    file: {folder}/secrets/prefect_api_auth_string
"""


@dataclass
class Machine:
    """A machine that is as one says: a docker that answers from files, and a stack's folder."""

    folder: Path
    answers: dict[str, str] = field(
        default_factory=lambda: {
            "version": "28.5.2",
            "compose-version": "2.40.3",
            "info": "/|25769803776\n",
            "asked-version.err": "",
        }
    )
    url: str = "http://host.docker.internal:4200/api"
    port: int = 1
    docker: bool = True
    repository: str = "s3:https://s3.example.com/backups"
    volume_options: str = ""

    def __post_init__(self) -> None:
        """Make what a clone has after `make secrets`."""
        for name in ("scripts", "secrets/alerts", "bin/answers", "deploy/alertmanager"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "doctor", self.folder / "scripts")
        shutil.copy(ROOT / "docker-compose.yml", self.folder)
        (self.folder / ".env").write_text("")
        self.receivers("slack_configs: [{api_url_file: /run/secrets/alerts/platform_slack}]")
        self.secret("alerts/platform_slack", _HIDDEN)
        self.secret("grafana_admin_password", _HIDDEN)
        self.secret("prefect_api_auth_string", "")
        for program in _NEEDED.split():
            if found := shutil.which(program):
                (self.folder / "bin" / program).symlink_to(found)

    def secret(self, name: str, text: str) -> Path:
        """Write one secret as `make secrets` does."""
        path = self.folder / "secrets" / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def receivers(self, text: str) -> None:
        """Have Alertmanager's configuration say this."""
        (self.folder / "deploy" / "alertmanager" / "alertmanager.yml").write_text(text)

    def ask(self) -> subprocess.CompletedProcess[str]:
        """Run the doctor."""
        programs = self.folder / "bin"
        root = self.answers["info"].partition("|")[0]
        config = _CONFIG.format(
            folder=self.folder,
            uid=os.getuid(),
            url=self.url,
            port=self.port,
            root=root,
            repository=self.repository,
            options=self.volume_options,
        )
        for name, text in ({"compose-config": config} | self.answers).items():
            (programs / "answers" / name).write_text(text)
        if self.docker:
            (programs / "docker").write_text(_FAKE)
            (programs / "docker").chmod(0o755)
        return subprocess.run(
            [str(self.folder / "scripts" / "doctor")],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": str(programs)},
        )

    def problems(self) -> list[str]:
        """Return the doctor's lines; it ends with 1 where there are any, and has no errors."""
        done = self.ask()

        assert "" == done.stderr
        assert _HIDDEN not in done.stdout
        lines = done.stdout.splitlines()
        if done.returncode == 0:
            assert ["Nothing wrong was found with made-up."] == lines
            return []
        return lines


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@contextmanager
def _listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_good_machine_has_no_problems(machine: Machine) -> None:
    """Where nothing is wrong it says so, and ends with 0."""
    assert [] == machine.problems()


def test_missing_docker_is_told(machine: Machine) -> None:
    """Without docker there is one line, which says where to get it."""
    machine.docker = False

    (line,) = machine.ask().stdout.splitlines()

    assert "docker: not installed. See https://docs.docker.com/engine/install/." == line


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (
            {"version.err": "Got permission denied while trying to connect to the Docker daemon"},
            "docker: you may not use it. Run: sudo usermod -aG docker ",
        ),
        (
            {"version.err": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."},
            "docker: it does not answer. Run: sudo systemctl start docker. It said: ",
        ),
        ({"version": "19.03.15"}, "docker: version 19.03.15 is too old; 20.10 or newer"),
        ({"compose-version": "2.20.1"}, "docker compose: 2.20.1 is there, 2.20.2 or newer"),
        ({"compose-version": "v2.6.0"}, "docker compose: v2.6.0 is there, 2.20.2 or newer"),
        ({"compose-version.err": "no such command"}, "docker compose: nothing is there, 2.20.2"),
        (
            {"compose-config.err": "services.x Additional property required is not allowed"},
            "docker-compose.yml: Compose does not take it with this .env: ",
        ),
    ],
)
def test_docker_that_cannot_be_used_is_told_and_nothing_else(
    machine: Machine, answers: Mapping[str, str], told: str
) -> None:
    """What keeps the rest from being looked at is the one line."""
    machine.answers |= answers

    (line,) = machine.problems()

    assert told in line


def test_old_python_compose_is_named(machine: Machine) -> None:
    """docker-compose 1.29, which Debian 12 has, is no `docker compose`."""
    old = machine.folder / "bin" / "docker-compose"
    old.write_text("#!/bin/sh\necho 1.29.2\n")
    old.chmod(0o755)
    machine.answers["compose-version.err"] = "docker: 'compose' is not a docker command."

    (line,) = machine.problems()

    assert "docker compose: docker-compose 1.29.2 is there, 2.20.2 or newer is needed." in line


@pytest.mark.parametrize("version", ["2.20.2", "v2.26.1-4", "2.40.3+ds1", "5.0.0"])
def test_newer_compose_will_do(machine: Machine, version: str) -> None:
    """Debian's and Docker's ways of writing a version are both understood."""
    machine.answers["compose-version"] = version

    assert [] == machine.problems()


def test_missing_settings_are_told(machine: Machine) -> None:
    """Without .env the mend is `make secrets`."""
    (machine.folder / ".env").unlink()

    assert [".env: it is missing. Run: make secrets."] == machine.problems()


@pytest.mark.parametrize("text", [None, ""], ids=["missing", "empty"])
def test_address_that_a_receiver_needs_is_told(machine: Machine, text: str | None) -> None:
    """A file of secrets/alerts that the teams name and that has nothing in it is named."""
    if text is None:
        (machine.folder / "secrets" / "alerts" / "platform_slack").unlink()
    else:
        machine.secret("alerts/platform_slack", text)

    (line,) = machine.problems()

    assert "alerts/platform_slack: it is missing or empty, and deploy/alertmanager/teams" in line


def test_alerts_that_go_to_nobody_are_told(machine: Machine) -> None:
    """A stack that tells nobody is no mistake, but whoever looks learns it."""
    machine.receivers("receivers: [{name: nobody}]")

    done = machine.ask()

    assert done.returncode == 0
    assert "Nobody is told of alerts yet" in done.stdout.splitlines()[-1]


def test_each_bad_secret_is_told_by_its_file(machine: Machine) -> None:
    """Missing, open to others, empty: a line each; what may be empty has none."""
    path = machine.folder / "secrets" / "grafana_admin_password"
    told = []
    path.chmod(0o644)
    told += machine.problems()
    machine.secret(path.name, "")
    told += machine.problems()
    path.unlink()
    told += machine.problems()

    assert [
        f"{path}: others may read it. Run: chmod 600 {path}",
        f"{path}: it is empty. Remove it, and run: make secrets.",
        f"{path}: it is missing, or in a folder that you may not read. Run: make secrets.",
    ] == told


def test_taken_port_names_its_variable(machine: Machine) -> None:
    """The line has the variable of .env that changes the port."""
    with _listening() as machine.port:
        (line,) = machine.problems()

    assert line.startswith("PROMETHEUS_PORT: ")
    assert f"has port {machine.port}. Set another in .env, for example PROMETHEUS_PORT=" in line


def test_port_of_a_container_names_it_and_ours_are_no_problem(machine: Machine) -> None:
    """Another's container is told by name; the stack itself may have its ports."""
    with _listening() as machine.port:
        machine.answers["publish"] = "other other-web-1\n"
        (line,) = machine.problems()
        machine.answers["publish"] = "made-up made-up-prometheus-1\n"
        ours = machine.problems()

    assert "PROMETHEUS_PORT: the container other-web-1 has port" in line
    assert [] == ours


def test_little_memory_and_another_root_are_told(machine: Machine) -> None:
    """What Docker says of itself is held against what the stack needs."""
    config = _CONFIG.format(
        folder=machine.folder,
        uid=os.getuid(),
        url=machine.url,
        port=1,
        root="/var/lib/docker",
        repository=machine.repository,
        options="",
    )
    machine.answers |= {"info": "/|1073741824\n", "compose-config": config}

    root, memory = machine.problems()

    assert root.startswith("DOCKER_ROOT: Docker keeps its files in /, ")
    assert memory == "memory: Docker has 1 GiB; 3 or more are needed."


@pytest.mark.parametrize(
    "url",
    ["htp:/x", "host:4200/api", "http://host:4200", "http://u:p@host:4200/api", "http://h/api?x=1"],
)
def test_address_that_is_none_is_told_without_asking(machine: Machine, url: str) -> None:
    """A bad PREFECT_API_URL is told by its form, and is not repeated: it may hold a password."""
    machine.url = url
    machine.answers["asked.err"] = "it was asked"

    (line,) = machine.problems()

    assert line.startswith("PREFECT_API_URL: this is no address of an API, or holds a password.")
    assert url not in line


def test_server_on_loopback_alone_is_told_with_the_one_line(machine: Machine) -> None:
    """Refused from the bridge and open on 127.0.0.1: the line has the command."""
    machine.answers["asked.err"] = "wget: can't connect to remote host: Connection refused"
    with _listening() as port:
        machine.url = f"http://localhost:{port}/api"
        (local_only,) = machine.problems()
        machine.answers["asked.err"] = "wget: download timed out"
        (firewall,) = machine.problems()
    (nobody,) = machine.problems()

    assert f"the server listens on 127.0.0.1:{port} alone" in local_only
    assert "prefect server start --host 0.0.0.0" in local_only
    assert f"a firewall of this machine keeps containers from port {port}." in firewall
    assert "does not answer a container: download timed out." in nobody


def test_wanted_password_names_the_secret_file(machine: Machine) -> None:
    """A server that asks for credentials is told while there are none, and not when there are."""
    machine.answers["asked-version.err"] = "wget: server returned error: HTTP/1.1 401 Unauthorized"

    (line,) = machine.problems()
    machine.secret("prefect_api_auth_string", f"admin:{_HIDDEN}")
    credited = machine.problems()

    assert f"{machine.folder}/secrets/prefect_api_auth_string: the API asks for user:pass" in line
    assert [] == credited


def test_sick_containers_tell_their_last_line(machine: Machine) -> None:
    """What is not healthy or has ended is told; what it wrote cannot steer a terminal."""
    machine.answers |= {
        "ps": "made-up-init-1|exited|Exited (0) 5 minutes ago\n"
        "made-up-loki-1|running|Up 5 minutes (unhealthy)\n"
        "made-up-jaeger-1|restarting|Restarting (1) 1 second ago\n"
        "made-up-grafana-1|running|Up 5 minutes (healthy)\n",
        "logs": "no \x1b[31mspace\x07 left\n",
    }

    last = "Its last line: no [31mspace left"
    assert [
        f"made-up-loki-1: it runs and is not healthy. {last}",
        f"made-up-jaeger-1: it does not run: Restarting (1) 1 second ago. {last}",
    ] == machine.problems()


def test_targets_that_are_down_are_told(machine: Machine) -> None:
    """Prometheus' own word for why a scrape fails is the line; those that are up have none."""
    target = (
        '{"discoveredLabels":{},"labels":{"job":"x"},"scrapeUrl":"http://%s/metrics",'
        '"globalUrl":"x","lastError":"%s","health":"%s"}'
    )
    targets = [("loki:3100", 'Get \\"x\\": refused', "down"), ("jaeger:8888", "", "up")]
    machine.answers |= {
        "service-prometheus": "made-up-prometheus-1",
        "targets": '{"data":{"activeTargets":[' + ",".join(target % each for each in targets),
    }

    assert [
        'prometheus: it cannot read http://loki:3100/metrics: Get "x": refused'
    ] == machine.problems()


def test_exporter_tells_what_prefect_answers(machine: Machine) -> None:
    """A running exporter is asked; a refused credential names the secret's files."""
    machine.answers |= {
        "service-exporter": "made-up-exporter-1",
        "check-config.err": "HTTP 401 Unauthorized.",
    }

    (line,) = machine.problems()

    assert line.startswith("exporter: HTTP 401 Unauthorized. Here that is prefect_api_auth_string")


def test_full_volume_is_told_once_a_disk(machine: Machine) -> None:
    """Volumes that share a disk share a line; one with room has none."""
    machine.answers |= {
        "volume-ls": "made-up_loki\nmade-up_jaeger\nmade-up_grafana\n",
        "df": "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "/dev/sdb 100 97 3 97% /v/made-up_loki\n/dev/sdb 100 97 3 97% /v/made-up_jaeger\n"
        "/dev/sda 100 50 50 50% /v/made-up_grafana\n",
    }

    (line,) = machine.problems()

    assert line.startswith("made-up_loki: this volume's disk is 97% full.")


@pytest.mark.stack
def test_real_docker_tells_of_a_server_on_loopback_alone(tmp_path: Path) -> None:
    """A real container asks: refused where only 127.0.0.1 listens; nothing of it stays behind."""
    with _listening() as port:
        make_secrets(
            tmp_path,
            COMPOSE_PROJECT_NAME=f"doctor-{os.getpid()}",
            PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        )
        shutil.copy(ROOT / "docker-compose.yml", tmp_path)
        doctor = shutil.copy(ROOT / "scripts" / "doctor", tmp_path / "scripts")
        done = subprocess.run([doctor], check=False, capture_output=True, text=True)

    told = [line for line in done.stdout.splitlines() if line.startswith("PREFECT_API_URL")]
    assert 1 == len(told)
    assert f"the server listens on 127.0.0.1:{port} alone" in told[0]
    assert "" == done.stderr


def test_failed_backups_are_told_by_kind(machine: Machine) -> None:
    """A failed run, drill or check and an old success have a line each; what went well has none."""
    old = time.time() - 40.5 * 3600
    machine.answers |= {
        "service-backup": "made-up-backup-1",
        "backups": "# HELP prefect_backup_last_run_success x\n"
        + _told("last_run_success", database=0, objects=1)
        + _told("last_restore_success", database=0)
        + _told("last_check_success", volumes=0)
        + _told("last_success_timestamp_seconds", database=old, objects=time.time(), volumes=0),
    }

    lines = machine.problems()

    assert [
        "backup: the last database backup failed.",
        "backup: the last database backup could not be restored as a test.",
        "backup: the last check of the store of volumes backups failed.",
        "backup: the last good database backup is 40 hours old.",
    ] == [line.partition(" See docker compose logs backup")[0] for line in lines]
    assert ["run", "drill", "check", "run"] == [
        line.rpartition("prefect-backup ")[2].rstrip(".") for line in lines
    ]


def _told(metric: str, **kinds: float) -> str:
    """Return what the backup answers, as Prometheus' client writes it."""
    lines = (f'prefect_backup_{metric}{{kind="{k}",target="a"}} {v}\n' for k, v in kinds.items())
    return "".join(lines)


def test_database_that_is_not_backed_up_is_said(machine: Machine) -> None:
    """Beside a server whose database nobody has named, nothing is wrong, and one line says it."""
    machine.answers |= {
        "service-backup": "made-up-backup-1",
        "backups": _told("configured", database=0, objects=1),
    }

    done = machine.ask()

    assert (done.returncode, done.stderr) == (0, "")
    assert "secrets/backup_database_url" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("repository", ['""', "/var/lib/prefect-backup/repository"])
def test_copy_on_this_machine_alone_is_said(machine: Machine, repository: str) -> None:
    """Backups beside the database go when its disk goes; a volume elsewhere stays."""
    machine.repository = repository
    done = machine.ask()
    machine.volume_options = "\n    driver_opts:\n      type: nfs"

    assert done.returncode == 0
    assert "Backups are a copy on this machine only" in done.stdout.splitlines()[-1]
    assert [] == machine.problems()
