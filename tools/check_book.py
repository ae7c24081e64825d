"""Read the built book: are all pages there, do all links lead somewhere, does nothing come from elsewhere?

python -m tools.check_book _build/html
"""

import argparse
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import yaml

from tools.pairs import MACHINE_PATH, ROOT

# Formulas need MathJax, the one script that comes from elsewhere.
ALLOWED_SCRIPTS = ("https://cdn.jsdelivr.net/npm/mathjax@3/",)
# Stands for wherever the book will be served: links that stay below it are ours.
HERE = "http://book.invalid"


@dataclass
class Page(HTMLParser):
    """What one page refers to, and what can be referred to in it."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    pictures_without_words: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    title: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and "stylesheet" in values.get("rel", ""):
            self.loaded.append(values["href"])
        elif tag in ("script", "img", "iframe", "source", "video") and "src" in values:
            self.loaded.append(values["src"])
        # Without words of its own, a notebook's figure gets the path of its file as alternative text.
        words = values.get("alt", "").strip()
        if tag == "img" and (not words or words.endswith((".png", ".svg", ".jpeg"))):
            self.pictures_without_words.append(values.get("src", "")[:80])
        if tag in ("script", "style", "title"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside[-1:] == ["title"]:
            self.title += data
        elif not self._inside:
            self.text.append(data)


def expected_pages(toc: Path = ROOT / "_toc.yml") -> list[str]:
    """The pages that the table of contents promises, as paths of HTML files."""
    found: list[str] = []

    def collect(entry: dict) -> None:
        name = entry.get("file") or entry.get("root")
        if name:
            found.append(f"{name.removesuffix('.md').removesuffix('.ipynb')}.html")
        for children in ("parts", "chapters", "sections"):
            for child in entry.get(children, ()):
                collect(child)

    collect(yaml.safe_load(toc.read_text("utf-8")))
    return [*found, "index.html", "genindex.html", "search.html"]


def read_pages(html: Path) -> dict[str, Page]:
    """Every page of a built book, by its path."""
    pages = {}
    for path in sorted(html.rglob("*.html")):
        if "_static" in path.relative_to(html).parts:
            continue
        page = Page()
        page.feed(path.read_text("utf-8"))
        pages[path.relative_to(html).as_posix()] = page
    return pages


def faults(html: Path, expected: list[str]) -> list[str]:
    """What is wrong with a built book, in words; nothing when all is well."""
    pages = read_pages(html)
    found = [f"{name} is in the table of contents but was not built" for name in expected if name not in pages]
    for name, page in pages.items():
        if not page.title.strip() and name != "index.html":
            found.append(f"{name} has no title")
        for link in [*page.links, *page.loaded]:
            found += [f"{name}: {fault}" for fault in link_faults(link, name, html, pages)]
        for address in page.loaded:
            if urlparse(address).netloc and not address.startswith(ALLOWED_SCRIPTS):
                found.append(f"{name} loads {address} from elsewhere")
        found += [f"{name}: a picture has no alternative text: {source}" for source in page.pictures_without_words]
        paths = {match.group() for match in MACHINE_PATH.finditer("\n".join(page.text))}
        found += [f"{name} shows a path of the machine that built it: {path}" for path in sorted(paths)]
    return found


def link_faults(link: str, page: str, html: Path, pages: dict[str, Page]) -> list[str]:
    """What is wrong with one link of a page: the file or the place in it does not exist."""
    parts = urlparse(urljoin(f"{HERE}/{page}", link))
    if f"{parts.scheme}://{parts.netloc}" != HERE:
        return []
    target = unquote(parts.path).lstrip("/")
    if target == "" or target.endswith("/"):
        target += "index.html"
    if target not in pages:
        return [] if (html / target).is_file() else [f"the link {link} leads nowhere"]
    if parts.fragment and unquote(parts.fragment) not in pages[target].anchors:
        # MathJax makes the anchors of equations when the page is shown; `#` alone and `#top` are the browser's own.
        if parts.fragment == "top":
            return []
        return [f"the link {link} leads to a place that {target} does not have"]
    return []


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.check_book", description="Check a built book.")
    parser.add_argument("html", type=Path, help="the folder with the built pages, such as _build/html")
    html = parser.parse_args(arguments).html
    expected = expected_pages()
    found = faults(html, expected)
    for fault in found:
        print(fault, file=sys.stderr)
    if not found:
        print(f"{len(expected)} pages built, all links lead somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
