from pathlib import Path

from blocks.storage import Storage
from models.tiny.write import write
from tasks.engine.preflight import Preflight, code_digest
from tasks.weights import Weights
from tests.support.s3_server import bucket

__all__ = ["bucket"]


def asked(tmp_path: Path, **changes) -> list[str]:
    (tmp_path / "songs").mkdir(exist_ok=True)
    values = {
        "code": code_digest(),
        "readable": [Storage(str(tmp_path / "songs"))],
        "writable": [Storage(str(tmp_path / "out"))],
        "weights": Weights(str(tmp_path / "models")),
        "models": [],
        **changes,
    }
    return Preflight(**values)()


def test_a_worker_that_has_everything_lacks_nothing(tmp_path: Path):
    write(tmp_path / "models", "ecapa-voxceleb")
    assert asked(tmp_path, models=["ecapa-voxceleb"]) == []
    assert not list((tmp_path / "out").iterdir())


def test_a_bucket_that_is_not_there_is_said(bucket: str, tmp_path: Path):
    assert asked(tmp_path, readable=[Storage(bucket)]) == []
    lacks = asked(tmp_path, readable=[Storage("s3://nowhere/songs")])
    assert lacks == ["no access to s3://nowhere/songs"]


def test_everything_that_is_missing_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    lacks = asked(
        tmp_path,
        code="another",
        readable=[Storage(str(tmp_path / "elsewhere"))],
        writable=[Storage(str(tmp_path / "file"))],
        models=["htdemucs"],
    )
    assert lacks == [
        "another version of the project's code",
        f"no access to {tmp_path}/elsewhere",
        f"no right to write to {tmp_path}/file",
        f"models in {tmp_path}/models: htdemucs (it is not there)",
    ]
