"""browse: look at and listen to a dataset, and correct it."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from apps import serving
from apps.browse_routes import routes
from apps.browsed import Browsed
from flows import cli
from flows.cli import FlowParams, UsageError
from flows.compute_params import FILES
from flows.place_params import LocalPath, OptionalLocalPath
from tasks.dataset.query import QueryError

HERE = Path(__file__).parent


class BrowseParams(FlowParams):
    """Look at and listen to a dataset in a browser, and correct it.

    Shows the tracks of a dataset that build_dataset.py, unify_datasets.py or stems.py made: a
    table to filter, and of each track its audio with what is known of it. What is corrected goes
    into corrections.jsonl beside the tables; the next build of songs merges it.
    """

    examples: ClassVar[str] = """examples:
  python apps/browse.py out/songs.json
  python apps/browse.py out/songs.json --audio_dir /mnt/songs --port 7870
  python apps/browse.py stems/guitar
"""

    dataset: LocalPath = Field(
        description="JSON file of a dataset, its folder of tables, or a folder of stems.py.",
        json_schema_extra=FILES,
    )
    audio_dir: OptionalLocalPath = Field(
        None,
        description="Folder with the audio, where it is not where the dataset says.",
        json_schema_extra=FILES,
    )
    port: int | None = Field(
        None, ge=1, le=65_535, description="Port of this machine (default: the first free one)."
    )


def opened(params: BrowseParams) -> Browsed:
    """Return the dataset that is asked for.

    Raises
    ------
    UsageError
        If there is none, or the folder of its audio is none.
    """
    if params.audio_dir and not params.audio_dir.is_dir():
        raise UsageError(f"--audio_dir {params.audio_dir} is not a folder.")
    try:
        return Browsed(params.dataset, params.audio_dir)
    except QueryError as error:
        raise UsageError(str(error)) from error


def style() -> tuple[str, str]:
    """Return the style of the page, and what belongs into its head: the script."""
    script = (HERE / "browse.js").read_text("utf-8")
    return (HERE / "browse.css").read_text("utf-8"), f"<script>{script}</script>"


def main() -> None:
    """Serve the page until Ctrl-C."""
    params = cli.parse(BrowseParams)

    def command() -> None:
        dataset = opened(params)
        serving.quiet()
        from apps.browse_page import page

        css, head = style()
        serving.serve(page(dataset), port=params.port, css=css, head=head, routes=routes(dataset))

    cli.run(command)


if __name__ == "__main__":
    main()
