"""Which columns of a dataset are filled: ``python -m examples.columns DATASET_FOLDER``.

Exits 1 if a column is null in every row.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq


def main() -> int:
    """Print a line per column."""
    empty = []
    for name in ("tracks", "segments"):
        table = pq.read_table(Path(sys.argv[1], f"{name}.parquet"))
        print(f"{name}: {table.num_rows} rows")
        for column, field in zip(table.columns, table.schema, strict=True):
            filled = table.num_rows - column.null_count
            print(f"  {field.name:<20} {filled:>4} filled  {str(field.type)[:60]}")
            if not filled:
                empty.append(f"{name}.{field.name}")
    if empty:
        print(f"Null in every row: {', '.join(empty)}", file=sys.stderr)
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
