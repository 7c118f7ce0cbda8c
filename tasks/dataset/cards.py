"""What the cards of datasets share: ``README.md``, as the Hugging Face hub shows it."""

import re

import pyarrow as pa

SIZES = ("n<1K", *(f"{low}<n<{high}" for low, high in (
    ("1K", "10K"), ("10K", "100K"), ("100K", "1M"), ("1M", "10M"), ("10M", "100M"),
    ("100M", "1B"), ("1B", "10B"),
)))  # fmt: skip
"""Categories of sizes that the hub knows, by powers of ten from 1,000 on."""


def escaped(value: object) -> str:
    """Return text that Markdown, in tables too, shows as it is: no markup, no HTML, one line."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", str(value)).split())
    # Any ASCII punctuation may stand behind a backslash (CommonMark 0.31, 2.4).
    return re.sub(r"([\\`*_{}\[\]()<>#+!|&~$@:])", r"\\\1", line)


def size_category(rows: int) -> str:
    """Return what the hub calls a dataset of so many rows."""
    return SIZES[max(0, min(len(str(rows)) - 3, len(SIZES) - 1))]


def type_name(type_: pa.DataType) -> str:
    """Return a column's type in few words."""
    name = str(type_).replace("item: ", "").replace("fixed_size_list", "list")
    return name.replace("double", "float64").replace("float>", "float32>")
