"""Generated music where people look for it: WAV files, and a table of what each is."""

import os
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from blocks.storage import Storage, StorageError
from tasks.dataset import placing
from tasks.inversion.piece import Piece
from tasks.step import Row, column, digest

TABLE = "generated.parquet"
CSV = "generated.csv"

COLUMNS = pa.schema(
    [
        column("prompt", pa.string(), "What was asked for; concepts as <name>"),
        column("seed", pa.int64(), "Seed of the piece: --seed of it, --count 1, makes it again"),
        column("file", pa.string(), "WAV file beside the table"),
        column("length_seconds", pa.float64(), "Length of the piece", "s"),
        column("sample_rate_hz", pa.int32(), "Sample rate", "Hz"),
        column("peak_dbfs", pa.float64(), "Largest sample as it was made; null: silence", "dB"),
        column("gain_db", pa.float64(), "Gain of the file; 0 unless it would be clipped", "dB"),
        column("cfg_coef", pa.float64(), "Guidance by the text"),
        column("temperature", pa.float64(), "Temperature of the sampling"),
        column("top_k", pa.int32(), "Codes that were drawn from; 0 for all"),
        column("model", pa.string(), "Generator"),
        column("model_revision", pa.string(), "Revision of its weights"),
        column("model_licence", pa.string(), "Licence of its weights"),
        column("embeds", pa.string(), "Learnt concepts; null for none"),
        column("embeds_revision", pa.string(), "Digest of the learnt concepts"),
        column("seconds", pa.float64(), "CPU time that the piece took", "s"),
    ]
)

MAX_NAME = 60
"""Letters of a prompt in the name of a file."""


def file_name(piece: Piece, key: str) -> str:
    """Return the name of a piece's file: its prompt and seed, and digits of all it depends on."""
    words = "_".join(re.findall(r"\w+", piece.prompt))[:MAX_NAME].strip("_") or "piece"
    return f"{words}-{piece.seed}-{digest(key.encode())[:8]}.wav"


def place(row: Row, name: str, stored: Storage, output: Storage) -> None:
    """Put the file of a piece where people look for it."""
    placing.place(stored, row["path"], output, name)


def write(output: Storage, rows: Sequence[Row]) -> int:
    """Write the table of a folder, as Parquet and CSV: of these pieces, and of earlier ones.

    Parameters
    ----------
    output
        Folder of the files.
    rows
        Of the pieces of this run, with all columns.

    Returns
    -------
    int
        Pieces of earlier runs whose files are still there.

    Raises
    ------
    StorageError
        If there is another table in its place.
    """
    import pyarrow.csv
    import pyarrow.parquet as pq

    new = {row["file"] for row in rows}
    there = set(output.files())
    kept = [row for row in read(output) if row["file"] in there - new]
    table = pa.Table.from_pylist([*kept, *rows], schema=COLUMNS)
    with output.writing(TABLE) as target:
        pq.write_table(table, target, compression="zstd")
    with output.writing(CSV) as target:
        pyarrow.csv.write_csv(table, target)
    return len(kept)


def read(output: Storage) -> list[dict[str, Any]]:
    """Return the rows of a folder's table; none where there is no table yet.

    Raises
    ------
    StorageError
        If there is something else in its place.
    """
    import pyarrow.parquet as pq

    try:
        with output.reading(TABLE) as path:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        return []
    except pa.ArrowInvalid as error:
        raise StorageError(
            f"{output.address}/{TABLE} is no table of generated music: move it away."
        ) from error
    return rows


def read_prompts(path: "os.PathLike[str]") -> list[str]:
    """Return the prompts of a text file, one per line; empty lines are none.

    Raises
    ------
    ValueError
        If it cannot be read, or holds none.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            prompts = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, ValueError) else error.strerror
        raise ValueError(f"{os.fspath(path)} cannot be read: {reason}") from error
    if not prompts:
        raise ValueError(f"{os.fspath(path)} holds no prompt: write one per line")
    return prompts
