"""A track as the steps of captions know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.track import Track


@dataclass(frozen=True, slots=True)
class CaptionTrack(Track):
    """A track with captions that were composed of facts.

    Attributes
    ----------
    facts
        As :meth:`tasks.captions.facts.Facts.as_row` returns them.
    captions, styles
        The captions, the main one first, and the style of each; none where people wrote some.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
