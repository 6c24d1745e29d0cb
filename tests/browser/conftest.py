"""The product as a browser meets it: a real server on seeded data, a real Chromium.

One browser for the folder, one server for each module; every test has a browser context of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.config.conftest import clean_environment
from tests.conftest import free_port, wait_for_port
from tests.requirements import chromium

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OPEN_SHADOWS = """
    const attach = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (options) {
        return attach.call(this, { ...options, mode: "open" });
    };
"""
"""The launcher's shadow root is closed; a test that looks inside runs this before the page's scripts."""
Visit = Callable[..., Page]
Enter = Callable[..., Page]
OPERATOR, PASSWORD = "rosa", "clover-and-clover"
"""Who signs in; a file that needs them makes the account in its seed."""


class Live:
    """A web server of the suite on its own port and data folder; it may be killed and started again."""

    def __init__(self, folder: Path, seed: Path) -> None:
        shutil.copytree(seed, folder / "data")
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--log-level", "warning"],
                cwd=self.folder,
                env=clean_environment(self.folder / "data", LOG_LEVEL="WARNING"),
                stdout=log,
                stderr=log,
            )
        wait_for_port(self.port)

    def kill(self) -> None:
        """End it at once, streams and all, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    @property
    def log(self) -> str:
        """What the server said."""
        return (self.folder / "log").read_text()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium for the whole folder."""
    program = chromium()
    assert program, "Chromium is missing: python -m tests.requirements says how to get it"
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with what `tests/browser/seed.py` puts in it."""
    data = tmp_path_factory.mktemp("browser-seed") / "data"
    environment = clean_environment(data, LOG_LEVEL="WARNING", DJANGO_SETTINGS_MODULE="config.settings")
    subprocess.run(
        [sys.executable, "-m", "tests.browser.seed"],
        cwd=data.parent,  # where no .env is
        env=environment,
        check=True,
        timeout=120,
    )
    return data


@pytest.fixture(scope="module")
def live(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running server with data of its own."""
    server = Live(tmp_path_factory.mktemp("live"), seed)
    server.start()
    yield server
    server.kill()
    assert "Traceback" not in server.log


@pytest.fixture
def visit(browser: Browser, live: Live) -> Iterator[Visit]:
    """`visit("/shop/", locale="zh-CN")`: a page in a fresh context; errors of its scripts fail the test."""
    contexts = []
    errors: list[str] = []

    def open_page(path: str, *, before: str = "", **options: Any) -> Page:
        context = browser.new_context(base_url=live.url, **options)
        contexts.append(context)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def enter(visit: Visit) -> Enter:
    """`enter("/console/...", viewport=...)`: that page, signed in."""

    def signed_in(path: str, **options: Any) -> Page:
        page = visit(f"/console/login/?next={path}", **options)
        page.locator("#id_username").fill(OPERATOR)
        page.locator("#id_password").fill(PASSWORD)
        page.locator("#id_password").press("Enter")
        page.wait_for_url(lambda url: path in url and "/console/login/" not in url)
        return page

    return signed_in
