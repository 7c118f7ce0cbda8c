"""Pages for people, served to this machine alone."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli import UsageError

if TYPE_CHECKING:
    import gradio as gr
    from starlette.routing import BaseRoute

HOST = "127.0.0.1"

HOST_NAMES = [HOST, "localhost"]
"""By which a browser may ask: a page of another name that leads here by DNS gets nothing."""

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO_FONTS = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace")
"""Fonts that a machine has: none is fetched."""


def quiet() -> None:
    """Keep Gradio from calling home; before it is imported."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")


def serve(
    blocks: "gr.Blocks",
    *,
    port: int | None,
    allowed: Sequence[Path] = (),
    css: str = "",
    head: str = "",
    routes: Sequence["BaseRoute"] = (),
) -> None:
    """Serve a page until Ctrl-C.

    Parameters
    ----------
    blocks
        The page.
    port
        Where; the first free one from 7860 on if it is None.
    allowed
        Files and folders that Gradio may serve, besides those that it made itself.
    css, head
        Style of the page, and what else belongs into its head.
    routes
        What the server answers besides, before Gradio is asked.

    Raises
    ------
    UsageError
        If the port is taken.
    """
    with started(blocks, port=port, allowed=allowed, css=css, head=head, routes=routes) as url:
        print(f"Open {url} in a browser of this machine; Ctrl-C ends it.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Closed.")


@contextmanager
def started(
    blocks: "gr.Blocks",
    *,
    port: int | None,
    allowed: Sequence[Path] = (),
    css: str = "",
    head: str = "",
    routes: Sequence["BaseRoute"] = (),
) -> Iterator[str]:
    """Serve a page within a block, as :func:`serve` does; yields its address."""
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=HOST_NAMES)]
    app: dict[str, Any] = {"routes": list(routes), "middleware": middleware}
    try:
        _, url, _ = blocks.launch(
            server_name=HOST,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            footer_links=[],
            allowed_paths=[str(path.resolve()) for path in allowed],
            app_kwargs=app,
            theme=gr.themes.Default(font=FONTS, font_mono=MONO_FONTS),
            css=css,
            head=head,
        )
    except OSError as error:
        raise UsageError(
            f"Port {port} cannot be had: another program uses it. Give another --port."
            if port
            else f"No port from 7860 to 7959 can be had ({error}): give one by --port."
        ) from error
    try:
        yield url
    finally:
        blocks.close(verbose=False)
