"""The fit of textual inversion: words that a generator of music did not know, learnt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from models.inversion.adapter import Method
from models.protocols import GENERATION
from tasks.fit import DatasetReference, Fit, FitConfig, FitError
from tasks.inversion import losses, made
from tasks.inversion.checks import check_codec, check_lengths, opened
from tasks.inversion.concepts import Concepts
from tasks.inversion.epochs import FIGURES, FOLDER, Epoch, Epochs
from tasks.inversion.evaluation import Asked, Evaluation, EvaluationConfig
from tasks.inversion.examples import Examples, Segments, chosen, placed, read
from tasks.inversion.templates import VALIDATION
from tasks.inversion.validation import OWN, Validation
from tasks.step import Tools
from tasks.training.config import LoopConfig
from tasks.training.loop import train
from tasks.training.optimizers import adamw, warm_up_and_cosine
from tasks.training.session import Session
from tasks.training.training import Training

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from models.inversion.network import Learner
    from models.musicgen import MusicGenAdapter

DECAY_STEPS, DECAY = 400, 0.1
"""Every so many steps the learning rate falls to this share."""

LORA_DECAY = 0.1
"""Weight decay of low-rank weights, as the examples of musicgen-dreamboothing have it."""


class InversionConfig(FitConfig):
    """Words that are to be learnt, and how."""

    generator: str
    concepts: tuple[str, ...] = Field(min_length=1)
    tokens_num: int = Field(20, ge=1)
    examples_len: float = Field(5.0, gt=0)
    examples_num: int = Field(100, ge=1)
    randomize_tokens: bool = False
    grad_amplify: float = Field(10.0, gt=0)
    entropy_alpha: float = Field(1.0, ge=0)
    ortho_alpha: float = Field(0.1, ge=0)
    cr_margin: float = Field(1.5, ge=0)
    cfg_coef: float = Field(3.0, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    method: Method = "inversion"
    lora_rank: int = Field(16, ge=1)
    lora_alpha: int = Field(16, ge=1)
    evaluation: EvaluationConfig = EvaluationConfig()
    loop: LoopConfig = LoopConfig(epochs=100, batch_size=10, monitor=OWN, patience=20)

    @property
    def examples_per_step(self) -> int:
        """Examples of each concept that a step takes."""
        return self.loop.batch_size // len(self.concepts)


def run(
    dataset: DatasetReference, config: InversionConfig, tools: Tools, session: Session
) -> Mapping[str, float]:
    """Learn the vectors of concepts, and write the model of each one's best epoch.

    Raises
    ------
    FitError
        If the dataset is not one of these concepts or of this generator, or memory is too small.
    """
    from models.batching import is_out_of_memory

    try:
        return _run(dataset, config, tools, session)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise FitError(
            "out-of-memory",
            f"There is not enough free memory to train with {config.generator}: end what else uses "
            "it, or give a smaller --model-name, --batch-size, --examples-len or --tokens-num.",
        ) from error


def _run(
    dataset: DatasetReference, config: InversionConfig, tools: Tools, session: Session
) -> Mapping[str, float]:
    data = opened(dataset.address, config.concepts)
    check_lengths(data, config.examples_len)
    # Of several trainings of one place, each has its own.
    tools = replace(tools, outputs=tools.outputs.below(session.provenance["key"]))
    generator: Any = tools.model(config.generator, GENERATION)
    check_codec(data, config.generator, generator)
    learner = _learner(config, generator, session)
    try:
        return _learnt(data, config, tools, session, learner)
    finally:
        learner.release()


def _learnt(
    data: Concepts, config: InversionConfig, tools: Tools, session: Session, learner: "Learner"
) -> Mapping[str, float]:
    is_lora = config.method == "lora"
    examples = Examples(
        _segments(data, config, session.seed),
        learner.counts,
        learner.generator.words,
        config.randomize_tokens,
    )
    validation = _validation(data, config, session.seed)
    untrained = _untrained(validation, learner)
    about = {
        "model": config.generator,
        "model_revision": tools.weights.revision(config.generator),
        "fit": session.provenance["key"],
    }
    # Vectors of words that are known are no concepts to generate with.
    folder = FIGURES if is_lora else FOLDER
    epochs = Epochs(tools.outputs.below(folder), about, config.concepts)
    course = _Course(config, epochs, _evaluation(data, config, tools, session, learner), session)
    result = train(
        Training(
            module=learner,
            data=examples,
            loss=partial(loss, config, learner),
            optimizer=partial(_optimizer, config),
            scheduler=partial(warm_up_and_cosine, warm_up=0.0) if is_lora else _step_decay,
            validate=validation,
            collate=examples.collate,
            validated=partial(course.validated, steps_per_epoch=_steps_per_epoch(config, examples)),
            checkpoint=None if is_lora else partial(_write_last, epochs),
        ),
        config.loop,
        session,
    )
    if session.rank:
        return result.metrics
    per_epoch = _steps_per_epoch(config, examples)
    last = result.steps // per_epoch
    best = epochs.best(last)
    if is_lora:
        # The weights are of all concepts: there is one best epoch.
        learner.load_state_dict(result.best)
        number = int(result.metrics["step"]) // per_epoch
        best = {name: epochs.of(number) for name in best}
    metrics = made.figures(epochs, best, last, untrained)
    segments = {
        each.concept: (len(each), len(own))
        for each, own in zip(examples.segments, validation.own, strict=True)
    }
    done = made.Made(config.method, learner, about, segments, epochs, best, result, metrics)
    made.write(done, session)
    return metrics


def loss(
    config: InversionConfig,
    learner: "Learner",
    module: "nn.Module",
    batch: Mapping[str, Any],
) -> "tuple[Tensor, dict[str, Tensor]]":
    """Return the loss of a batch: of codes, of vectors that are alike, of concepts too near.

    The cross-entropy counts once for every concept, as the other terms do: the gradients of a
    concept are those that it has alone, but for the margin between concepts.
    """
    generator = learner.generator
    ids, mask = generator.tokens(batch["prompts"], learner.counts)
    ids = placed(ids, batch["places"], generator.words)
    entropy = module(ids, mask, batch["codes"]).mean()
    if config.method == "lora":
        return entropy, {"train/cross_entropy": entropy.detach()}
    each = list(learner.by_concept().values())
    alike = sum(losses.similarity(vectors) for vectors in each)
    near = losses.closeness(each, config.cr_margin)
    total = config.entropy_alpha * len(each) * entropy + config.ortho_alpha * alike + near
    terms = {"train/cross_entropy": entropy, "train/similarity": alike, "train/closeness": near}
    return total, {name: value.detach() for name, value in terms.items()}


def _segments(data: Concepts, config: InversionConfig, seed: int) -> list[Segments]:
    most, seconds = config.examples_num, config.examples_len
    return [
        read(data, name, chosen(data, "train", name, most, seed), seconds)
        for name in config.concepts
    ]


def _learner(
    config: InversionConfig,
    generator: "MusicGenAdapter",
    session: Session,
) -> "Learner":
    from models.inversion import learners
    from models.inversion.lora import Rank

    learner = learners.learner(
        config.method,
        generator,
        config.concepts,
        vectors=config.tokens_num,
        amplify=config.grad_amplify,
        rank=Rank(config.lora_rank, config.lora_alpha),
        seed=session.seed,
        # A GPU's memory is what is short; the processor's time is on a CPU.
        checkpointing=session.device == "cuda",
    )
    return learner.to(generator.device)


def _validation(data: Concepts, config: InversionConfig, seed: int) -> Validation:
    most, seconds = config.examples_num, config.examples_len
    own, others = [], []
    for name in config.concepts:
        own.append(read(data, name, chosen(data, "validation", name, most, seed), seconds))
        beside = chosen(data, "validation", name, len(own[-1]), seed, beside=True)
        if beside:
            others.append(read(data, name, beside, seconds))
    return Validation(own, others, config.loop.batch_size // config.loop.accumulation)


def _untrained(validation: Validation, learner: "Learner") -> dict[str, float]:
    """Return what is validated before the first step; the training goes on as if it were not."""
    import torch

    learner.eval()
    with torch.no_grad():
        found = validation(learner)
    learner.train()
    return found


def _evaluation(
    data: Concepts, config: InversionConfig, tools: Tools, session: Session, learner: "Learner"
) -> Evaluation | None:
    if not config.evaluation.epochs or session.rank:
        return None
    recordings = {
        name: chosen(data, "train", name, config.examples_num, session.seed)
        for name in config.concepts
    }
    asked = Asked(VALIDATION, config.examples_len, config.cfg_coef)
    learner.eval()
    evaluation = Evaluation(config.evaluation, asked, recordings, data, tools, session, learner)
    learner.train()
    return evaluation


@dataclass(frozen=True)
class _Course:
    """What is stored of each epoch."""

    config: InversionConfig
    epochs: Epochs
    evaluation: Evaluation | None
    session: Session

    def validated(
        self, learner: Any, step: int, metrics: Mapping[str, float], *, steps_per_epoch: int
    ) -> None:
        epoch = step // steps_per_epoch
        found = dict(metrics)
        if self.evaluation is not None:
            is_last = epoch == self.config.loop.epochs
            heard = self.evaluation(learner, epoch, step, is_last=is_last)
            if heard:
                self.session.log(heard, step)
            found |= heard
        vectors = {
            name: each.detach().float().cpu().numpy() for name, each in learner.by_concept().items()
        }
        self.epochs.write(Epoch(epoch, found), vectors)


def _write_last(epochs: Epochs, state: Mapping[str, Any]) -> None:
    rows = state["module"]["vectors"].detach().float().cpu().numpy()
    parts = rows.reshape(len(epochs.concepts), -1, rows.shape[1])
    epochs.write_last(dict(zip(epochs.concepts, parts, strict=True)))


def _optimizer(config: InversionConfig, module: "nn.Module") -> "Optimizer":
    import torch

    if config.method == "lora":
        return adamw(module, learning_rate=config.learning_rate, weight_decay=LORA_DECAY)
    return torch.optim.Adam(module.parameters(), lr=config.learning_rate)


def _step_decay(optimizer: "Optimizer", steps: int) -> "LRScheduler":
    import torch

    return torch.optim.lr_scheduler.StepLR(optimizer, DECAY_STEPS, DECAY)


def _steps_per_epoch(config: InversionConfig, examples: Examples) -> int:
    return -(-len(examples) // config.loop.batch_size)


FIT = Fit(
    name="inversion",
    version=1,
    config=InversionConfig,
    run=run,
    models=lambda config: (config.generator, *config.evaluation.models),
)
