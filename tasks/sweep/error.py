"""What is wrong with a sweep."""

import difflib
from collections.abc import Iterable


class SweepError(ValueError):
    """A sweep that cannot be run; one sentence with the remedy."""


def unknown(name: object, of: str, known: Iterable[str]) -> SweepError:
    """Return the error of a name that is not known, with the nearest that is."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
    return SweepError(f"Unknown {of} {name}; {hint}")
