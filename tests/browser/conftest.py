"""JupyterLab on a copy of the notebooks, and a Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyter_page import SECOND
from playwright.sync_api import Browser, Page, expect, sync_playwright
from workbench.lab import Lab, start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
expect.set_options(timeout=30 * SECOND)  # two busy cores
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker drives the browser, whatever the others do."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


def find_chromium() -> str | None:
    """Return the Chromium to use: $CHROMIUM, one on the path, or None for Playwright's own."""
    named = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in ([named] if named else _PROGRAMS))
    return next((path for path in found if path), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    arguments = ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    if os.geteuid() == 0:  # Chromium's sandbox refuses to run as root
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        program = find_chromium()
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lab")  # a copy: JupyterLab saves by itself
    ignored = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(REPOSITORY / "notebooks", root / "notebooks", ignore=ignored)
    return root


@pytest.fixture(scope="session")
def lab(lab_root: Path) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as environment:
        # Detectors train for two epochs where a laptop would take eight: the kernels take this on.
        environment.setenv("FLASHCLUMP_EPOCHS", "2")
        with start_lab(lab_root) as running:
            yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(30 * SECOND)
    yield opened
    context.close()
