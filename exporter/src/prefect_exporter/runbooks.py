"""The runbooks as a page of the exporter's own: a link in an alert works without the internet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from itertools import pairwise

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup


def packaged_alerts() -> str:
    """Return docs/alerts.md as it came with this package; "" where it did not."""
    try:
        return (resources.files("prefect_exporter") / "alerts.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


class Runbooks:
    """One Markdown document as HTML, in which each heading can be linked to.

    The anchor of a heading is its text in lower case, with hyphens for spaces. Raw HTML is shown as
    text, and a link to another file is its text alone, as that file is not served.

    Args:
        markdown: The document.
    """

    def __init__(self, markdown: str) -> None:
        parser = MarkdownIt("commonmark", {"html": False}).enable("table")
        tokens = parser.parse(markdown)
        for token, inside in pairwise(tokens):
            if token.type == "heading_open":
                token.attrSet("id", _anchor(inside.content))
        for token in tokens:
            token.children = _without_dead_links(token.children or ())
        self._body = Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - the renderer has escaped it

    def page(self, nonce: str) -> str:
        """Return the page as HTML; *nonce* marks the style that its policy lets through."""
        return _TEMPLATE.render(body=self._body, nonce=nonce)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def _without_dead_links(tokens: Iterable[Token]) -> list[Token]:
    kept: list[Token] = []
    dead = False
    for token in tokens:
        if token.type == "link_open":
            dead = not str(token.attrGet("href")).startswith(("https://", "http://", "#"))
        if not (dead and token.type in {"link_open", "link_close"}):
            kept.append(token)
    return kept


_TEMPLATE = jinja2.Environment(
    loader=jinja2.PackageLoader("prefect_exporter"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("runbooks.html")
