"""The fit by low-rank weights: it learns, is evaluated as vectors are, and leaves a model."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from blocks.storage import Storage
from models import adapters, trained
from models.inversion import embeds
from models.protocols import GENERATION
from models.tiny.write import write
from tasks.fit import DatasetReference
from tasks.inversion.evaluation import EvaluationConfig
from tasks.inversion.fit import InversionConfig, run
from tasks.inversion.templates import VALIDATION
from tasks.step import Tools
from tasks.training.config import LoopConfig
from tasks.weights import Weights
from tests.support import concepts
from tests.tasks.training.conftest import MakeSession

PROVENANCE: dict[str, Any] = {**dict.fromkeys(trained.FIT, ""), "key": "k", "config": {}}
NAME = "musicgen-small"
CONFIG = InversionConfig(
    generator=NAME,
    concepts=("8bit", "pads"),
    examples_len=0.2,
    method="lora",
    learning_rate=0.03,
    evaluation=EvaluationConfig(epochs=2, pieces=2),
    loop=LoopConfig(epochs=2, batch_size=4, monitor="cross_entropy"),
)


def test_it_learns_and_leaves_a_model(tmp_path: Path, session: MakeSession):
    torch.set_num_threads(1)
    for name in (NAME, CONFIG.evaluation.clap_model):
        write(tmp_path / "models", name)
    here = Storage(str(tmp_path))
    tools = Tools(here, here.below("outputs"), weights=Weights(str(tmp_path / "models")))
    generator: Any = tools.model(NAME, GENERATION)
    before = copy.deepcopy(generator.network.state_dict())
    made = session(provenance=PROVENANCE)
    address = str(concepts.dataset(tmp_path, train=4, validation=2))
    metrics = run(DatasetReference(address, "f"), CONFIG, tools, made)
    for concept in CONFIG.concepts:
        name = f"cross_entropy/{concept}"
        assert metrics[f"validation/{name}"] < metrics[f"untrained/{name}"] - 0.05
        assert metrics[f"best_epoch/{concept}"] == 2
        assert metrics[f"n/{concept}"] == 2
    assert metrics["fad_avg"] != metrics["fad_avg_before"]
    # The generator is as it was, and what was written is all that generating again needs.
    after = generator.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    folder = made.model_folder
    learnt = adapters.load(trained.card(trained.read(folder)), place=folder)
    assert learnt.decoder == folder / "decoder_lora"
    assert (folder / embeds.FILE).is_file()
    assert not (tmp_path / "outputs" / "k" / "embeds").exists()
    prompt = VALIDATION[0].replace("%s", "<pads>")
    (piece,) = generator.generate([prompt], [0], seconds=0.2, guidance=3.0, concepts=learnt)
    path = tmp_path / "outputs" / "k" / "evaluation" / "epoch-0002" / "pads-00.flac"
    kept, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(kept, piece[0].clip(-1, 1), atol=1e-3)
