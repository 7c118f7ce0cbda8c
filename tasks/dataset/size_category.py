"""How large a dataset is, as the hub counts it."""

SIZES = ("n<1K", *(f"{low}<n<{high}" for low, high in (
    ("1K", "10K"), ("10K", "100K"), ("100K", "1M"), ("1M", "10M"), ("10M", "100M"),
    ("100M", "1B"), ("1B", "10B"),
)))  # fmt: skip
"""Categories of sizes that the hub knows, by powers of ten from 1,000 on."""


def size_category(rows: int) -> str:
    """Return the category of a dataset of so many rows."""
    return SIZES[max(0, min(len(str(rows)) - 3, len(SIZES) - 1))]
