"""Music that is made in this process, piece by piece, for whoever asks."""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from apps.concepts.room import Room
from apps.concepts.visitors import MadePiece, Visitor
from blocks.storage import Storage, StorageError
from flows import generate_music
from flows.cli import UsageError
from flows.generate_music_params import GenerateMusicParams
from models import adapters
from models.protocols import GENERATION
from tasks.inversion import generated
from tasks.inversion.generate import concepts_of, enough_memory, made_by, stored
from tasks.inversion.piece import Piece, pieces
from tasks.track import TrackError
from tasks.weights import ModelError

Say = Callable[[float, str], None]
"""Told which part of the work is done, between 0 and 1, and a phrase."""


class CancelledError(Exception):
    """What was asked for is not wanted any more."""


def make(
    wanted: GenerateMusicParams, visitor: Visitor, room: Room, say: Say
) -> Iterator[MadePiece]:
    """Make the pieces of one prompt, each of which is the visitor's as soon as it is there.

    They are those that ``flows/generate_music.py`` makes of the same options. The generator stays
    in memory for the next ones.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    CancelledError
        If the visitor has taken it back.
    """
    ticket = visitor.asked

    def check_wanted() -> None:
        if visitor.cancelled >= ticket:
            raise CancelledError

    check_wanted()
    with room.taken("music"):
        asked = pieces(generate_music.check(wanted), wanted.count, wanted.seed)
        say(0.0, "the model is loaded")
        try:
            with enough_memory(wanted.config):
                for made in _made(wanted, visitor, asked, check_wanted, say):
                    visitor.pieces[made.path.name] = made
                    yield made
        except (ModelError, StorageError) as error:
            raise UsageError(str(error)) from error
        except TrackError as error:
            raise UsageError(error.message) from error


def free() -> None:
    """Give the memory back that the generator has."""
    adapters.forget()
    # Networks may refer to themselves.
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _made(
    wanted: GenerateMusicParams,
    visitor: Visitor,
    asked: Sequence[Piece],
    check_wanted: Callable[[], None],
    say: Say,
) -> Iterator[MadePiece]:
    config, tools = wanted.config, replace(wanted.tools(), outputs=Storage(str(visitor.folder)))
    concepts = concepts_of(config, tools)
    generator = tools.model(config.generator, GENERATION)
    ready = 0

    def on_frame(done: int, frames: int) -> None:
        check_wanted()
        said = f"piece {ready + 1} of {len(asked)}" if len(asked) > 1 else "the piece is made"
        say((ready + done / frames) / len(asked), said)

    music = generator.generate(
        [piece.prompt for piece in asked],
        [piece.seed for piece in asked],
        seconds=config.length_seconds,
        guidance=config.guidance,
        concepts=concepts,
        on_frame=on_frame,
    )
    made_of = made_by(config, tools)
    for piece, samples in zip(asked, music, strict=True):
        name = generated.file_name(piece, made_of)
        row = stored(samples, name, generator.sample_rate_hz, tools)
        ready += 1
        yield MadePiece(
            piece.prompt,
            piece.seed,
            visitor.folder / name,
            row["duration_seconds"],
            row["peak_dbfs"] is None,
        )
