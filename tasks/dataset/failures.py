"""What could not become part of a dataset, and what is odd in it: ``failures.jsonl``.

The list has the same columns in every job that makes a dataset.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from blocks.storage import Storage
from tasks.text import counted, printable

FAILURES = "failures.jsonl"

Failure = dict[str, Any]
"""A row of the list, as :func:`failure` makes it."""


def failure(
    track_id: str | None,
    path: str,
    step: str,
    reason: str | None,
    message: str | None,
    *,
    in_dataset: bool,
) -> Failure:
    """Make one row of the list.

    Parameters
    ----------
    track_id
        Of the item; None for a file that is none.
    path
        The file, as people are to find it.
    step
        Step that failed, or ``"discover"``.
    reason, message
        Machine-readable, and in one sentence.
    in_dataset
        Whether the item is part of the dataset all the same.
    """
    return {
        "track_id": track_id,
        "file_path": printable(path),
        "step": step,
        "reason": reason,
        "message": message,
        "in_dataset": in_dataset,
    }


def write_failures(folder: Storage, failures: Iterable[Failure]) -> None:
    """Write the list into a dataset's folder, one JSON object per line."""
    lines = b"".join(orjson.dumps(each) + b"\n" for each in failures)
    folder.write_bytes(FAILURES, lines)


def read_failures(folder: Storage) -> list[Failure]:
    """Read the list in a dataset's folder.

    Raises
    ------
    ValueError
        If the list is missing or damaged.
    """
    try:
        return [orjson.loads(line) for line in folder.read_bytes(FAILURES).splitlines()]
    except FileNotFoundError as error:
        raise ValueError(f"{folder.address}/{FAILURES} is missing") from error
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{folder.address}/{FAILURES} is damaged: {error}") from error


def count_failed_files(failures: Iterable[Failure]) -> int:
    """Count the files that the list names."""
    return len({each["file_path"] for each in failures})


def count_by_reason(failures: Sequence[Failure]) -> dict[str, int]:
    """Count the rows with each reason; reasons in alphabetical order."""
    return dict(sorted(Counter(each["reason"] for each in failures).items()))


def say_failed(failures: Sequence[Failure]) -> str:
    """Return how many files the list names, and why: ``2 files failed (too-short 2)``.

    A file that fails in several steps has a row for each. Where the rows are more than the files,
    the steps are named: ``1 file failed (too-short: features 1, pitch 1)``.
    """
    files = count_failed_files(failures)
    if len(failures) == files:
        reasons = [f"{reason} {count}" for reason, count in count_by_reason(failures).items()]
        return f"{counted(files, 'file')} failed ({', '.join(reasons)})"
    steps: dict[str, Counter[str]] = {}
    for each in failures:
        steps.setdefault(each["reason"], Counter())[each["step"]] += 1
    reasons = [
        f"{reason}: {', '.join(f'{step} {count}' for step, count in steps[reason].items())}"
        for reason in sorted(steps)
    ]
    return f"{counted(files, 'file')} failed ({'; '.join(reasons)})"
