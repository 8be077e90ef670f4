"""The chart's forms of Jaeger, as a real Jaeger reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from helm.jaeger import FORMS, NAME, container, parts, rendered, variables
from helm.rendering import named
from stack.backends import program_of


@pytest.fixture(name="jaeger_program", scope="session")
def _jaeger_program(tmp_path_factory: pytest.TempPathFactory, *, full: bool) -> Path:
    """The program of Jaeger's image."""
    if not full:
        pytest.skip("the lean form has no Jaeger")
    return program_of("jaeger", "/cmd/jaeger/jaeger-linux", tmp_path_factory.mktemp("jaeger"))


@pytest.mark.stack
@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_jaeger_takes_what_each_part_is_told(
    jaeger_program: Path, tmp_path: Path, form: tuple[str, str]
) -> None:
    """Files, arguments and variables of every part make a configuration that is valid."""
    objects = rendered(*form)
    for name, text in named(objects, "ConfigMap", NAME)["data"].items():
        (tmp_path / name).write_text(text)

    for part, pod in parts(objects).items():
        args = [each.replace("/etc/jaeger", str(tmp_path)) for each in container(pod)["args"]]
        done = subprocess.run(
            [str(jaeger_program), "validate", *args],
            env=dict(variables(pod)),
            check=False,
            capture_output=True,
            text=True,
        )

        assert done.returncode == 0, f"{part}: {done.stderr}"
