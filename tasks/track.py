"""What is known of an item, what its audio is in memory, and what becomes of a bad one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


class TrackError(Exception):
    """A track that a step cannot process. It becomes a row, never a crash.

    Parameters
    ----------
    reason
        Machine-readable, kebab-case, stable: ``"undecodable"``, ``"too-short"``.
    message
        One sentence for people: what was wrong, and the remedy where there is one.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type["TrackError"], tuple[str, str]]:
        return TrackError, (self.reason, self.message)


@dataclass(frozen=True, slots=True)
class Track:
    """One item as the steps know it; what is of songs or of stems lies with them.

    Attributes
    ----------
    track_id
        Digest of the bytes of the audio file; the track's identity.
    path
        Where the file lies below the source folder or bucket. Never part of a key.
    metadata
        What the user's tables say of the track, e.g. ``artist``, ``genre``, ``title``.
    """

    track_id: str
    path: str
    metadata: Mapping[str, str] = field(default_factory=dict)
