"""Damaged archives through the steps of prepare-stems."""

import io
import random
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.fuzz.audio_samples import samples
from tests.fuzz.conftest import Count
from tests.fuzz.mutations import mutated
from tests.tasks.stems.studio import prepare

ROOT = Path(__file__).parents[2]
ARCHIVES = 500
NAMES = ("drums", "bass", "guitar", "vocals", "piano", "Mix", "noises", "gtr ソ", "__MACOSX/._bass")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def archive(files: list[bytes], rng: random.Random) -> bytes:
    """A zip of some stems, of which some are damaged."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", rng.choice(METHODS)) as out:
        for name in rng.sample(NAMES, rng.randrange(1, 5)):
            data = mutated(files, rng) if rng.random() < 0.2 else rng.choice(files)
            out.writestr(f"{name}.{rng.choice(('wav', 'flac', 'mp3', 'txt'))}", data)
    return target.getvalue()


def check(folder: Path) -> None:
    """Prepare what lies there, and make sure that each archive is accounted for."""
    made = prepare(folder / "archives", folder / "prepared")
    used = {row["source"] for row in made.stems}
    duplicates = set(made.found.duplicates)
    failed = {row["file_path"].partition(":")[0] for row in made.failures}
    files = {str(path.relative_to(folder / "archives")) for path in folder.rglob("*.zip")}
    lost = files - used - duplicates - failed
    assert not lost, (lost, made.failures)
    bugs = [row for row in made.failures if row["reason"] == "internal-error"]
    assert not bugs, bugs
    print(f"{len(files)} archives: {len(used)} songs, {len(failed)} with remarks or refused")
    assert len(used) > len(files) / 10


def test_no_archive_ends_anything_but_itself(tmp_path: Path, count: Count):
    rng = random.Random(11)
    # Short files: most of the time goes into unpacking.
    files = sorted(samples(), key=len)[:8]
    valid = [archive(files, rng) for _ in range(8)]
    folder = tmp_path / "archives"
    folder.mkdir()
    for number in range(count(ARCHIVES)):
        data = archive(files, rng) if rng.random() < 0.3 else mutated(valid, rng)
        (folder / f"{number:04}.zip").write_bytes(data)
    command = [sys.executable, "-m", __name__, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)


if __name__ == "__main__":
    check(Path(sys.argv[1]))
