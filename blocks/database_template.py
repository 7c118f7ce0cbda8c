"""An empty database of Prefect's server, made once per installation and copied for new homes.

A server that finds none runs all of Prefect's migrations one after the other, some six seconds
of a processor. ``python -m blocks.database_template`` makes the template, which ``make`` does.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


def path() -> Path:
    """Return where the template of the Prefect that is installed lies, in its environment."""
    import prefect

    return Path(sys.prefix, "share", "songmill", f"prefect-{prefect.__version__}.db")


def furnish() -> None:
    """Put a copy of the template where the server's database is to be, if neither is missing.

    A database that is there is left alone, and so is one that is no file. What the copy lacks,
    the server's own migrations add.
    """
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    address = str(PREFECT_API_DATABASE_CONNECTION_URL.value() or "")
    scheme, _, place = address.partition(":///")
    target = Path(place)
    if scheme != "sqlite+aiosqlite" or "?" in place or ":memory:" in place or target.exists():
        return
    # What cannot be done here is said by the server, when it makes the database itself.
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=".songmill-") as folder:
            copy = shutil.copyfile(path(), Path(folder, target.name))
            copy.chmod(0o600)
            # Whole or not at all, and never over one that another command has made meanwhile.
            os.link(copy, target)


def make() -> None:
    """Let Prefect's migrations make the template."""
    with TemporaryDirectory() as home:
        database = Path(home, "prefect.db")
        address = f"sqlite+aiosqlite:///{database}"
        variables = {"PREFECT_HOME": home, "PREFECT_API_DATABASE_CONNECTION_URL": address}
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        target = path()
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_suffix(".part")
        made.unlink(missing_ok=True)
        # As one file: Prefect's own has what was written last in another one beside it.
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(made)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        made.replace(target)


if __name__ == "__main__":
    make()
