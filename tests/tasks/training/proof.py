"""A fit that is real and small: a network of some thousand parameters learns a sine.

The folder of its dataset says how it behaves, since its address is in no key: a file
``pause`` holds the seconds that each step takes, and every step leaves a mark in ``trace``.
"""

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blocks.storage import Storage, StorageError
from tasks.engine.fit_job import FitJob, job
from tasks.fit import DatasetReference, Fit, FitConfig, FitError
from tasks.step import Tools
from tasks.training.config import LoopConfig
from tasks.training.loop import train
from tasks.training.session import FitOptions, Session
from tasks.training.training import Trained, Training

EXAMPLES = 40


class ProofConfig(FitConfig):
    loop: LoopConfig = LoopConfig(epochs=4, batch_size=8, ema_decay=0.9, clip_norm=1.0)
    learning_rate: float = 1e-2
    width: int = 32
    dropout: float = 0.05
    noise: float = 0.05
    breaks: str | None = None


def waves(width: int, dropout: float = 0.0) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Linear(1, width),
        nn.Tanh(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Linear(width, 1),
    )


@dataclass(frozen=True)
class Sine:
    """Points of a sine, with noise from every generator that there is."""

    noise: float = 0.0
    examples: int = EXAMPLES

    def __len__(self) -> int:
        return self.examples

    def example(self, index: int, rng: np.random.Generator) -> Any:
        import torch

        x = 2 * (index + 0.5) / self.examples - 1
        noises = [rng.standard_normal(), random.gauss(), np.random.randn(), torch.randn(())]  # noqa: NPY002
        y = np.sin(3 * x) + self.noise * float(sum(noises))
        return torch.tensor([x]), torch.tensor([y], dtype=torch.float32)


def mean_square(module: Any, batch: Any) -> Any:
    x, y = batch
    return (module(x) - y).square().mean(), {}


def distance(module: Any) -> Mapping[str, float]:
    """Mean square of the difference to the sine itself."""
    import torch

    device = next(module.parameters()).device
    x = torch.linspace(-1, 1, 101, device=device)[:, None]
    return {"loss": (module(x).float() - torch.sin(3 * x)).square().mean().item()}


def training(config: ProofConfig, dataset: Path | None = None) -> Training:
    import torch

    def loss(module: Any, batch: Any) -> Any:
        if dataset is not None:
            leave_mark(dataset)
        return mean_square(module, batch)

    return Training(
        module=waves(config.width, config.dropout),
        data=Sine(config.noise),
        loss=loss,
        optimizer=lambda module: torch.optim.AdamW(module.parameters(), lr=config.learning_rate),
        scheduler=lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, steps
        ),
        validate=distance,
    )


def leave_mark(dataset: Path) -> None:
    """Write down that a step is taken, and take as long as the dataset says."""
    with (dataset / "trace").open("a") as trace:
        trace.write(f"{os.getpid()} {time.time()}\n")
    pause = dataset / "pause"
    time.sleep(float(pause.read_text()) if pause.exists() else 0)


def run(
    dataset: DatasetReference, config: ProofConfig, tools: Tools, session: Session
) -> Mapping[str, float]:
    if config.breaks == "bug":
        raise ZeroDivisionError("one by nothing")
    if config.breaks == "error":
        raise FitError("dataset-odd", "The dataset is odd: take another.")
    if config.breaks == "storage":
        raise StorageError("No space is left.")
    if config.breaks == "death":
        os.kill(os.getpid(), 9)
    trained = train(training(config, Path(dataset.address)), config.loop, session)
    write(trained, config, session)
    return trained.metrics


def write(trained: Trained, config: ProofConfig, session: Session) -> None:
    from safetensors.torch import save_file

    from models import trained as models

    save_file(trained.best, session.model_folder / "model.safetensors")
    models.write(
        session.model_folder,
        name="proof",
        task="codec",
        adapter="tasks.training.proof:load",
        arguments={"width": config.width},
        licence="CC0-1.0",
        fit=session.provenance,
        metrics=trained.metrics,
    )


FIT = Fit(name="proof", version=1, config=ProofConfig, run=run)


def proof_job(
    folder: Path,
    config: ProofConfig | None = None,
    *,
    seed: int = 0,
    options: FitOptions | None = None,
    place: Path | None = None,
    run_id: str = "run",
    label: str | None = None,
) -> FitJob:
    """A job of the proof in a folder, whose dataset is the folder itself."""
    here = Storage(str(folder))
    return job(
        FIT,
        config or ProofConfig(),
        DatasetReference(str(folder), "sine"),
        place=Storage(str(place or folder / "fits")),
        tools=Tools(here, here),
        seed=seed,
        options=options or FitOptions(threads=1, log_steps=1),
        run_id=run_id,
        label=label,
    )


def steps(folder: Path) -> list[tuple[int, float]]:
    """Process and time of each step that was taken on a dataset."""
    trace = folder / "trace"
    lines = trace.read_text().splitlines() if trace.exists() else []
    return [(int(pid), float(at)) for pid, at in map(str.split, lines)]
