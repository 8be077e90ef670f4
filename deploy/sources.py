"""Read a file that people write, and say in one line what is wrong with each value."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

_ModelT = TypeVar("_ModelT", bound=BaseModel)

_PROBLEMS = {
    "missing": "is missing: add it",
    "extra_forbidden": "is no key that is known here: correct or remove it",
    "string_type": "is no text: put it in quotes",
    "dict_type": "is no mapping: write `key: value` below it",
    "model_type": "is no mapping: write `key: value` below it",
    "tuple_type": "is no list: begin each entry with `- `",
}


class BadSource(Exception):
    """A file cannot be used; its text has a line for each problem: file, place, problem, mend."""


class Entry(BaseModel):
    """A part of such a file: no key that is not known, and nothing changes it later."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def read(path: Path, model: type[_ModelT]) -> _ModelT:
    """Return the content of a YAML file as the model has it.

    Raises:
        BadSource: The file cannot be read, is no YAML, or is not as the model wants it.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a SafeLoader
        return model.model_validate({} if content is None else content)
    except (OSError, UnicodeDecodeError) as error:
        raise BadSource(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise BadSource(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        lines = (f"{path}: {_place(each['loc'])}: {_problem(each)}" for each in error.errors())
        raise BadSource("\n".join(lines)) from None


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        """Return the mapping of a node whose keys differ."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for (key_node, _), key in zip(node.value, keys, strict=True):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
        return super().construct_mapping(node, deep=deep)


def _place(steps: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.removeprefix(".") or "the file"


def _problem(error: Any) -> str:  # noqa: ANN401  pydantic does not export the type
    return _PROBLEMS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
