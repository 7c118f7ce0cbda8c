"""Where the audio of a dataset lies, which may have moved since it was built."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Self

from blocks import places
from blocks.storage import Storage
from tasks.dataset.manifest import read_manifest


@dataclass(frozen=True)
class AudioPlaces:
    """Where to look for the files that a dataset names.

    Attributes
    ----------
    dataset
        Its folder.
    audio_dir
        Where its audio lies, if not where the dataset says.
    """

    dataset: Storage
    audio_dir: Storage | None = None

    def absolute(self) -> Self:
        """Return the same by addresses that mean it in any working directory."""
        audio_dir = self.audio_dir.absolute() if self.audio_dir else None
        return replace(self, dataset=self.dataset.absolute(), audio_dir=audio_dir)

    def mixes(self, stated: str) -> Iterator[tuple[Storage, str]]:
        """Yield where the audio of a row may lie, by what its table says, the likeliest first."""
        for name in dict.fromkeys([stated, _unescaped(stated)]):
            if self.audio_dir is not None:
                # The dataset was built of another folder: of its path, the end is the same.
                parts = PurePosixPath(name.removeprefix(places.S3)).parts
                for at in range(len(parts)):
                    path = str(PurePosixPath(*parts[at:]))
                    if _is_inside(self.audio_dir, path):
                        yield self.audio_dir, path
                continue
            folder, _, file = name.rpartition("/")
            yield Storage(folder or ("/" if name.startswith("/") else ".")), file
            # Datasets of concepts name files below themselves.
            if not name.startswith(("/", places.S3)) and _is_inside(self.dataset, name):
                yield self.dataset, name

    def vocals(self, name: str) -> Iterator[tuple[Storage, str]]:
        """Yield where the separated vocals of a row may lie, by the name in its table."""
        for folder in self._vocals_folders():
            if _is_inside(folder, name):
                yield folder, name

    def _vocals_folders(self) -> Iterator[Storage]:
        manifest = read_manifest(self.dataset) or {}
        for made in (manifest, *manifest.get("shards", ())):
            if made.get("vocals_dir"):
                yield Storage(made["vocals_dir"])
        yield self.dataset.below("vocals")


def _is_inside(folder: Storage, path: str) -> bool:
    """Whether a path leads nowhere else: tables may come from anybody."""
    if path.startswith("/") or ".." in path.split("/"):
        return False
    if not folder.is_local:
        return True
    root = Path(folder.address).resolve()
    return Path(folder.address, path).resolve().is_relative_to(root)


def _unescaped(path: str) -> str:
    """Return a path whose bytes that are no UTF-8 were escaped, as it was."""
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), os.fsencode(path))
    return os.fsdecode(raw)
