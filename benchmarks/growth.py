"""Memory of one worker process over many tracks, with every step and the tiny models.

``python -m benchmarks.growth`` runs the steps of the full profile over 50 tracks of four
minutes, one after the other in one process, as a worker does, and notes the resident memory
after each. Exits 1 if it grows by more than 10 % after the first five.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, report
from blocks.cluster import THREAD_VARIABLES

MAX_GROWTH = 1.10
SETTLED_AFTER = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=4.0, help="length of a track")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        resident = run(Path(name), options.tracks, options.minutes)
    settled = resident[SETTLED_AFTER - 1]
    print("MiB after each track: " + " ".join(f"{each:.0f}" for each in resident))
    return report(
        [
            Figure("first track", resident[0], "MiB"),
            Figure(f"track {SETTLED_AFTER}", settled, "MiB"),
            Figure(f"most after it, of {len(resident)}", max(resident[SETTLED_AFTER:]), "MiB"),
            Figure("growth", max(resident[SETTLED_AFTER:]) / settled, "times", at_most=MAX_GROWTH),
        ]
    )


def run(folder: Path, tracks: int, minutes: float) -> list[float]:
    """Resident memory in MiB after each track."""
    from blocks.storage import Storage
    from examples.songs import RATE_HZ, make_song
    from flows.build_dataset_params import BuildDatasetParams
    from models.tiny.write import write
    from tasks.audio import write_flac
    from tasks.engine.plan import plan, run_here
    from tasks.engine.stage import fetched_models
    from tasks.song.track import SongTrack

    params = BuildDatasetParams(
        audio_dir=str(folder / "songs"),
        output=folder / "dataset.json",
        models_dir=str(folder / "models"),
        pitch={"method": "pyin"},
        llm=False,
    )
    for name in fetched_models(params.stages()):
        write(folder / "models", name)
    songs = [make_song(seed, seconds=60).mix for seed in (1, 2, 3)]
    resident = []
    for at in range(tracks):
        song = songs[at % len(songs)]
        pieces = [song] * max(1, round(minutes * 60 * RATE_HZ / song.shape[1]))
        write_flac(Storage(str(folder / "songs")), f"{at}.flac", pieces, RATE_HZ)
        track = SongTrack(f"{at:032x}", f"{at}.flac")
        made = plan(
            params.stages(),
            [track],
            Storage(str(folder / "tables")),
            params.tools(),
            run_id="growth",
            workers=1,
        )
        run_here(made)
        for _, step, entry in made.results.failures():
            raise RuntimeError(f"{step}: {entry.error}")
        (folder / "songs" / f"{at}.flac").unlink()
        resident.append(resident_mb())
        print(f"{at + 1}: {resident[-1]:.0f} MiB", flush=True)
    return resident


def resident_mb() -> float:
    """Memory that this process holds now (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell how much memory a process holds")


if __name__ == "__main__":
    os.environ.update(THREAD_VARIABLES)
    sys.exit(main())
