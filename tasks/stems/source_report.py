"""What a run of prepare-stems says of its source: what was passed over, and what was deleted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from tasks.corpora.discover import Discovery
from tasks.stems.delete import Verdict
from tasks.text import printable

SHOWN = 20
"""Lines of files in a summary; a dry run shows all."""


def passed_over(found: Discovery, left_out: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return lines on files that are no stems, in folders and in archives, and on copies.

    Parameters
    ----------
    found
        What the source holds.
    left_out
        Song, path and reason of files that are no stems of their songs.
    """
    others = Counter(_suffix(path) for path in found.passed_over)
    mixtures = 0
    for _, path, reason in left_out:
        if reason == "mixture":
            mixtures += 1
        else:
            others[_suffix(path)] += 1
    lines = []
    if mixtures:
        lines.append(f"Left out as mixtures or guides, by their names: {mixtures}")
    if others:
        said = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common())
        lines.append(f"Passed over: {said}")
    if found.duplicates:
        lines.append(f"Copies of songs: {len(found.duplicates)}")
    return lines


def deleted(
    judged: Sequence[Verdict], failed: Sequence[tuple[Verdict, str]], *, is_dry: bool
) -> list[str]:
    """Return lines on what was deleted, or would be, and what stays.

    Parameters
    ----------
    judged
        What was to become of each file.
    failed
        Files that could not be deleted, and why.
    is_dry
        Whether nothing was deleted: then each file is listed.
    """
    causes = {verdict.path: f"it could not be deleted: {cause}" for verdict, cause in failed}
    going = [each for each in judged if not each.stays and each.path not in causes]
    staying = [(each, causes.get(each.path, each.stays)) for each in judged]
    staying = [(each, cause) for each, cause in staying if cause]
    does = "Would delete" if is_dry else "Deleted"
    lines = [f"{does} {_files(going)} of the source; {_files([each for each, _ in staying])} stay"]
    if is_dry:
        lines += [f"  delete  {_size(each.size_bytes)}  {printable(each.path)}" for each in going]
    shown = staying if is_dry else staying[:SHOWN]
    lines += [
        f"  stays  {_size(each.size_bytes)}  {printable(each.path)}: {cause}"
        for each, cause in shown
    ]
    if len(shown) < len(staying):
        lines.append(f"  and {len(staying) - len(shown)} more: --dry_run lists all of them")
    return lines


def _files(chosen: Sequence[Verdict]) -> str:
    count = len(chosen)
    size = _size(sum(each.size_bytes for each in chosen))
    return f"{count} {'file' if count == 1 else 'files'} ({size})"


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _suffix(path: str) -> str:
    return PurePosixPath(printable(path)).suffix.lower() or "without suffix"
