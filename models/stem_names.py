"""What separators are asked for: sources, or the mix without one."""

from collections.abc import Sequence

WITHOUT = "no_"


def chosen(stems: Sequence[str], sources: Sequence[str]) -> list[tuple[int, bool]]:
    """Return, for each stem, the place of its source, and whether that is to be left out.

    Parameters
    ----------
    stems
        Names of sources, or ``no_<source>`` for the mix without that source.
    sources
        What a model tells apart.

    Raises
    ------
    ValueError
        If there is no such source.
    """
    names = [stem if stem in sources else stem.removeprefix(WITHOUT) for stem in stems]
    if unknown := sorted(set(names) - set(sources)):
        raise ValueError(f"no sources {unknown}; there are: {', '.join(sources)}")
    return [(sources.index(name), stem != name) for stem, name in zip(stems, names, strict=True)]
