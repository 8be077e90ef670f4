"""What Checkov finds in the chart, against what is explained here: ``python -m helm.findings``.

It is no dependency of the project, which it would triple: uv brings it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from helm.cases import objects
from helm.rendering import ROOT

# With what it needs as of that day, so that no release of others fails this.
_CHECKOV = ("checkov==3.3.30", "--exclude-newer=2026-11-20")

# Which show every object that there is.
_CASES = ("default", "everything", "grafana-operator")
_ALL = "*"
# By check: why it is right of these objects, by kind and the end of their names.
_EXPLAINED: dict[str, dict[str, str]] = {
    "CKV_K8S_8": {"Pod tests": "it runs for a minute, and its exit code says how it is"},
    "CKV_K8S_9": {"Pod tests": "nobody connects to it"},
    "CKV_K8S_15": {
        _ALL: "tags are versions, which never change: to ask each time needs the registry"
    },
    "CKV_K8S_23": {"DaemonSet pod-logs": "files of pods' logs belong to root; off by default"},
    "CKV_K8S_35": {
        "StatefulSet gateway": "a backend's headers: the collector reads variables alone",
        "Deployment jaeger-collector": "of Cassandra: Jaeger's configuration reads variables alone",
        "Deployment jaeger-query": "as above",
        "CronJob jaeger-index-cleaner": "Jaeger's cleaner reads its password from a variable alone",
        "Job jaeger-cassandra-schema": "Jaeger's script reads its password from a variable alone",
    },
    "CKV_K8S_38": {"DaemonSet agent": "asks Kubernetes for the pods' metadata; off by default"},
    "CKV_K8S_40": {"DaemonSet pod-logs": "files of pods' logs belong to root; off by default"},
    "CKV_K8S_43": {_ALL: "digests are those of the user's registry: examples/air-gapped.yaml"},
}


def main() -> int:
    """Print what is not explained, and what explains nothing; return 1 where there is any."""
    found = set(_findings())
    explained = {(check, each) for check, whom in _EXPLAINED.items() for each in whom}
    lines = [
        f"{check} {each}: {text}" for check, each, text in sorted(found) if not _why(check, each)
    ]
    used = {(check, key) for check, each, _ in found for key in (_why(check, each), _ALL) if key}
    lines += [f"{check} {each}: explained, and not found" for check, each in explained - used]
    print("\n".join(lines) or f"checkov: {len(found)} findings, each explained")
    return int(bool(lines))


def _why(check: str, each: str) -> str | None:
    """Return the key of what explains a finding."""
    whom: Mapping[str, str] = _EXPLAINED.get(check, {})
    return next((key for key in whom if key in {_ALL, each}), None)


def _findings() -> Iterator[tuple[str, str, str]]:
    """Give the check, the kind and name, and what it says, of each finding."""
    with tempfile.TemporaryDirectory() as folder:
        for case in _CASES:
            text = "\n---\n".join(map(json.dumps, objects(case)))
            (Path(folder) / f"{case}.yaml").write_text(text, encoding="utf-8")
        answer = _checkov(folder)
    for each in answer["results"]["failed_checks"]:
        kind, _, name = each["resource"].split(".")[:3]
        short = name.removeprefix("prefect-observability-")
        yield each["check_id"], f"{kind} {short}", each["check_name"]


def _checkov(folder: str) -> Any:  # noqa: ANN401  JSON
    own = ROOT / ".uv" / "bin" / "uv"
    uv = own if own.exists() else "uv"
    options = ("--framework=kubernetes", "--output=json", "--quiet", "--compact", "--skip-download")
    done = subprocess.run(
        [
            uv,
            "tool",
            "run",
            "--quiet",
            "--from",
            *_CHECKOV,
            "checkov",
            f"--directory={folder}",
            *options,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.exit(f"findings: Checkov said nothing of use: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
