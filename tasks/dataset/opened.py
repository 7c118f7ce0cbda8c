"""A dataset of any job, opened where it lies: a folder of this machine, or a bucket."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.storage import Storage
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.query import QueryError, Tables, open_tables
from tasks.dataset.views import files_of

MEMORY = "4GB"
"""Of a question: what a selection of some million segments takes."""


@dataclass
class Dataset:
    """A dataset whose tables can be asked.

    Attributes
    ----------
    name
        What it is called.
    folder
        Where it lies.
    tables
        Its tables.
    files
        By table, the names of its files in the folder.
    manifest
        What it says of itself.
    """

    name: str
    folder: Storage
    tables: Tables
    files: dict[str, list[str]]
    manifest: Manifest
    _copy: "TemporaryDirectory[str] | None" = field(default=None, repr=False)


def open_dataset(address: str) -> Dataset:
    """Open a dataset; of one in a bucket the tables are copied to this machine for as long.

    Parameters
    ----------
    address
        See :func:`tasks.dataset.query.open_tables`; or the same as ``s3://bucket/prefix``.

    Raises
    ------
    QueryError
        If no dataset lies there, or it is not finished.
    """
    folder = Storage(address.removesuffix(".json"))
    copy = None
    local = Path(address)
    if not folder.is_local:
        copy = TemporaryDirectory(prefix="songmill-")
        local = Path(copy.name)
        _copied(folder, local)
    tables = open_tables(local, memory=MEMORY)
    root = local.with_suffix("") if local.suffix == ".json" else local
    files = {
        table: [path.name for _, path in parts]
        for table, parts in files_of(root.absolute()).items()
    }
    manifest = read_manifest(folder)
    if manifest is None:
        raise QueryError(
            f"{address} is a dataset that is not finished (manifest.json is missing): run what "
            "builds it again."
        )
    name = Path(address.rstrip("/")).name.removesuffix(".json")
    return Dataset(name, folder, tables, files, manifest, copy)


def _copied(folder: Storage, target: Path) -> None:
    """Copy the tables of a dataset in a bucket."""
    for name in folder.files():
        if "/" not in name and name.endswith((".parquet", ".json")):
            with open(target / name, "wb") as file:
                file.writelines(folder.pieces(name))
