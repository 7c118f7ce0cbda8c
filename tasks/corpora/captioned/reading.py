"""How files of corpora are read: rows that cannot be used are counted, never fatal."""

import ast
import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.corpora.captioned.entry import CorpusError, Dropped, Tag
from tasks.corpora.metadata_files import NO_VALUES
from tasks.corpora.tables import MAX_FIELD_CHARACTERS, MetadataError, encoding_of, well_formed
from tasks.text import printable

MAX_SECONDS = 7 * 24 * 3600.0
"""A track is no longer than a week: what is stated as longer is no duration."""

MAX_LITERAL_CHARACTERS = 100_000
"""Longer literals than FMA's tags are nobody's; the parser of Python takes long for them."""

MAX_JSON_BYTES = 2**30
"""A JSON document is read whole: the largest, of MusicBench, has less than 100 MB."""

CsvRow = tuple[int, list[str]]


def csv_rows(path: Path, where: str, separator: str = ",") -> Iterator[CsvRow | Dropped]:
    """Yield the rows of a table with the lines that they begin in, the header included.

    Rows that break the rules of CSV, and a guessed encoding, come as what was dropped.

    Parameters
    ----------
    path
        The table.
    where
        Its path below the corpus, for people.
    separator
        Between its cells; nothing is quoted between tabs.

    Raises
    ------
    CorpusError
        If it cannot be read or is no text.
    """
    try:
        encoding, notices = encoding_of(path, "table")
    except MetadataError as error:
        raise CorpusError(str(error)) from None
    for notice in notices:
        sentence = notice.removeprefix(f"{path}: ").capitalize()
        yield Dropped("guessed-encoding", where, sentence, is_notice=True)
    previous_limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            # In a TSV quotation marks are text: a lone one would swallow the rows behind it.
            if separator == "\t":
                rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                rows = csv.reader(file, delimiter=separator, strict=True)
            line = 1
            while True:
                try:
                    for cells in rows:
                        if cells:
                            yield line, cells
                        line = rows.line_num + 1
                    return
                except csv.Error as error:
                    yield malformed(f"{where}:{line}", f"it is no row of a CSV ({error})")
                    line = rows.line_num + 1
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None
    finally:
        csv.field_size_limit(previous_limit)


def records(
    path: Path, where: str, needed: Sequence[str], separator: str = ","
) -> Iterator[tuple[int, dict[str, str]] | Dropped]:
    """Yield the rows of a table as ``{column: cell}``, in lower case and stripped.

    Raises
    ------
    CorpusError
        If the file is empty, cannot be read, or lacks one of the columns `needed`.
    """
    columns: list[str] = []
    for row in csv_rows(path, where, separator):
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        if not columns:
            columns = [cell.strip().lower() for cell in cells]
            if missing := [name for name in needed if name not in columns]:
                raise CorpusError(f"{path} has no column {', '.join(missing)}: get the file again.")
        elif len(cells) != len(columns):
            yield misfit(f"{where}:{line}", len(cells), len(columns))
        else:
            yield line, dict(zip(columns, map(str.strip, cells), strict=True))
    if not columns:
        raise CorpusError(f"{path} is empty: get the file again.")


def json_lines(path: Path, where: str) -> Iterator[tuple[int, Mapping[str, Any]] | Dropped]:
    """Yield the objects of a file of JSON lines, or of a JSON array, with their numbers from 1.

    Raises
    ------
    CorpusError
        If the file cannot be read or is no text.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            start = file.read(1)
            while start and start.isspace():
                start = file.read(1)
            if start == "[":
                yield from _array(json_document(path), where)
                return
            file.seek(0)
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    yield malformed(f"{where}:{number}", "it is no JSON")
                    continue
                yield from _object(number, value, where)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None


def json_document(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    CorpusError
        If the file cannot be read, is too large or is no JSON.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CorpusError(f"{path} is larger than 1 GiB: write it as JSON lines.")
        return json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        if isinstance(error, CorpusError):
            raise
        place = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise CorpusError(f"{path} is no valid JSON{place}: get or write it again.") from None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None


def malformed(where: str, cause: str, native_id: str | None = None) -> Dropped:
    """Return what is counted for a row that cannot be used; `cause` follows "since"."""
    return Dropped("malformed-row", where, f"{where} is left out, since {cause}.", native_id)


def misfit(where: str, count: int, wanted: int) -> Dropped:
    """Return what is counted for a row of the wrong length."""
    return malformed(where, f"it has {count} cells where the header has {wanted}")


def repeated(where: str, native_id: str) -> Dropped:
    """Return what is counted for a row whose id was there before."""
    sentence = f"{where} is left out, since {native_id!r} was there before."
    return Dropped("repeated-id", where, sentence, native_id)


def empty_caption(where: str, native_id: str) -> Dropped:
    """Return the notice of a caption without words."""
    sentence = f"{where} has an empty caption, which is left out."
    return Dropped("empty-caption", where, sentence, native_id, is_notice=True)


def text(value: Any) -> str | None:
    """Return a value as text that can be stored; None of what is none or says that it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    stripped = " ".join(str(value).split())
    if not stripped or stripped in NO_VALUES:
        return None
    return stripped if stripped.isascii() else well_formed(stripped)


def name(value: Any) -> str | None:
    """Return an id as text; of a float that is whole without its decimals (``12.0``)."""
    found = text(value)
    if found is not None and found.endswith(".0") and found[:-2].isdecimal():
        return found[:-2]
    return found


def seconds(value: Any) -> float | None:
    """Return a duration in seconds, also of ``03:51`` or ``1:02:03``; None if it is none."""
    if isinstance(value, str) and ":" in value:
        parts = value.split(":")
        if not all(re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", part, re.ASCII) for part in parts):
            return None
        value = sum(float(part) * 60**power for power, part in enumerate(reversed(parts)))
    number = finite(value)
    return number if number is not None and 0 < number <= MAX_SECONDS else None


def finite(value: Any) -> float | None:
    """Return a number that is finite; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def texts(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the distinct ones of some values that are text, in order."""
    return tuple(dict.fromkeys(found for each in values if (found := text(each)) is not None))


def distinct_tags(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Return the distinct ones of some tags, in order; letters' case makes no other word.

    A word of no kind goes where the same word has one: FMA's genre "International" and the free
    tag "international". Of voices and speeds one is left: who sings is more than that somebody
    does, and those that contradict each other are kept as words of no kind.
    """
    found: dict[tuple[str, str], Tag] = {}
    words = set()
    for tag in tags:
        word = tag.value.casefold()
        if tag.kind != "other" or word not in words:
            found.setdefault((tag.kind, word), tag)
            words.add(word)
    kinds = [kind for kind, _ in found]
    if kinds.count("voice") < 2 and kinds.count("speed") < 2:
        return tuple(found.values())
    return _without_contradictions(found.values())


def _without_contradictions(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    tags = tuple(tags)
    voices = {tag.value for tag in tags if tag.kind == "voice"} - {"vocal"}
    speeds = {tag.value for tag in tags if tag.kind == "speed"}
    is_sung = any(tag == Tag("voice", "vocal") for tag in tags)
    is_odd_voice = "instrumental" in voices and (len(voices) > 1 or is_sung)
    if not is_odd_voice and len(voices) > 1:
        mixed = Tag("voice", "mixed")
        tags = tuple(mixed if tag.kind == "voice" else tag for tag in tags)
    elif voices and not is_odd_voice:
        tags = tuple(tag for tag in tags if tag != Tag("voice", "vocal"))
    odd = {"voice"} if is_odd_voice else set()
    odd |= {"speed"} if len(speeds) > 1 else set()
    return tuple(dict.fromkeys(Tag("other", tag.value) if tag.kind in odd else tag for tag in tags))


def literal_list(value: str) -> list[Any] | None:
    """Return the items of a Python list, or set in its order of numbers, or None if it is none."""
    value = value.strip()
    if value in ("[]", "set()", "{}", ""):
        return []
    inside = value[1:-1]
    if value[0] + value[-1] in ("[]", "{}"):
        if _PLAIN_NUMBERS.fullmatch(inside):
            numbers = list(map(int, inside.split(", ")))
            return sorted(numbers) if value[0] == "{" else numbers
        if _PLAIN_TEXTS.fullmatch(inside):
            return inside[1:-1].split("', '")
    return _parsed(value)


# Words in single quotes without anything that Python or the separator would read otherwise.
_PLAIN_NUMBERS = re.compile(r"[0-9]{1,18}(?:, [0-9]{1,18})*")
_PLAIN_TEXTS = re.compile(r"'[^'\\\n]*'(?:, '[^'\\\n]*')*")


def _parsed(value: str) -> list[Any] | None:
    if len(value) > MAX_LITERAL_CHARACTERS:
        return None
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(found, set):
        return sorted(found, key=str)
    return list(found) if isinstance(found, list | tuple) else None


def _array(values: Any, where: str) -> Iterator[tuple[int, Mapping[str, Any]] | Dropped]:
    for number, value in enumerate(values, 1):
        yield from _object(number, value, where)


def _object(
    number: int, value: Any, where: str
) -> Iterator[tuple[int, Mapping[str, Any]] | Dropped]:
    if isinstance(value, dict):
        yield number, value
    else:
        yield malformed(f"{where}:{number}", "it is no JSON object")


def below(folder: Path, path: Path) -> str:
    """Return where a file lies below a corpus, for people."""
    return printable(path.relative_to(folder).as_posix())
