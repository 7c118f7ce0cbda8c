"""inversion: MusicGen is taught concepts, and makes music with them, in a browser."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps import serving
from apps.concepts.params import InversionAppParams
from flows import cli
from flows.cli import UsageError
from tasks.inversion import concepts
from tasks.inversion.concepts import Concepts, ConceptsError

if TYPE_CHECKING:
    import gradio as gr
    from starlette.routing import BaseRoute

    from apps.concepts.room import Room
    from apps.concepts.trainings import Trainings
    from apps.concepts.visitors import Visitors


@contextmanager
def page(params: InversionAppParams) -> Iterator[dict[str, Any]]:
    """Yield what :func:`apps.serving.started` is given; what runs is stopped after.

    Raises
    ------
    UsageError
        If there is no dataset of concepts.
    """
    from apps.concepts.room import Room
    from apps.concepts.trainings import Trainings
    from apps.concepts.visitors import Visitors

    try:
        dataset = concepts.read(params.dataset)
    except ConceptsError as error:
        raise UsageError(str(error)) from error
    params.embeds.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="songmill-music-") as folder:
        visitors, room = Visitors(Path(folder)), Room()
        trainings = Trainings(room)
        try:
            yield {
                "blocks": _blocks(params, dataset, visitors, room, trainings),
                "port": params.port,
                "css": _own("page.css"),
                "head": f"<script>{_own('page.js')}</script>",
                "routes": _routes(visitors),
            }
        finally:
            trainings.close()


def _blocks(
    params: InversionAppParams,
    dataset: Concepts,
    visitors: "Visitors",
    room: "Room",
    trainings: "Trainings",
) -> "gr.Blocks":
    serving.quiet()
    import gradio as gr

    from apps.concepts import generate_tab, train_tab

    with gr.Blocks(title="Concepts of music", analytics_enabled=False) as blocks:
        gr.Markdown("# Concepts of music")
        with gr.Tabs():
            with gr.Tab("Train", id="train"):
                train_tab.build(params, dataset, trainings)
            with gr.Tab("Generate", id="generate"):
                generate_tab.build(params, visitors, room)

        def leave(request: gr.Request) -> None:
            visitors.leave(request.session_hash)

        blocks.unload(leave)
    return blocks


def _routes(visitors: "Visitors") -> list["BaseRoute"]:
    """Return where the page's own files are: those that it shows, and no others."""
    from starlette.requests import Request
    from starlette.responses import FileResponse, PlainTextResponse, Response
    from starlette.routing import Route

    async def music(request: Request) -> Response:
        path = visitors.file(request.path_params["token"], request.path_params["name"])
        if path is None or not path.is_file():
            return PlainTextResponse("There is no such piece.", 404)
        return FileResponse(path, media_type="audio/wav", filename=path.name)

    return [Route("/music/{token}/{name}", music)]


def _own(name: str) -> str:
    return (files("apps") / "concepts" / name).read_text(encoding="utf-8")


def main() -> None:
    """Serve the page until Ctrl-C."""
    params = cli.parse(InversionAppParams)

    def command() -> None:
        with page(params) as made:
            serving.serve(**made)

    cli.run(command)


if __name__ == "__main__":
    main()
