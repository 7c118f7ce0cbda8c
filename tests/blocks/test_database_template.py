"""New homes of Prefect get a database that was made before."""

from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings

from blocks import database_template

MADE = b"SQLite format 3\x00, as far as a copy is concerned"


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "template.db"
    made.write_bytes(MADE)
    monkeypatch.setattr(database_template, "path", lambda: made)
    return made


def furnish(address: str) -> None:
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: address}):
        database_template.furnish()


def test_a_new_home_gets_a_copy_that_only_its_owner_reads(template: Path, tmp_path: Path):
    database = tmp_path / "home" / "prefect.db"
    furnish(f"sqlite+aiosqlite:///{database}")
    assert database.read_bytes() == MADE
    assert database.stat().st_mode & 0o777 == 0o600
    assert list(database.parent.iterdir()) == [database]


def test_a_database_that_is_there_is_left_alone(template: Path, tmp_path: Path):
    database = tmp_path / "prefect.db"
    database.write_bytes(b"a history of runs")
    furnish(f"sqlite+aiosqlite:///{database}")
    assert database.read_bytes() == b"a history of runs"


@pytest.mark.parametrize(
    "address",
    [
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file::memory:?cache=shared",
        "postgresql+asyncpg://user:password@127.0.0.1:5432/prefect",
    ],
)
def test_what_is_no_file_is_not_made_one(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
):
    monkeypatch.chdir(tmp_path)
    furnish(address)
    assert list(tmp_path.iterdir()) == [template]


def test_without_a_template_the_server_makes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database_template, "path", lambda: tmp_path / "nowhere")
    database = tmp_path / "home" / "prefect.db"
    furnish(f"sqlite+aiosqlite:///{database}")
    assert not database.exists()
