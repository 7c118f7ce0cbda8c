"""What there is to fetch for some corpora, what of it is there, and what space the rest takes."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.corpora.archives.unpacking import is_archive
from tasks.dataset.failures import Failure, failure
from tasks.download import arrived_bytes, published_size
from tasks.sources.audio_tables import is_audio_table
from tasks.sources.catalogue import Name, Source, sources
from tasks.sources.listings import files_of
from tasks.sources.receipts import in_state
from tasks.sources.source_file import SourceFile, SourceTools, address, source_file
from tasks.track import TrackError


@dataclass(frozen=True)
class Found:
    """Files of corpora.

    Attributes
    ----------
    files
        All of them, in the state that the disk is in.
    missing
        Those of which something is not there.
    failures
        Lists of files that could not be had.
    """

    files: list[SourceFile] = field(default_factory=list)
    missing: list[SourceFile] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def find(variants: Mapping[Name, str | None], tools: SourceTools) -> Found:
    """Return the files of corpora.

    Parameters
    ----------
    variants
        Names of corpora, each with its variant if it has several.
    tools
        Where they lie, and what stands for their hosts.
    """
    found = Found()
    for name, variant in variants.items():
        source = sources()[name]
        for file in _files(source, variant, tools, found.failures):
            placed, is_there = in_state(file, tools.outputs, tools.folder(file))
            if not is_there:
                if placed.size_bytes is None and not tools.place(placed).is_file():
                    size_bytes = published_size(address(placed.url, tools.mirror))
                    placed = replace(placed, size_bytes=size_bytes)
                found.missing.append(placed)
            found.files.append(placed)
    return found


def _files(
    source: Source, variant: str | None, tools: SourceTools, failures: list[Failure]
) -> Iterator[SourceFile]:
    files, listings = source.of(variant)
    for file in files:
        yield source_file(source, file)
    for listing in listings:
        try:
            listed = files_of(listing, tools.mirror, tools.outputs)
        except TrackError as error:
            said = f"{error.message.rstrip('.')}; or get the corpus by hand from {source.page}."
            failures.append(
                failure(None, listing.url, "list", error.reason, said, in_dataset=False)
            )
            continue
        for file in listed:
            yield source_file(source, file)


def needed_bytes(missing: Sequence[SourceFile], folder: Path, at_once: int) -> int:
    """Return what space missing files take, with the archives that are there at the same time.

    Parameters
    ----------
    missing
        Files of which something is not there; of unknown sizes none is counted.
    folder
        Folder of all corpora.
    at_once
        How many files are fetched or unpacked at the same time.
    """
    kept, passing = 0, []
    for file in missing:
        size_bytes = file.size_bytes or 0
        here = arrived_bytes(folder / file.path)
        if is_archive(file.name) or is_audio_table(file):
            kept += file.content.unpacked_bytes or size_bytes
            passing.append(max(size_bytes - here, 0))
        else:
            kept += max(size_bytes - here, 0)
    return kept + sum(heapq.nlargest(at_once, passing))
