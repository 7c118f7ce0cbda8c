"""Search for music by words: a text to the tracks that a projection finds nearest."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from models.protocols import (
    PROJECTION,
    EmbeddingProjector,
    TextEmbedder,
)
from models.weights import MANIFEST
from tasks.dataset import embeddings
from tasks.dataset.embeddings import EmbeddingsError
from tasks.embed.queries import embedder_of
from tasks.projection import index
from tasks.projection.pairs import FILE
from tasks.step import Tools

Float32 = npt.NDArray[np.float32]

CHUNK_ROWS = 16_384


class SearchError(ValueError):
    """A search that cannot be done; one sentence with the remedy."""


@dataclass(frozen=True)
class Hit:
    """A track that was found.

    Attributes
    ----------
    rank
        From 1.
    score
        Cosine similarity to the text in the projection's space.
    id, title, artist, audio_path, dataset, split
        Of the track.
    caption
        Its main caption.
    """

    rank: int
    score: float
    id: str
    title: str
    artist: str
    audio_path: str
    caption: str
    dataset: str
    split: str


@dataclass(frozen=True)
class Searcher:
    """A projection, its text encoder and its index, loaded once for many searches."""

    path: Path
    projector: EmbeddingProjector
    embedder: TextEmbedder
    index: Any

    def find(self, text: str, count: int = 10, split: str | None = None) -> list[Hit]:
        """Return the tracks that are nearest to a text, the nearest first.

        Parameters
        ----------
        text
            What to search for.
        count
            How many tracks.
        split
            Of which split; of all by default.

        Raises
        ------
        SearchError
            If the text is empty, or no track is of that split.
        """
        if not text.strip():
            raise SearchError("There is nothing to search for: say in words what the music is.")
        among = None
        if split is not None:
            among = np.flatnonzero(np.array(embeddings.splits(self.path)) == split)
            if not len(among):
                raise SearchError(f"No track of {self.path} is of the split {split}.")
        (embedding,) = self.embedder.embed_text([text])
        query = self.projector.project_text(np.asarray(embedding, np.float32)[None])[0]
        found = index.nearest(self.index, query, count, among)
        items = embeddings.items_at(self.path, [number for number, _ in found])
        return [
            Hit(
                rank=rank,
                score=score,
                **{
                    name: item[name]
                    for name in Hit.__dataclass_fields__
                    if name not in ("rank", "score")
                },
            )
            for rank, ((_, score), item) in enumerate(zip(found, items, strict=True), 1)
        ]


def search(
    text: str,
    projection: Path,
    data_dir: Path,
    count: int = 10,
    split: str | None = None,
    *,
    tools: Tools | None = None,
) -> list[Hit]:
    """Return the tracks of a folder of embeddings that are nearest to a text.

    Parameters
    ----------
    text
        What to search for.
    projection
        Folder of a projection, or one that holds the ``<encoder>_best`` of a single one.
    data_dir
        Folder of ``embeddings.h5``, by the encoders that the projection was trained on.
    count
        How many tracks.
    split
        Of which split; of all by default.
    tools
        Where models lie and run; on this machine's CPU by default.

    Raises
    ------
    SearchError
        If it cannot be done.
    ModelError
        If a model cannot be used.
    """
    return searcher(projection, data_dir, tools=tools).find(text, count, split)


def searcher(projection: Path, data_dir: Path, *, tools: Tools | None = None) -> Searcher:
    """Load what searches need; the index is made if there is none of these embeddings.

    Raises
    ------
    SearchError
        If the embeddings are not those that the projection was trained on.
    ModelError
        If a model cannot be used.
    """
    folder, path = projection_folder(projection), data_dir / FILE
    here = Storage(str(data_dir))
    tools = tools or Tools(here, here)
    weights, name = tools.weights.with_own(str(folder), PROJECTION)
    tools = replace(tools, weights=weights)
    projector = tools.model(name, PROJECTION)
    try:
        audio, text = embeddings.encoders(path)
        _check(projector, "audio", audio, path, folder)
        said = _check(projector, "text", text, path, folder)
        return Searcher(
            path=path,
            projector=projector,
            embedder=embedder_of(said, tools),
            index=_index(projector, weights.revision(name), path, folder),
        )
    except EmbeddingsError as error:
        raise SearchError(str(error)) from error


def projection_folder(place: Path) -> Path:
    """Return the folder of a projection: a folder itself, or the only one below it.

    Raises
    ------
    SearchError
        If there is none, or more than one.
    """
    if (place / MANIFEST).is_file():
        return place
    below = sorted(path.parent for path in place.glob(f"*_best/{MANIFEST}"))
    if len(below) == 1:
        return below[0]
    if below:
        names = ", ".join(path.name for path in below)
        raise SearchError(f"{place} holds several projections ({names}): name one of them.")
    raise SearchError(f"{place} holds no projection: train one with flows/train_projection.py.")


def _check(
    projector: EmbeddingProjector,
    kind: str,
    there: dict[str, dict[str, str]],
    path: Path,
    folder: Path,
) -> dict[str, str]:
    """Return the attributes of the encoder that a projection wants, if a file has it."""
    wanted = projector.encoders[kind]
    name = wanted["name"]
    if name not in there:
        names = ", ".join(sorted(there)) or "none"
        raise SearchError(
            f"{folder} projects {kind} embeddings by {name}, and {path} has those by: {names}. "
            f"Add them with `python flows/prepare_embeddings.py`, or train on these."
        )
    for key in ("model", "revision", "config"):
        if there[name].get(key, "") != wanted[key]:
            raise SearchError(
                f"{folder} was trained on {kind} embeddings by {name} of another {key} "
                f"({wanted[key]}) than those of {path} ({there[name].get(key, '')}): train it anew."
            )
    return there[name]


def _index(projector: EmbeddingProjector, revision: str, path: Path, folder: Path) -> Any:
    """Return the index of a file's embeddings: as it was stored, or made and stored."""
    stored = folder / f"search-{_stamp(revision, path)}.faiss"
    if (found := index.load(stored)) is not None:
        return found
    name = projector.encoders["audio"]["name"]
    sound = embeddings.read(path, audio=[name], text=[]).audio[name]
    if not len(sound.item) or not np.isfinite(sound.embedding).all():
        raise SearchError(
            f"{path} has no {name} embeddings, or some that are no numbers: prepare them anew."
        )

    def chunks() -> Iterator[Float32]:
        for at in range(0, len(sound.item), CHUNK_ROWS):
            yield projector.project_audio(sound.embedding[at : at + CHUNK_ROWS])

    made = index.build(chunks, sound.item.astype(np.int64))
    # Of a folder that cannot be written the index is made each time.
    with suppress(OSError):
        index.save(made, stored)
        for older in folder.glob("search-*.faiss"):
            if older != stored:
                older.unlink()
    return made


def _stamp(revision: str, path: Path) -> str:
    """Digest of what an index depends on; a file that was written anew has another."""
    status = path.stat()
    said = [index.VERSION, revision, str(path.resolve()), status.st_size, status.st_mtime_ns]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
