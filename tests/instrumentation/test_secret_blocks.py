"""Secrets of Prefect's blocks are known as soon as this process has the block."""

from __future__ import annotations

import json
import pickle
import sys
import uuid
from collections.abc import Iterator

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.types import SecretDict
from pydantic import BaseModel, SecretBytes, SecretStr

import logged_scene
from prefect_instrumentation import _secrets
from prefect_instrumentation._prefect import secret_blocks
from traced_scene import Scene

LOADING = """
import asyncio
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.variables import Variable
from pydantic import SecretStr
from prefect_instrumentation import _secrets
from prefect_instrumentation._prefect import secret_blocks

class Login(Block):
    password: SecretStr

def tell(value):
    print(value, _secrets.redactor().text(value) == "[redacted]")

Secret(value="hunter-sync").save("one", overwrite=True)
Login(password="hunter-async").save("two", overwrite=True)
Variable.set("three", "hunter-variable", overwrite=True)
secret_blocks.watch()
tell(Secret.load("one").get())
tell(asyncio.run(Login.aload("two")).password.get_secret_value())
tell(Variable.get("three"))
"""

pytestmark = pytest.mark.usefixtures("_watching")


class Inner(BaseModel):
    """A model in a block."""

    pin: SecretStr
    name: str = "plain-inner"


class Login(Block):
    """A block of a user's."""

    user: str
    password: SecretStr
    key: SecretBytes | None = None
    more: SecretDict | None = None
    inner: Inner | None = None
    several: dict[str, list[SecretStr]] = {}  # noqa: RUF012 - pydantic copies it


class Outer(Block):
    """A block that holds one."""

    login: Login


class Checked(Block):
    """A block with an initializer of its own."""

    token: SecretStr
    seen: str = ""

    def block_initialization(self) -> None:
        """Do as blocks do."""
        self.seen = "yes"


@pytest.fixture(name="_watching")
def _fixture_watching() -> Iterator[None]:
    watched = hasattr(Block.__init__, "__wrapped__")  # by a test that has set up all of it
    secret_blocks.unwatch()
    was = dict(vars(Block))
    secret_blocks.watch()
    yield
    secret_blocks.unwatch()
    assert was == dict(vars(Block))
    if watched:
        secret_blocks.watch()


def new() -> str:
    """Return a secret that nobody knows yet."""
    return f"hunter-{uuid.uuid4().hex}"


def secret_block(value: object) -> Secret[str]:
    """Return a block as users make it, whose type says that it takes a `SecretStr`."""
    return Secret.model_validate({"value": value})


def hidden(*secrets: str) -> bool:
    """Return whether all of them are hidden."""
    return all("[redacted]" == _secrets.redactor().text(secret) for secret in secrets)


def test_secret_block_is_known_when_it_is_made() -> None:
    """The value, and what is in it where it is JSON."""
    value, password, pin = new(), new(), new()

    assert not hidden(value)
    secret_block(value)
    secret_block({"user": "x", "password": password})
    secret_block(json.dumps({"list": [pin]}))
    assert hidden(value, password, pin)


def test_all_secret_fields_are_known() -> None:
    """Of whatever type, however deep; the other fields are no secrets."""
    password, key, more, pin, several = new(), new(), new(), new(), new()
    Login(
        user="plain-user",
        password=SecretStr(password),
        key=SecretBytes(key.encode()),
        more=SecretDict({"a": {"b": [more]}}),
        inner=Inner(pin=SecretStr(pin)),
        several={"a": [SecretStr(several)]},
    )

    assert hidden(password, key, more, pin, several)
    assert "plain-user plain-inner" == _secrets.redactor().text("plain-user plain-inner")


def test_nested_and_initialized_blocks_are_known() -> None:
    """What Pydantic makes of a mapping is a block too; a block's own initializer is called."""
    password, token = new(), new()
    Outer.model_validate({"login": {"user": "x", "password": password}})

    assert "yes" == Checked(token=SecretStr(token)).seen
    assert hidden(password, token)


@pytest.mark.real
@pytest.mark.timeout(240)
def test_loaded_block_is_known(scene: Scene) -> None:
    """By a synchronous call and by an asynchronous one; a variable is no secret."""
    env = scene.environment("loading", "setup", "http")
    process = logged_scene.start(scene, "loading", [sys.executable, "-c", LOADING], env).wait()

    assert ["hunter-sync True", "hunter-async True", "hunter-variable False"] == process.raw()


def test_unpickled_block_is_known() -> None:
    """As in the process of a task that is given one."""
    secret_blocks.unwatch()
    value = new()
    pickled = pickle.dumps(secret_block(value))
    secret_blocks.watch()

    assert not hidden(value)
    assert value == pickle.loads(pickled).get()  # noqa: S301 - it was pickled just above
    assert hidden(value)


def test_bad_block_raises_what_it_did() -> None:
    """Nothing of ours is in the way of the user's own mistake."""
    with pytest.raises(ValueError, match="password"):
        Login(user="x")  # type: ignore[call-arg]  # that is the mistake


def test_hostile_field_does_no_harm() -> None:
    """Learning never raises."""

    class Raising(SecretStr):
        def get_secret_value(self) -> str:
            raise RuntimeError("no")

    assert "x" == Login(user="x", password=Raising("y")).user


def test_nothing_is_learned_after_unwatch() -> None:
    """And Prefect has its own methods back; to watch twice is to watch once."""
    secret_blocks.watch()
    secret_blocks.unwatch()
    value = new()
    secret_block(value)

    assert not hidden(value)
    assert Block.__init__.__module__ == "prefect.blocks.core"
    assert not hasattr(Block.__init__, "__wrapped__")
