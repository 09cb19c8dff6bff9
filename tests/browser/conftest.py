"""A headless browser without network, and pages of runs to open in it."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from suites.reporting.run import write_report

from ..suites.reporting.folders import run_folder

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    """Chromium, of $CHROMIUM or the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "no Chromium found; install one (Debian: apt install chromium), or set CHROMIUM to its path"
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """``written(name)``: the path of the page of one of the folders, made once."""
    made = {}

    def write(name):
        if name not in made:
            made[name] = write_report(run_folder(tmp_path_factory.mktemp("run"), name))
        return made[name]

    return write


@pytest.fixture
def opened(browser, written):
    """``opened(name or path, **context)``: a ready page; at the end no console message and no request is allowed."""
    pages, complaints = [], []

    def open_page(what, **settings):
        context = browser.new_context(offline=True, **settings)
        page = context.new_page()
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        path = written(what) if isinstance(what, str) else what
        page.on(
            "request",
            lambda request: complaints.append(request.url) if not request.url.startswith(("file:", "data:")) else None,
        )
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=30_000)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert complaints == []
