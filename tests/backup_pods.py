"""Runs the chart's pods of the backup as a node does: their arguments, variables, volumes, user."""

from __future__ import annotations

import base64
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from helm.rendering import Object
from monitoring import BIN

ROOT = Path(__file__).parents[1]
BACKUP = ROOT / "deploy" / "backup"

# As in deploy/backup/Dockerfile; restic is where the tests keep it.
_IMAGE = {
    "PATH": f"/opt/backup/bin:{BIN}:{os.environ['PATH']}",
    "PYTHONPATH": "/opt/backup/packages",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/tmp",  # noqa: S108 - the container's own
    "PREFECT_HOME": "/tmp/prefect",  # noqa: S108 - as above
}
# A container: a root that nobody can write to, with what the image has, and the volumes on it.
_CONTAINER = r"""
set -eu
root=$1 hostname=$2
shift 2
hostname "$hostname"
mount --make-rprivate /
mount -t tmpfs -o mode=755 container "$root"
mkdir -p "$root/proc" "$root/opt/backup/bin" "$root/opt/backup/packages"
cp -a /etc "$root/etc"
mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexec %s "$@"\n' "$PYTHON" >"$root/opt/backup/bin/python"
ln -s "$BACKUP" "$root/opt/backup/packages/backup"
cp "$BACKUP/prefect-backup" "$root/opt/backup/bin"
chmod 755 "$root/opt/backup/bin/prefect-backup" "$root/opt/backup/bin/python"
# In the image libnss-extrausers finds this line where the program has written it.
echo "$ACCOUNT" >>"$root/etc/passwd"
for folder in /bin /sbin /lib /lib64; do
    [ ! -L "$folder" ] || cp -d "$folder" "$root$folder"
done
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --rbind "$1" "$root$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
    shift 3
done
shift
mount -o remount,ro "$root"
exec chroot "$root" "$@"
"""


@dataclass
class Node:
    """A machine that pods run on.

    Args:
        folder: Where its volumes are.
        secrets: What each Secret holds that no chart makes.
        objects: What the chart made: its own Secrets and ConfigMaps.
    """

    folder: Path
    secrets: Mapping[str, Mapping[str, str]]
    objects: Sequence[Object]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def state(self) -> Path:
        """The state of the backup, on the one volume that outlives pods."""
        return self.folder / "claims" / "state"

    def start(
        self, pod: Object, *, args: Sequence[str] | None = None, named: bool = True
    ) -> subprocess.Popen[str]:
        """Start the one container of a pod.

        Args:
            pod: Its metadata and spec.
            args: In place of its own arguments.
            named: Whether its user has a name, as the image's program sees to it.
        """
        (container,) = pod["spec"]["containers"]
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        security = pod["spec"]["securityContext"]
        mounts = [
            (self._volume(volumes[each["name"]], security), each["mountPath"], each)
            for each in container["volumeMounts"]
        ]
        bound = [
            word
            # What lies in a folder comes after it, else that would hide it.
            for source, path, each in sorted((*_programs(), *mounts), key=lambda one: str(one[1]))
            for word in (str(source), str(path), "ro" if each.get("readOnly") else "rw")
        ]
        user, group = security["runAsUser"], security["runAsGroup"]
        become = ["setpriv", f"--reuid={user}", f"--regid={group}"]
        become += [f"--groups={security['fsGroup']}", "--bounding-set=-all", "--no-new-privs"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        environment = [f"{name}={text}" for name, text in (_IMAGE | variables).items()]
        command = [*become, "env", "-i", *environment, "prefect-backup"]
        root = self._folder("root")
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--uts", "--pid", "--fork"),
                *("sh", "-c", _CONTAINER, "container", str(root), pod["spec"].get("hostname", "x")),
                *(*bound, "--", *command, *(container["args"] if args is None else args)),
            ],
            env={
                "PATH": os.environ["PATH"],
                "PYTHON": sys.executable,
                "BACKUP": str(BACKUP),
                "ACCOUNT": f"prefect-backup:x:{user}:65534::/tmp:/bin/sh" if named else "",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self, pod: Object, *, args: Sequence[str] | None = None, named: bool = True
    ) -> tuple[int, str]:
        """Run a pod to its end, and return its exit code and what it wrote."""
        process = self.start(pod, args=args, named=named)
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            end(process)
        return process.returncode, output

    def _volume(self, volume: Object, security: Object) -> Path:
        group = security["fsGroup"]
        match volume:
            case {"persistentVolumeClaim": _}:
                return _shared(self.state, group)
            case {"emptyDir": _} | {"ephemeral": _}:
                return _shared(self._folder("empty"), group)
            case {"projected": {"sources": sources}}:
                files = dict(pair for source in sources for pair in self._files(source))
            case _:
                files = dict(self._files(volume))
        return self._written(files, group)

    def _written(self, files: Mapping[str, str], group: int) -> Path:
        """Return a folder with files as the kubelet has them: links to the version of now."""
        folder = self._folder("files")
        version = folder / "..2026_11_22"
        (folder / "..data").symlink_to(version.name)
        for name, text in files.items():
            file = version / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            shutil.chown(file, 0, group)
            file.chmod(0o440)
        for name in {name.partition("/")[0] for name in files}:
            (folder / name).symlink_to(f"..data/{name}")
        return folder

    def _files(self, source: Object) -> Iterator[tuple[str, str]]:
        kind = "ConfigMap" if "configMap" in source else "Secret"
        about = source["configMap" if kind == "ConfigMap" else "secret"]
        content = self._content(kind, about.get("secretName") or about["name"])
        keys = about.get("items") or [{"key": key, "path": key} for key in content]
        for item in keys:
            if item["key"] in content or not about.get("optional"):
                yield item["path"], content[item["key"]]

    def _content(self, kind: str, name: str) -> Mapping[str, str]:
        for each in self.objects:
            if (each["kind"], each["metadata"]["name"]) == (kind, name):
                encoded = each.get("data", {}) if kind == "Secret" else {}
                decoded = {key: base64.b64decode(text).decode() for key, text in encoded.items()}
                return decoded or each.get("stringData") or each["data"]
        return self.secrets[name]

    def _folder(self, name: str) -> Path:
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder


def end(process: subprocess.Popen[str]) -> None:
    """End a pod as a node does, and wait for it."""
    for each in psutil.Process(process.pid).children() if process.poll() is None else ():
        each.terminate()
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def node(secrets: Mapping[str, Mapping[str, str]], objects: Sequence[Object]) -> Iterator[Node]:
    """Make a node; only root can, as it makes namespaces of the kernel's.

    Args:
        secrets: As in `Node`.
        objects: As in `Node`.
    """
    # Not in /tmp, which is another folder in a container.
    folder = Path(tempfile.mkdtemp(prefix="node-", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        made = subprocess.run(
            ["unshare", "--mount", "--uts", "--pid", "--fork", "mount", "-t", "tmpfs", "x", folder],
            capture_output=True,
            check=False,
        )
        if made.returncode:
            pytest.skip("only root can make containers")
        yield Node(folder, secrets, objects)
    finally:
        shutil.rmtree(folder)


def _programs() -> Iterator[tuple[Any, Any, Object]]:
    """Give what a container has of this machine: its programs, this project and its Python."""
    folders = ("/usr", "/dev", "/bin", "/sbin", "/lib", "/lib64", str(ROOT), sys.base_prefix)
    for each in folders:
        if Path(each).is_dir() and not Path(each).is_symlink():
            yield each, each, {"readOnly": each != "/dev"}


def _shared(folder: Path, group: int) -> Path:
    """Make a folder as Kubernetes does a volume for a group: files in it are the group's."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.chown(folder, 0, group)
    folder.chmod(0o2770)
    return folder
