"""What the kubelet makes of a rendered pod: variables, and files of ConfigMaps and Secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from helm.rendering import Object, named

Files = dict[str, str]
Secrets = Mapping[str, Mapping[str, str]]

# What pods have in folders that this machine must not have.
_FOLDERS = re.compile("/etc/prefect-observability|/var/lib/prefect-exporter|/tests")


def environment(container: Object, pod_name: str, root: Path) -> dict[str, str]:
    """Return a container's variables, with the folders that it mounts below *root*."""
    return {each["name"]: _below(root, _value(each, pod_name)) for each in container["env"]}


def _value(variable: Object, pod_name: str) -> str:
    if "valueFrom" not in variable:
        return str(variable["value"])
    assert {"fieldRef": {"fieldPath": "metadata.name"}} == variable["valueFrom"]
    return pod_name


def lay_out(objects: Sequence[Object], pod: Object, root: Path, secrets: Secrets) -> None:
    """Write the files of a pod's volumes below *root*; again after a change, as the kubelet does.

    Args:
        objects: All of the chart's.
        pod: With its ``spec``.
        root: The folder that stands for ``/``.
        secrets: The contents of Secrets and ConfigMaps that are there already, by name and key.
    """
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    for mount in pod["spec"]["containers"][0]["volumeMounts"]:
        folder = root / mount["mountPath"].lstrip("/")
        volume = volumes.get(mount["name"], {})
        if {"configMap", "projected", "secret"} & set(volume):
            files = _files(objects, volume, secrets)
            _publish(folder, {path: _below(root, text) for path, text in files.items()})
        else:
            folder.mkdir(parents=True, exist_ok=True)


def _files(objects: Sequence[Object], volume: Object, secrets: Secrets) -> Files:
    files: Files = {}
    for source in volume.get("projected", {}).get("sources", [volume]):
        for kind, given in _sources(source):
            name = given.get("name") or given["secretName"]
            data = secrets[name] if name in secrets else _data(named(objects, kind, name))
            keys = {each["path"]: each["key"] for each in given.get("items", ())}
            files |= {path: data[key] for path, key in (keys or {key: key for key in data}).items()}
    return files


def _sources(volume: Object) -> Iterator[tuple[str, Object]]:
    for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if key in volume:
            yield kind, volume[key]


def _data(source: Object) -> Mapping[str, str]:
    data: Mapping[str, str] = source.get("stringData") or source["data"]
    return data


def _publish(folder: Path, files: Files) -> None:
    """Put files into a new folder, and swap the link that all of them are reached by."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"..{len(list(folder.iterdir()))}"
    for path, text in files.items():
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh / path).write_text(text, encoding="utf-8")
        top = folder / Path(path).parts[0]
        if not top.is_symlink():
            top.symlink_to(Path("..data") / top.name)
    swapped = folder / "..data_tmp"
    swapped.symlink_to(fresh.name)
    swapped.replace(folder / "..data")


def _below(root: Path, text: str) -> str:
    return _FOLDERS.sub(lambda folder: f"{root}{folder[0]}", text)
