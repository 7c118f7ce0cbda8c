"""What becomes of a folder of songs in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

MOST_SECONDS = 10.0
"""CPU time of one song, of some seconds of audio at most: a hundred times what it takes."""

MOST_MB = 1200.0
"""Memory of the process: that of its libraries is 300 MB."""


@dataclass(frozen=True)
class Carried:
    """Songs that went through steps, and files that did not get so far.

    Attributes
    ----------
    songs
        What became of each song, by path: CPU seconds, peak memory, reasons by step.
    duplicates, failures
        Files that are copies of others, and reasons of those that are no songs.
    """

    songs: dict[str, dict[str, Any]]
    duplicates: list[str]
    failures: dict[str, str]

    @property
    def whole(self) -> list[str]:
        """Songs that no step failed on."""
        return [path for path, each in self.songs.items() if not any(each["reasons"].values())]


def carried_out(folder: Path, made: Path, *steps: str) -> Carried:
    """Run steps over a folder; whatever ends the process is the fault of the song named."""
    command = [sys.executable, "-m", "tests.fuzz.steps_run", str(folder), str(made), *steps]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    begun = [each["begins"] for each in said if "begins" in each]
    assert done.returncode == 0, f"in {begun[-1:]}: {done.stderr}"
    songs = {each["path"]: each for each in said if "path" in each}
    accounted = said[-1]
    assert set(begun) == set(songs) == set(accounted["songs"])

    bugs = [
        (path, each["errors"])
        for path, each in songs.items()
        if "internal-error" in each["reasons"].values()
    ]
    assert not bugs
    slow = max(songs.values(), key=lambda each: each["seconds"])
    large = max(songs.values(), key=lambda each: each["peak_mb"])
    carried = Carried(songs, accounted["duplicates"], accounted["failures"])
    print(
        f"{len(carried.whole)} songs, {len(songs) - len(carried.whole)} that failed in a step, "
        f"{len(carried.failures)} before; slowest {slow['path']} {slow['seconds']:.2f} s, "
        f"most memory {large['path']} {large['peak_mb']:.0f} MB"
    )
    assert slow["seconds"] < MOST_SECONDS, slow
    assert large["peak_mb"] < MOST_MB, large
    return carried
