"""What a page is made of, as a browser's parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser

Attribute = tuple[str, str | None]
Element = tuple[str, tuple[Attribute, ...]]


class Outline(HTMLParser):
    """The elements of a page in their order, with their attributes, and all its text.

    Args:
        html: The page.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[Attribute]) -> None:
        """Note an element."""
        self.elements.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def outside(self, tag: str) -> list[str]:
        """Return the names of the elements that are of HTML itself, without those of ``svg``."""
        drawn = {"svg", "g", "path", "rect", "circle", "text", "title", "defs", "marker", "desc"}
        return [name for name, _ in self.elements if name not in drawn or name == tag]

    def values(self, attribute: str) -> list[str]:
        """Return the values of an attribute, wherever it stands."""
        return [
            value or "" for _, attrs in self.elements for name, value in attrs if name == attribute
        ]
