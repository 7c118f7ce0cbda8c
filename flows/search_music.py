"""search-music: words in; the tracks that a projection finds nearest out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from blocks import cluster
from blocks.storage import Storage
from flows import cli
from flows.cli import FlowParams, UsageError
from flows.compute_params import COMPUTE, FILES
from flows.place_params import LocalPath, OptionalPlace
from tasks.dataset.split import Split
from tasks.projection.search import Hit, SearchError, search
from tasks.step import Tools
from tasks.text import printable
from tasks.weights import Weights, default_address


class SearchMusicParams(FlowParams):
    """Find the tracks that a text describes best, by a projection that was trained here.

    The first search makes an index beside the projection, and makes it anew when the
    embeddings have changed.
    """

    examples: ClassVar[str] = """examples:
  python flows/search_music.py "slow piano in a minor key"
  python flows/search_music.py "angry guitars" --projection runs/projection/muq_best --count 5
  python flows/search_music.py "a calm voice" --split test --json
"""

    text: str = Field(description="What the music is like.", json_schema_extra=FILES)
    projection: LocalPath = Field(
        Path("runs/projection"),
        description="Folder of a projection, or one in which its ENCODER_best lies.",
        json_schema_extra=FILES,
    )
    data_dir: LocalPath = Field(
        Path("data/processed_embeddings"),
        description="Folder of embeddings.h5, with the tracks to search.",
        json_schema_extra=FILES,
    )
    count: int = Field(10, ge=1, description="Tracks to show.")
    split: Split | None = Field(None, description="Search only tracks of this split.")
    as_json: bool = Field(
        False, description="Print the tracks as JSON.", json_schema_extra={"flag": "json"}
    )
    models_dir: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) of the models' weights (default: "
        "$SONGMILL_MODELS_DIR, or the user's cache).",
        json_schema_extra=FILES,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where the text encoder runs.", json_schema_extra=COMPUTE
    )


def search_music(params: SearchMusicParams) -> list[Hit]:
    """Return the tracks that a text describes best.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    here = Storage(str(params.data_dir))
    tools = Tools(
        here,
        here,
        device="cuda" if cluster.gpus(params.device) else "cpu",
        weights=Weights(params.models_dir or default_address()),
    )
    try:
        return search(
            params.text,
            params.projection,
            params.data_dir,
            params.count,
            params.split,
            tools=tools,
        )
    except SearchError as error:
        raise UsageError(str(error)) from error


def describe(hits: list[Hit]) -> str:
    """Return tracks for people: two lines each."""
    lines = []
    for hit in hits:
        name = f"{hit.artist}: {hit.title or hit.id}" if hit.artist else hit.title or hit.id
        lines.append(
            f"{hit.rank:3}  {hit.score:.3f}  {printable(name)}  {printable(hit.audio_path)}"
        )
        lines.append(f"            {printable(hit.caption)}")
    return "\n".join(lines)


def main() -> None:
    """Search for music."""
    params = cli.parse(SearchMusicParams)

    def command() -> None:
        hits = search_music(params)
        as_json = json.dumps([asdict(hit) for hit in hits], indent=2, ensure_ascii=False)
        print(as_json if params.as_json else describe(hits))

    cli.run(command)


if __name__ == "__main__":
    main()
