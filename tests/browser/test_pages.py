"""The built book in a browser: pages load without errors, light and dark, and fit a phone.

Needs a built book (`make book`) and a Chromium of the system; says so and skips where either is missing.
"""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.check_book import ALLOWED_SCRIPTS, expected_pages

HTML = Path(os.environ.get("VAELIB_BOOK", Path(__file__).parents[2] / "_build" / "html"))
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The theme says this on every first visit, and means nothing by it.
KNOWN = ("Got invalid theme mode",)
PAGES = [page for page in expected_pages() if page not in ("index.html", "genindex.html", "search.html")]


def chromium() -> str | None:
    """The path of a Chromium, from VAELIB_CHROMIUM or the usual names."""
    return os.environ.get("VAELIB_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium here (name one in VAELIB_CHROMIUM)"),
    pytest.mark.skipif(
        not (HTML / "index.html").exists(), reason=f"there is no built book in {HTML} (run `make book`)"
    ),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The book on a port of this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, site):
    """Open a page of the book; what it asked of other servers and what it complained about come back with it."""
    contexts = []

    def open_page(address: str, width: int, scheme: str):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, foreign, complaints = context.new_page(), [], []

        def route(request):
            if request.request.url.startswith(site):
                request.continue_()
            else:
                # No test should need a network: other servers answer with nothing.
                foreign.append(request.request.url)
                request.fulfill(status=200, body="", content_type="text/javascript")

        page.route("**/*", route)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        answer = page.goto(site + address, wait_until="load")
        assert answer.status == 200
        return page, foreign, [text for text in complaints if not text.startswith(KNOWN)]

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("address", PAGES)
def test_a_page_loads_without_errors_and_fits_a_phone_and_a_desk(visit, address):
    for width, scheme in ((1280, "light"), (390, "dark")):
        page, foreign, complaints = visit(address, width, scheme)
        assert complaints == [], f"at {width} px, {scheme}"
        assert [url for url in foreign if not url.startswith(ALLOWED_SCRIPTS)] == []
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, f"{address} is {overflow} px too wide at {width} px"
        assert page.locator("article h1").first.is_visible()


def brightness(page) -> float:
    """Of the page's background, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3


def test_the_book_follows_the_reader_s_choice_of_light_or_dark(visit):
    light, _, _ = visit("book/index.html", 1280, "light")
    dark, _, _ = visit("book/index.html", 1280, "dark")
    assert brightness(light) > 200
    assert brightness(dark) < 60


def test_the_root_leads_to_the_first_page(visit):
    page, _, _ = visit("index.html", 1280, "light")
    page.wait_for_url("**/book/index.html")
    assert page.locator("h1").first.inner_text().startswith("From Autoencoders to NVAE")
