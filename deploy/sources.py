"""Read a file that people write, and say in one line what is wrong with each value."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

_ModelT = TypeVar("_ModelT", bound=BaseModel)

_NO_MAPPING = "has no settings: write them below it, each as `name: value`, or {} for none"
_PROBLEMS = {
    "missing": "is missing: add it",
    "extra_forbidden": "is no setting: remove it, or mend its spelling",
    "string_type": "is no text: write it, in quotes where it begins with # or is a number",
    "dict_type": _NO_MAPPING,
    "model_type": _NO_MAPPING,
    "tuple_type": "is no list: begin each entry with `- `, or write all as [one, another]",
}
_QUOTES = ": close its brackets, and put what begins with # in quotes, here and in the line before"


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
        raise BadSource(f"{_shown(path)}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise BadSource(f"{_shown(path)}: {_no_yaml(error)}") from error
    except ValidationError as error:
        lines = (f"{_place(each['loc'])}: {_problem(each)}" for each in error.errors())
        raise bad(path, lines) from None


def bad(path: Path, lines: Iterable[str]) -> BadSource:
    """Return what to raise of a file; each line has a place in it, a problem and its mend."""
    return BadSource("\n".join(dict.fromkeys(f"{_shown(path)}: {line}" for line in lines)))


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        """Return the mapping of a node whose keys differ."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key} stands twice: remove one", node.value[index][0].start_mark
                )
        return super().construct_mapping(node, deep=deep)


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _no_yaml(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    hint = _QUOTES if isinstance(error, yaml.parser.ParserError) else ""
    return f"line {error.problem_mark.line + 1}: {error.problem}{hint}"


def _place(steps: tuple[int | str, ...]) -> str:
    named = (step for step in steps if step != "[key]")
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in named)
    return path.removeprefix(".") or "the file"


def _problem(error: Any) -> str:  # noqa: ANN401  pydantic does not export the type
    return _PROBLEMS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
