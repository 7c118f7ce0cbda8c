"""Tables of text as people keep them: in any code page, with any separator, quoted or not.

What had to be guessed or left out is a notice: one sentence that names the file.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

MAX_FIELD_CHARACTERS = 16 * 2**20
"""Biographies in FMA's tables pass the 128 KiB that the csv module allows a field."""

SEPARATORS = ",\t;|"

HEAD_BYTES = 8192

MIN_FOREIGN_RUN = 3
"""High bytes in runs of at least so many, for most of them, are no accents in a Western text."""

_FOREIGN_CODE_PAGES = ("cp1251", "cp932", "gb18030", "big5", "euc_kr", "koi8_r", "cp1253")

_SURROGATES = re.compile("[\ud800-\udfff]")


class MetadataError(ValueError):
    """A metadata file that cannot be used; the message names file, cause and remedy."""


def fail(path: Path, cause: str, remedy: str) -> NoReturn:
    """Raise the error that a file cannot be used."""
    raise MetadataError(f"{path}: {cause}; {remedy}.")


Row = tuple[int, list[str]]
Rows = Callable[[], Iterator[Row]]


@dataclass
class Table:
    """A table: `rows` reads its cells, the header first, each row with the number of its line."""

    separator: str
    rows: Rows
    notices: list[str] = field(default_factory=list)


def read_table(path: Path, what: str, names_columns: Callable[[list[str]], bool]) -> Table:
    """Read a table, in the way in which most of its rows are as long as its header.

    Parameters
    ----------
    path
        The file.
    what
        What it is, for people.
    names_columns
        Tells a header from any other row; it decides between separators.

    Raises
    ------
    MetadataError
        If the file is missing, unreadable or no text.
    """
    encoding, notices = encoding_of(path, what)

    def lines() -> Iterator[str]:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            first = next(file, "")
            if not re.fullmatch("sep=.\r?\n", first):  # written by Excel, for Excel
                yield first
            yield from file

    first = next(lines(), "")
    by_count = sorted(SEPARATORS, key=first.count, reverse=True)

    def header(separator: str) -> list[str]:
        return next(_as_written([first], separator), (0, []))[1]

    separator = next((each for each in by_count if names_columns(header(each))), by_count[0])
    table = Table(separator, lambda: _quoted(lines(), separator), notices)
    plain = Table(separator, lambda: _as_written(lines(), separator), notices)
    if (misfits := _misfits(table)) and _misfits(plain) < misfits:
        notices.append(f"{path}: its quotation marks do not match, and are read as they stand.")
        return plain
    return table


def encoding_of(path: Path, what: str) -> tuple[str, list[str]]:
    """Return the encoding of a text file, and a notice if it had to be guessed.

    Raises
    ------
    MetadataError
        If the file is missing, unreadable, or not text.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if b"\0" in head or head.startswith((b"\xff\xfe", b"\xfe\xff")):
                return _wide_encoding(path, head), []
        try:
            with path.open(encoding="utf-8") as text:
                while text.read(2**20):
                    pass
        except UnicodeDecodeError:
            encoding, name = _code_page(path.read_bytes())
            return encoding, [f"{path}: it is not in UTF-8, and was read as {name}."]
    except FileNotFoundError:
        fail(path, f"this {what} does not exist", "check the path")
    except OSError as error:
        fail(path, f"this {what} cannot be read ({error.strerror})", "check the path")
    return "utf-8-sig", []


def well_formed(text: str) -> str:
    """Return the text with the halves of characters, which no file can hold, replaced."""
    return _SURROGATES.sub("\ufffd", text)


def _wide_encoding(path: Path, head: bytes) -> str:
    """Return which UTF-16 it is, Excel's "Unicode text": ASCII has a zero in every second place."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and not head.startswith(b"\xff\xfe\0\0"):
        return "utf-16"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 10 * even:
        return "utf-16-le"
    if even > 10 * odd:
        return "utf-16-be"
    fail(path, "it is not a text file", "export the table as CSV or JSON in UTF-8")


def _code_page(data: bytes) -> tuple[str, str]:
    """Return the encoding, and its name for people, of bytes that are not all UTF-8."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    if sum(char > "\x7f" for char in text) > 3 * wrong:
        return "utf-8-sig", f"UTF-8, of which {wrong} bytes are wrong"
    runs = re.findall(rb"[\x80-\xff]+(?:[\x40-\x7e][\x80-\xff]+)*", data)
    foreign = sum(len(run) for run in runs if len(run) >= MIN_FOREIGN_RUN)
    if foreign > 0.5 * sum(len(run) for run in runs):
        from charset_normalizer import from_bytes

        best = from_bytes(data, cp_isolation=list(_FOREIGN_CODE_PAGES)).best()
        if best is not None:
            return best.encoding, best.encoding
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1", "Latin-1"
    return "cp1252", "Windows-1252"


def _quoted(lines: Iterable[str], separator: str) -> Iterator[Row]:
    """Rows by the rules of CSV; raises csv.Error where a file breaks them."""
    previous_limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    finally:
        csv.field_size_limit(previous_limit)


def _as_written(lines: Iterable[str], separator: str) -> Iterator[Row]:
    """Rows of lines whose quotation marks are text.

    Save in a TSV, those around a whole cell still quote it, and hide separators.
    """
    mark = re.escape(separator)
    cell = re.compile(rf'"((?:[^"]|"")*)"(?={mark}|$)|([^{mark}]*)')
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if not line.strip(separator + " "):
            continue
        if separator == "\t" or '"' not in line:
            yield number, line.split(separator)
            continue
        cells, place = [], 0
        while place <= len(line):
            found = cell.match(line, place)
            assert found is not None
            cells.append(found[2] if found[1] is None else found[1].replace('""', '"'))
            place = found.end() + 1
        yield number, cells


def _misfits(table: Table) -> float:
    """Return how many rows are longer or shorter than the header; infinite if one is broken.

    A cell of a TSV that holds a tab or a line break counts: a lone quotation mark has swallowed
    what follows it. MTG-Jamendo's rows end in any number of tags.
    """
    header: list[str] = []
    is_tsv, count = table.separator == "\t", 0
    try:
        for _, cells in table.rows():
            header = header or cells
            swallowed = is_tsv and any("\n" in cell or "\t" in cell for cell in cells)
            tags = is_tsv and header[-1].strip().lower() == "tags" and len(cells) > len(header)
            count += swallowed or (len(cells) != len(header) and not tags)
    except csv.Error:
        return float("inf")
    return count
