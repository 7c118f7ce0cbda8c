"""Memory that learning concepts takes, by model and precision.

``python -m benchmarks.inversion_memory`` counts it from the published configurations of MusicGen,
without content, and adds CLAP, which evaluates, and what a CUDA process has for itself: a batch of
10 examples of 5 s, layers computed a second time for their gradients. `small` has to fit 12 GB and
`medium` 24 GB, in 32 bits too, which is more than mixed precision takes. Where there is a GPU,
random weights of `small`'s published size are trained for 20 steps, and the peak is measured.
"""

import sys
from typing import Any

import torch

from benchmarks.measure import Figure, report
from models import registry
from models.inversion.memory import Memory, Step, needed
from models.inversion.network import Inversion
from models.musicgen import MusicGenAdapter
from models.tiny import clap, musicgen

SIZES = ("small", "medium", "large", "melody")
LIMITS_GB = {"small": 12.0, "medium": 24.0}
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}
PROCESS_GB = 1.0
"""Of a CUDA process, for its context, cuBLAS and gaps between tensors: a generous guess."""

STEPS = 20


def main() -> int:
    figures = []
    evaluating = clap_gb()
    print(f"{'GB':<12}{'weights':>9}{'learnt':>9}{'kept':>9}{'passing':>9}{'cache':>9}{'CLAP':>9}")
    for size in SIZES:
        config = musicgen.published(registry.card(f"musicgen-{size}"))
        for precision, dtype in PRECISIONS.items():
            found = needed(config, Step(), dtype)
            print(row(f"{size} {precision}", found, evaluating))
            total = found.total / 1e9 + evaluating + PROCESS_GB
            name = f"{size}, {precision}: in all"
            figures.append(Figure(name, total, "GB", at_most=LIMITS_GB.get(size)))
    for method in ("inversion", "lora"):
        config = musicgen.published(registry.card("musicgen-small"))
        without = needed(config, Step(method=method, checkpointing=False), torch.bfloat16)
        name = f"small, bf16, {method}, layers kept: step"
        figures.append(Figure(name, without.training / 1e9, "GB"))
    if torch.cuda.is_available():
        figures.append(Figure("small: measured peak", measured_gb(), "GB", at_most=12.0))
    else:
        print("No GPU is at hand: no step was measured.")
    return report(figures)


def row(name: str, found: Memory, evaluating: float) -> str:
    values = [found.weights, found.learnt, found.kept, found.passing, found.cache]
    columns = [*(value / 1e9 for value in values), evaluating]
    return f"{name:<12}" + "".join(f"{value:9.2f}" for value in columns)


def clap_gb() -> float:
    """Weights of the CLAP that evaluates, in 32 bits."""
    import transformers

    config = transformers.ClapConfig(
        audio_config=dict(clap.PUBLISHED.audio), text_config=dict(clap.PUBLISHED.text)
    )
    with torch.device("meta"):
        network = transformers.ClapModel(config)
    return sum(each.nbytes for each in network.parameters()) / 1e9


class Generator:
    """What learners ask of a generator."""

    embedded = MusicGenAdapter.embedded

    def __init__(self, network: Any) -> None:
        self.network = network
        self.words = network.config.text_encoder.vocab_size


def measured_gb() -> float:
    """Most memory that CUDA had reserved in steps of `small` with random weights."""
    import transformers

    config = musicgen.published(registry.card("musicgen-small"))
    network: Any = transformers.MusicgenForConditionalGeneration(config).eval()
    network = network.requires_grad_(False).to("cuda", torch.bfloat16)
    generator: Any = Generator(network)
    learner = Inversion(generator, {"a": 20, "b": 20}, checkpointing=True).to("cuda")
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.1)
    step = Step()
    ids = generator.words + torch.arange(40, device="cuda").repeat(step.batch, 1)
    codes = torch.randint(2048, (step.batch, 4, 250), device="cuda")
    torch.cuda.reset_peak_memory_stats()
    for _ in range(STEPS):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = learner(ids, torch.ones_like(ids), codes).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.cuda.max_memory_reserved() / 1e9


if __name__ == "__main__":
    sys.exit(main())
