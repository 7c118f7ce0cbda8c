"""Schema of a dataset of pairs, and its codes as arrays of Arrow and of numpy.

One row is one chunk of one pair. What `encode` stores of a song are the columns of
:func:`chunk_fields`; a dataset's rows have its lineage before them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.stems.tokens import SpecialTokens
from tasks.step import column

Codes = npt.NDArray[np.uint16]

Context = Literal["all", "all_without"]
Signal = Literal["stem", "all", "all_without"]

CONTEXTS: tuple[Context, ...] = get_args(Context)

METADATA_KEY = b"songmill.stems"
"""Key of the schema's metadata under which an :class:`Encoding` stands as JSON."""

_SIGNALS: dict[Signal, str] = {
    "stem": "the target stem alone, undistorted",
    "all": "the distorted mix of companions and target",
    "all_without": "the distorted mix of the companions, without the target",
}

_LINEAGE = (
    column("pair_id", pa.string(), "Digest of the assortment, its variant and all parameters"),
    column("chunk", pa.int32(), "Place of the chunk in the pair, from 0; silent ones are left out"),
    column("song_id", pa.string(), "Digest of the song's stems"),
    column("artist", pa.string(), "Artist of the song"),
    column("title", pa.string(), "Title of the song"),
    column("instrument", pa.string(), "Instrument of the target stem"),
    column("stem_name", pa.string(), "What the source calls the target stem"),
    column("target", pa.string(), "Digest of the target stem"),
    column("companions", pa.list_(pa.string()), "Digests of the companion stems"),
    column("companion_names", pa.list_(pa.string()), "What the source calls them"),
    column("kind", pa.string(), "basic: one basic companion; random: up to three of any kind"),
    column("variant", pa.int32(), "Variant of the song; 0 is the original"),
)

_PARAMETERS = (
    column("pitch_semitones", pa.float64(), "Shift of the pitch", "semitones"),
    column("tempo", pa.float64(), "Tempo over the original's; above 1 is faster"),
    column("gain_db", pa.float64(), "Gain of all signals of the pair", "dB"),
    column("seed", pa.string(), "Seed of the distortion, in hexadecimal"),
    column("distortions", pa.string(), "Distortions of the contexts, in order, as JSON"),
    column("codec", pa.string(), "Model that encoded"),
    column("codec_revision", pa.string(), "Revision of its weights"),
    column("bandwidth_kbps", pa.float64(), "Bandwidth of the codes", "kb/s"),
    column("chunk_frames", pa.int32(), "Frames of a whole chunk"),
    column("frame_rate_hz", pa.float64(), "Frames per second", "Hz"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the codes of a dataset were made; the same for all of its rows.

    Attributes
    ----------
    codec, codec_revision
        The model, and the revision of its weights.
    bandwidth_kbps
        Bandwidth of the codes.
    codebooks, codebook_size
        Codes per frame, and how many there are to choose from.
    chunk_frames, chunk_samples
        Length of a whole chunk.
    frame_rate_hz, sample_rate_hz, channels
        Of the codes, and of the audio that they stand for.
    contexts
        Which contexts were encoded.
    """

    codec: str
    codec_revision: str
    bandwidth_kbps: float
    codebooks: int
    codebook_size: int
    chunk_frames: int
    chunk_samples: int
    frame_rate_hz: float
    sample_rate_hz: int
    channels: int
    contexts: tuple[Context, ...] = CONTEXTS

    @property
    def tokens(self) -> SpecialTokens:
        """Tokens beside the codes."""
        return SpecialTokens(self.codebook_size)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What a row holds the codes of, in the order of the columns."""
        return ("stem", *self.contexts)

    @property
    def row_bytes(self) -> int:
        """What the codes of a row take in memory."""
        return 2 * self.codebooks * self.chunk_frames * len(self.signals)


def dataset(encoding: Encoding) -> pa.Schema:
    """Return the schema of a dataset's rows, whose metadata holds the encoding."""
    chunks = chunk_fields(encoding.codebooks, encoding.chunk_frames, encoding.contexts)
    fields = [*_LINEAGE, *chunks[2:], *_PARAMETERS]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(asdict(encoding))})


def encoding_of(schema: pa.Schema) -> Encoding:
    """Return the encoding that the schema of a dataset's file holds.

    Raises
    ------
    ValueError
        If it holds none.
    """
    text = (schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise ValueError("the file is not one of a dataset of pairs that Songmill wrote")
    values: dict[str, Any] = json.loads(text)
    return Encoding(**values | {"contexts": tuple(values["contexts"])})


def chunk_fields(
    codebooks: int, chunk_frames: int, contexts: Sequence[Context] = CONTEXTS
) -> list[pa.Field]:
    """Return the columns that `encode` stores of each chunk, the first two of which identify it.

    Parameters
    ----------
    codebooks, chunk_frames
        Shape of the codes of a chunk.
    contexts
        Contexts that are encoded; there are no columns for others.
    """
    codes = pa.list_(pa.list_(pa.uint16(), chunk_frames), codebooks)
    signals: tuple[Signal, ...] = ("stem", *contexts)
    return [
        *_LINEAGE[:2],
        column("start_seconds", pa.float64(), "Start of the chunk in the pair", "s"),
        column("frames", pa.int32(), "Frames of the chunk; the rest of the codes is padding"),
        column("samples", pa.int32(), "Length of the chunk as audio", "samples"),
        column(
            "stem_active_fraction", pa.float64(), "Share of the chunk in which the target sounds"
        ),
        *(
            column(f"codes_{signal}", codes, f"Codes of {_SIGNALS[signal]}, per codebook")
            for signal in signals
        ),
        *(
            column(
                f"scales_{signal}",
                pa.list_(pa.float32()),
                f"Loudness taken off each second of {signal} (48 kHz model; else null)",
            )
            for signal in signals
        ),
    ]


def to_arrow(codes: Codes) -> pa.FixedSizeListArray:
    """Return codes of shape ``(rows, codebooks, frames)`` as a column, without a copy."""
    _, codebooks, frames = codes.shape
    values = pa.array(codes.reshape(-1))
    inner = pa.FixedSizeListArray.from_arrays(values, frames)
    return pa.FixedSizeListArray.from_arrays(inner, codebooks)


def to_numpy(codes: pa.FixedSizeListArray) -> Codes:
    """Return a column of codes as an array of shape ``(rows, codebooks, frames)``."""
    inner = codes.flatten()
    values: Codes = inner.flatten().to_numpy()
    return values.reshape(len(codes), codes.type.list_size, inner.type.list_size)
