"""Files that pack others."""

import tarfile
from pathlib import Path

from tasks.dataset import packing
from tasks.export.examples import key_of


def test_the_longest_key_has_a_place_in_a_tar(tmp_path: Path) -> None:
    # Names of ustar end at 100 characters.
    name = key_of("a b" * 50) + ".flac"
    assert len(name) == 118
    with packing.tar(tmp_path / "x.tar") as tar:
        tar.add_bytes(name, b"sound")
    with tarfile.open(tmp_path / "x.tar") as written:
        [member] = written
        file = written.extractfile(member)
        assert file is not None
        assert (member.name, file.read()) == (name, b"sound")
        assert (member.mtime, member.uid, member.uname) == (0, 0, "")
