"""Pages in a real browser, without a window."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A Chromium that the machine has; its pages play audio without a click.

    No longer than a module: Playwright leaves an event loop running in the thread, where calls
    of Prefect return coroutines.
    """
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: pages are not tested")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield chromium
        chromium.close()
