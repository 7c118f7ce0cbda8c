"""Slakh2100: ``Track00001/metadata.yaml`` and ``Track00001/stems/S00.flac``.

Described at github.com/ethman/slakh-utils (README.md; classes and programs of instruments in
midi_inst_values). BabySlakh has the same layout, in WAV.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from blocks.storage import Storage
from tasks.corpora.layout import (
    Claim,
    MetadataError,
    described,
    file_name,
    folder_name,
    folder_of,
    is_audio,
    mapping,
    not_there,
    text,
)
from tasks.corpora.song import Song, StemFile
from tasks.dataset.digests import FileFailure

METADATA = "metadata.yaml"
MIXTURE = "mix"
TRACK = re.compile(r"Track\d{5}")
MAX_DEPTH = 8
"""Theirs are three levels deep. libyaml's own reader overflows the stack at some thousands."""

# Classes of General MIDI as Slakh spells them, in lower case, and programs that differ.
CLASSES = {
    "bass": "bass",
    "brass": "winds",
    "chromatic percussion": "perc",
    "drums": "drum",
    "ethnic": "other",
    "guitar": "guitar",
    "organ": "other",
    "percussive": "perc",
    "piano": "piano",
    "pipe": "winds",
    "reed": "winds",
    "sound effects": "fx",
    "strings": "strings",
    "strings (continued)": "strings",
    "synth lead": "synth",
    "synth pad": "synth",
}
PROGRAMS = {
    "bag pipe": "winds",
    # Samplers that imitate a choir are no vocals to learn from.
    "choir aahs": "other",
    "fiddle": "strings",
    "orchestra hit": "fx",
    "shanai": "winds",
    "synth voice": "other",
    "timpani": "perc",
    "voice oohs": "other",
}


def find(source: Storage, paths: Sequence[str]) -> Claim:
    """Claim each ``TrackNNNNN`` with its metadata as a song, by an artist that nobody knows.

    Several tracks render one MIDI file, with other instruments; they form a group.
    """
    metadata = [
        path
        for path in paths
        if PurePosixPath(path).name == METADATA
        and TRACK.fullmatch(folder_name(source, folder_of(path)))
    ]
    return described(source, paths, metadata, _parse, partial(_song, source))


def _parse(content: bytes) -> Any:
    """YAML as mappings, lists and strings, of which no tag makes anything else."""
    import yaml

    try:
        depth = 0
        for event in yaml.parse(content, yaml.CBaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise MetadataError(f"is nested more than {MAX_DEPTH} levels deep")
        return yaml.load(content, yaml.CBaseLoader)
    except yaml.YAMLError as error:
        raise MetadataError("is no YAML") from error


def _song(
    source: Storage, folder: str, data: Any, inside: Sequence[str]
) -> tuple[Song, list[FileFailure]]:
    values = mapping(data, "the track")
    uuid = text(values.get("UUID"), "UUID")
    audio_of = {
        file_name(path): path
        for path in inside
        if is_audio(path) and folder_of(path) == str(PurePosixPath(folder, "stems"))
    }
    stems: list[StemFile] = []
    failures: list[FileFailure] = []
    for key, value in mapping(values.get("stems"), "stems").items():
        stem_id, stem = text(key, "a stem"), mapping(value, "a stem")
        if text(stem.get("audio_rendered"), "audio_rendered") != "true":
            continue
        if stem_id not in audio_of:
            failures.append(not_there(str(PurePosixPath(folder, "stems", stem_id)), METADATA))
            continue
        program = text(stem.get("midi_program_name"), "midi_program_name")
        stems.append(StemFile(program or stem_id, audio_of[stem_id], _instrument(stem, program)))
    title = folder_name(source, folder)
    group = f"slakh2100 {uuid}" if uuid else ""
    mixture = next(
        (
            StemFile(MIXTURE, path)
            for path in inside
            if is_audio(path) and folder_of(path) == folder and file_name(path) == MIXTURE
        ),
        None,
    )
    song = Song("", folder, artist=title, title=title, stems=stems, group=group, mixture=mixture)
    return song, failures


def _instrument(stem: Any, program: str) -> str | None:
    if text(stem.get("is_drum"), "is_drum") == "true":
        return "drum"
    in_class = CLASSES.get(text(stem.get("inst_class"), "inst_class").lower())
    return PROGRAMS.get(program.lower(), in_class)
