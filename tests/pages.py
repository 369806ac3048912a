"""Reads an HTML page as a browser would, and checks what every page of ours owes."""

from html.parser import HTMLParser


class Document(HTMLParser):
    """Keeps links, pictures, tags and texts; elements close in order, pictures have a text, nothing is fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open
        assert self.tags.isdisjoint({"script", "link", "iframe", "object", "form"})
        assert all(source.startswith(("data:image/", "#")) for source in self.sources)
        assert "@import" not in text and "url(" not in text

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [
            str(value) for name, value in attributes if name in ("src", "href", "srcset", "data", "action")
        ]
        assert not any(name.startswith("on") for name, _ in attributes)
        assert tag != "img" or dict(attributes).get("alt")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
