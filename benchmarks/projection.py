"""A projection trained on synthesised songs: how well words find songs it has not heard.

``python -m benchmarks.projection`` writes songs with captions and tags that follow from their
sound, runs the commands of the job on them (unify, embed by ``mel`` and MiniLM or n-grams, train,
and the last two again with the captions shuffled among the songs), and compares R@10 on songs
that were held out with chance.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, report
from examples.corpora import write_corpus

ROOT = Path(__file__).parents[1]
TRAINED, VALIDATED, HELD_OUT = 300, 30, 150
"""Songs. Of fewer held-out songs than 80, eight times chance would be more than all."""

LEAST_TIMES_CHANCE = 8.0
MOST_TIMES_CHANCE_SHUFFLED = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus("folder", folder / "raw" / "folder", TRAINED + VALIDATED + HELD_OUT, shared=0)
        run("unify_datasets", "--data_dir", "raw", "--output", "unified.json", cwd=folder)
        rows = divided(json.loads((folder / "unified.json").read_text()))
        figures = [
            *measured(folder, "as they are", rows, at_least=LEAST_TIMES_CHANCE),
            *measured(folder, "shuffled", shuffled(rows), at_most=MOST_TIMES_CHANCE_SHUFFLED),
        ]
    return report(figures)


def divided(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows, each a group of its own, of which more than a tenth are held out."""
    rows = sorted(rows, key=lambda row: row["id"])
    random.Random(0).shuffle(rows)
    splits = ["train"] * TRAINED + ["validation"] * VALIDATED + ["test"] * HELD_OUT
    return [
        row | {"split": split, "group": row["id"], "evaluation_only": False}
        for row, split in zip(rows, splits, strict=True)
    ]


def shuffled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose captions are those of others of the same split."""
    found = []
    for split in ("train", "validation", "test"):
        mine = [row for row in rows if row["split"] == split]
        others = [(row["caption"], row["alt_captions"]) for row in mine]
        random.Random(1).shuffle(others)
        found += [
            row | {"caption": caption, "alt_captions": further}
            for row, (caption, further) in zip(mine, others, strict=True)
        ]
    return found


def measured(folder: Path, name: str, rows: list[dict[str, Any]], **limits: float) -> list[Figure]:
    """Embed and train, and say how often R@10 is more than chance."""
    place = name.replace(" ", "-")
    (folder / f"{place}.json").write_text(json.dumps(rows))
    run(
        *("prepare_embeddings", "--dataset_file", f"{place}.json", "--output_dir", place),
        *("--encoders", "mel", "--checkpoint_dir", "checkpoints"),
        cwd=folder,
    )
    run(
        *("train_projection", "--audio_encoder", "mel", "--data_dir", place),
        *("--output", f"{place}-projection", "--epochs", "40"),
        cwd=folder,
    )
    found = json.loads((folder / f"{place}-projection" / "mel_best" / "metrics.json").read_text())
    figures = []
    for way in ("text_to_audio", "audio_to_text"):
        recall = found[f"test/{way}/recall_at_10"]
        chance = found[f"test/{way}/chance/recall_at_10"]
        said = f"captions {name}, {way.replace('_', ' ')}"
        figures += [
            Figure(f"{said}: R@10", 100 * recall, "%"),
            Figure(f"{said}: chance", 100 * chance, "%"),
            Figure(f"{said}: times chance", recall / chance, "", **limits),
        ]
    return figures


def run(flow: str, *arguments: str, cwd: Path) -> None:
    """Run a command of the job."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": ""}
    script = str(ROOT / "flows" / f"{flow}.py")
    subprocess.run(
        [sys.executable, script, *arguments],
        cwd=cwd,
        check=True,
        env=environment,
        stdout=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
