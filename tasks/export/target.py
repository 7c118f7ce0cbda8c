"""The contract of an export's targets: what a file of ``tasks/export/`` has to declare.

A target is a :class:`Target` named ``TARGET``. Its `write` writes a shard, in any process and in
any order; its `finish` writes what is made of all shards, once, at the end. What a shard leaves
for the end goes there as lines of JSON.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from blocks.storage import Storage
from tasks.dataset.manifest import Manifest
from tasks.dataset.split import Split
from tasks.export.examples import Example
from tasks.export.publishing.licences import Licences
from tasks.export.rows import Rows
from tasks.export.shards import ShardItem
from tasks.export.sound import Audio, Sound, Sounds
from tasks.step import Row
from tasks.track import TrackError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES = 2**20

NO_AUDIO = "they hold codes of EnCodec, and it reads audio; webdataset and hf take them."
"""Why a target that needs audio is nothing for stems."""


class Shard:
    """A shard that is being written.

    Parameters
    ----------
    item
        Which it is.
    rows
        Its rows.
    sounds
        Makes their audio; None if none is exported.
    audio
        As what it is.
    output
        Where the export goes.

    Attributes
    ----------
    name
        ``train-00003``.
    split
        Of its rows.
    audio
        As what audio is exported.
    """

    def __init__(
        self, item: ShardItem, rows: Rows, sounds: Sounds | None, audio: Audio, output: Storage
    ) -> None:
        self.name = item.name
        self.split = item.split
        self._rows = rows
        self.audio = audio
        self._sounds = sounds
        self._output = output
        self._lines: list[bytes] = []
        self._files: list[Row] = []
        self._failures: list[Row] = []
        self._count = 0
        self._seconds = 0.0
        self._skipped = 0
        self._is_skipped = False

    @property
    def has_audio(self) -> bool:
        """Whether its rows have audio."""
        return self._sounds is not None

    @property
    def declared(self) -> Mapping[str, Any]:
        """What the dataset's manifest says of its columns, by table and name."""
        return self._rows.declared

    def tables(self) -> Iterator["pa.Table"]:
        """Yield its rows some at a time, as the dataset has them, without audio.

        A first column, :data:`tasks.export.rows.KEY`, is each row's name as that of a file.
        Segments have the columns of their tracks that hold one value besides.
        """
        for chosen, table in self._rows.tables():
            yield table
            for seconds in chosen["seconds"].to_pylist():
                self._counted(seconds)

    def examples(self) -> Iterator[tuple[Example, Sound | None]]:
        """Yield its rows with their audio; those that should have it and do not are failures.

        The audio of an example is there until the next one is asked for.
        """
        for example in self._rows.examples():
            if self._sounds is None:
                yield example, None
                self._counted(example.seconds)
                continue
            try:
                with self._sounds.of(example) as sound:
                    yield example, sound
                    self._counted(sound.seconds)
            except TrackError as error:
                self._fail(example, error)

    def skip(self, example: Example, reason: str, message: str) -> None:
        """Say why the example that was yielded last cannot be in the export: it is a failure."""
        self._fail(example, TrackError(reason, message))
        self._skipped += 1
        self._is_skipped = True

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Yield a local path; what is there at the end of the block is a file of the export."""
        with self._output.writing(path) as local:
            yield local
            self._files.append(described(path, local))

    def put(self, sound: Sound, path: str) -> None:
        """Make the audio of an example a file of the export."""
        is_link = self.audio == "link"
        unknown = {"path": path, "size_bytes": None, "sha256": None}
        self._files.append(unknown if is_link else described(path, sound.file))
        sound.place(self._output, path, self.audio)

    def put_bytes(self, content: bytes, path: str) -> None:
        """Make a small file of the export."""
        self._output.write_bytes(path, content)
        digest = sha256(content).hexdigest()
        self._files.append({"path": path, "size_bytes": len(content), "sha256": digest})

    def line(self, values: Mapping[str, Any]) -> None:
        """Leave a line of JSON for :meth:`Finished.lines`."""
        self._lines.append(orjson.dumps(values))

    def row(self, lines_place: Storage, lines_name: str) -> Row:
        """Return what the step says of it; to be called at the end.

        Parameters
        ----------
        lines_place, lines_name
            Where the lines go that were left for the end.
        """
        lines_place.write_bytes(lines_name, b"".join(line + b"\n" for line in self._lines))
        return {
            "rows": self._count,
            "audio_seconds": self._seconds,
            "lines": lines_name,
            "files": self._files,
            "failures": self._failures,
            "skipped": self._skipped,
        }

    def _counted(self, seconds: float | None) -> None:
        if self._is_skipped:
            self._is_skipped = False
            return
        self._count += 1
        self._seconds += seconds or 0.0

    def _fail(self, example: Example, error: TrackError) -> None:
        said = example.of_track
        self._failures.append(
            {
                "id": example.id,
                "path": str(said.get("file_path") or said.get("audio_path") or example.id),
                "reason": error.reason,
                "message": error.message,
            }
        )


@dataclass
class Finished:
    """An export whose shards are written.

    Attributes
    ----------
    name
        What it is called: the dataset's name.
    kind
        Job whose dataset it is of.
    segments, audio, vocals
        As the options have them.
    output
        Where it goes.
    shards
        Items with the rows of the step, in order.
    dataset
        Manifest of the dataset.
    licences
        Those of its rows, summed up.
    columns
        Of the rows: name, Arrow type, description and unit.
    files
        Those that no shard wrote: ``path``, ``size_bytes`` and ``sha256``.
    """

    name: str
    kind: str
    segments: bool
    audio: Audio
    vocals: bool
    output: Storage
    shards: Sequence[tuple[ShardItem, Row]]
    dataset: Manifest
    licences: Licences
    columns: "pa.Schema"
    parts: Storage
    files: list[Row] = field(default_factory=list)

    @property
    def splits(self) -> dict[Split, int]:
        """Rows of each split that has any."""
        found: dict[Split, int] = {}
        for item, row in self.shards:
            if row["rows"]:
                found[item.split] = found.get(item.split, 0) + row["rows"]
        return found

    def lines(self, split: Split | None = None) -> Iterator[bytes]:
        """Yield the lines that the shards have left, in order, with their line breaks."""
        for item, row in self.shards:
            if split in (None, item.split):
                yield from self.parts.read_bytes(row["lines"]).splitlines(keepends=True)

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Yield a local path; what is there at the end of the block is a file of the export."""
        with self.output.writing(path) as local:
            yield local
            self.files.append(described(path, local))

    def write_text(self, path: str, text: str) -> None:
        """Make a small text a file of the export."""
        with self.writing(path) as local:
            local.write_text(text, encoding="utf-8")


Finish = Callable[[Finished], None]


def nothing_more(finished: Finished) -> None:
    """Finish an export whose shards are all there is."""


@dataclass(frozen=True)
class Target:
    """Declaration of a target.

    Attributes
    ----------
    name
        As `--to` has it.
    summary
        What it is, and who reads it, for `--help` and the card.
    version
        Raised by hand whenever the code changes what is written.
    write
        Writes a shard.
    finish
        Writes what is made of all shards.
    audio
        As what it takes audio, the default first.
    keeps_files
        Whether it can say that a row is a part of a file, so that the file is copied or linked.
    has_columns
        Whether what is written has all columns of the dataset.
    unsuited
        Jobs whose datasets make no sense for it, each with the reason as a sentence.
    usage
        From an export to how it is loaded, as Markdown, for its card.
    front_matter
        From an export to what the card's YAML has besides.
    """

    name: str
    summary: str
    version: int
    write: Callable[[Shard], None]
    finish: Finish = nothing_more
    audio: tuple[Audio, ...] = ("copy", "flac", "opus", "link", "none")
    keeps_files: bool = False
    has_columns: bool = False
    unsuited: Mapping[str, str] = field(default_factory=dict)
    usage: Callable[[Finished], str] = lambda finished: ""
    front_matter: Callable[[Finished], dict[str, Any]] = lambda finished: {}


def described(path: str, local: Path) -> Row:
    """Return what is recorded of a file of an export."""
    digest, size = sha256(), 0
    with open(local, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return {"path": path, "size_bytes": size, "sha256": digest.hexdigest()}
