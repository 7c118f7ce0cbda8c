"""The loop, against what is computed by hand, and resumed at any step."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blocks.storage import Storage
from tasks.fit import FitError, StoppedError
from tasks.training import randomness
from tasks.training.config import LoopConfig
from tasks.training.data import Batches, loader
from tasks.training.files import FitFiles
from tasks.training.loop import train
from tasks.training.session import FitOptions, Session
from tasks.training.training import Training
from tests.tasks.training.conftest import MakeSession
from tests.tasks.training.proof import ProofConfig, Sine, distance, training, waves

PLAIN = ProofConfig(loop=LoopConfig(epochs=3, batch_size=8), noise=0.0)


def proof(config: ProofConfig = PLAIN, **changes: Any) -> Training:
    randomness.seed_all(0)
    return replace(training(config), **changes)


def without_dropout(config: ProofConfig = PLAIN, **changes: Any) -> Training:
    return proof(config.model_copy(update={"dropout": 0.0}), **changes)


def curve(session: Session, name: str = "loss") -> list[float]:
    return session._curves[name].values


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_network_learns_a_sine(session: MakeSession):
    config = LoopConfig(epochs=60, batch_size=8)
    here = session()
    fast = PLAIN.model_copy(update={"learning_rate": 3e-2})
    trained = train(without_dropout(fast), config, here)
    assert trained.metrics["loss"] < 2e-3
    assert trained.steps == 300
    assert curve(here)[0] > 0.1
    network = waves(32)
    network.load_state_dict(trained.best)
    assert distance(network.eval())["loss"] == pytest.approx(trained.metrics["loss"], rel=1e-4)


def test_a_training_that_is_stopped_at_any_step_ends_with_the_same_bits(session: MakeSession):
    config = ProofConfig(
        loop=LoopConfig(epochs=3, batch_size=8, ema_decay=0.8, clip_norm=0.5, validate_steps=4)
    )
    whole = train(proof(config), config.loop, session("whole"))
    halts = [2, 4, 5, 9, 15]
    for halt in halts:
        asked = iter(range(100))
        done = 0 if halt == halts[0] else halts[halts.index(halt) - 1]
        here = session("parts", stop=lambda: next(asked) + done >= halt)  # noqa: B023
        if halt < 15:
            with pytest.raises(StoppedError):
                train(proof(config), config.loop, here)
        else:
            parts = train(proof(config), config.loop, here)
    assert equal(parts.last, whole.last)
    assert equal(parts.best, whole.best)
    assert parts.metrics == whole.metrics
    again = train(proof(config), config.loop, session("whole"))
    assert equal(again.last, whole.last), "from the beginning: its state was never saved"


def test_data_come_in_an_order_of_the_seed(session: MakeSession):
    def seen(key: str, seed: int = 0) -> list[list[float]]:
        batches: list[list[float]] = []

        def loss(module: Any, batch: Any) -> Any:
            batches.append(batch[0].flatten().tolist() + batch[1].flatten().tolist())
            return module(batch[0]).mean(), {}

        config = LoopConfig(epochs=2, batch_size=8)
        train(proof(loss=loss, data=Sine(noise=0.3)), config, session(key, seed=seed))
        return batches

    first = seen("a")
    assert seen("b") == first
    assert seen("c", seed=1) != first
    xs = [sorted(x for batch in epoch for x in batch[:8]) for epoch in (first[:5], first[5:])]
    every = [2 * (index + 0.5) / 40 - 1 for index in range(40)]
    assert xs[0] == xs[1] == pytest.approx(every), "an epoch is every example once"
    assert first[:5] != first[5:]


def test_data_are_read_on_from_a_step_without_those_before():
    loaded: list[int] = []

    class Watched(Sine):
        def example(self, index: int, rng: np.random.Generator) -> Any:
            loaded.append(index)
            return super().example(index, rng)

    def batches(first_step: int) -> Any:
        numbers = Batches(40, 8, accumulation=2, processes=1, seed=3)
        return iter(
            loader(
                Watched(noise=0.3),
                numbers,
                first_step=first_step,
                rank=0,
                num_workers=0,
                pin_memory=False,
                collate=None,
            )
        )

    first = [next(parts) for parts in [batches(0)] for _ in range(16)]
    loaded.clear()
    later = [next(parts) for parts in [batches(6)] for _ in range(4)]
    assert len(loaded) == 16
    for one, other in zip(first[12:], later, strict=True):
        assert all(map(torch.equal, one, other)), "noise and all"


def test_accumulation_equals_a_larger_batch(session: MakeSession):
    one = train(without_dropout(), PLAIN.loop, session("one"))
    config = LoopConfig(epochs=3, batch_size=8, accumulation=4)
    four = train(without_dropout(), config, session("four"))
    for name, weights in one.last.items():
        torch.testing.assert_close(four.last[name], weights, rtol=1e-4, atol=1e-5)


def test_clipping_is_applied(session: MakeSession):
    norms: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            gradients = [each.grad for group in self.param_groups for each in group["params"]]
            norms.append(torch.cat([each.flatten() for each in gradients]).norm().item())
            return super().step(closure)

    def optimizer(module: Any) -> Any:
        return Watched(module.parameters(), lr=0.1)

    for clip_norm in (None, 0.05):
        config = LoopConfig(steps=4, batch_size=8, clip_norm=clip_norm)
        here = session(str(clip_norm))
        train(without_dropout(optimizer=optimizer), config, here)
    assert min(norms[:4]) > 0.06
    assert norms[4:] == pytest.approx([0.05] * 4, rel=1e-3)
    assert curve(here, "gradient_norm")[0] > 0.06, "what is logged is the norm before"


def test_the_running_mean_of_the_weights_is_that_of_hand(session: MakeSession):
    history: list[dict[str, torch.Tensor]] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            result = super().step(closure)
            weights = zip(module.state_dict(), module.state_dict().values(), strict=True)
            history.append({name: value.detach().double().clone() for name, value in weights})
            return result

    config = LoopConfig(steps=6, batch_size=8, ema_decay=0.3)
    made = without_dropout(optimizer=lambda module: Watched(module.parameters(), lr=0.3))
    module = made.module
    trained = train(made, config, session())
    mean = history[0]  # the first step begins the mean
    # After few steps the mean is over few: (1 + n) / (10 + n) is 0.18, 0.25, 0.31 and more.
    for decay, weights in zip([2 / 11, 3 / 12, 0.3, 0.3, 0.3], history[1:], strict=True):
        mean = {name: decay * mean[name] + (1 - decay) * weights[name] for name in mean}
    for name, value in mean.items():
        torch.testing.assert_close(trained.best[name].double(), value, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(trained.last[name].double(), history[-1][name])


def validated(values: list[float]) -> Callable[[Any], Mapping[str, float]]:
    left = iter(values)
    return lambda module: {"loss": next(left)}


@pytest.mark.parametrize(
    ("values", "direction", "min_delta", "best_step", "steps"),
    [
        ([3, 2, 2.5, 2.1, 1], "min", 0.0, 2, 4),
        ([3, 2, 1.95, 1.92, 1], "min", 0.1, 2, 4),
        ([1, 2, 1.5, 3, 2, 2], "max", 0.0, 4, 6),
        ([5, 4, 3, 2, 1, 0], "min", 0.0, 6, 6),
        ([float("nan"), float("nan"), 1], "min", 0.0, 1, 2),
    ],
)
def test_training_ends_when_patience_is_over(
    session: MakeSession,
    values: list[float],
    direction: Any,
    min_delta: float,
    best_step: int,
    steps: int,
):
    config = LoopConfig(
        steps=6,
        batch_size=8,
        validate_steps=1,
        patience=2,
        direction=direction,
        min_delta=min_delta,
    )
    trained = train(proof(validate=validated(values)), config, session())
    assert (trained.metrics["step"], trained.steps) == (best_step, steps)
    assert trained.stopped_early == (steps < 6)
    if trained.stopped_early:
        assert not equal(trained.best, trained.last)


def test_patience_and_the_best_weights_outlive_a_stop(session: MakeSession):
    config = LoopConfig(steps=6, batch_size=8, validate_steps=1, patience=2)
    values = [3, 2, 2.5, 2.6, 1, 0]
    whole = train(proof(validate=validated(values)), config, session("whole"))
    made = proof(validate=validated(values))
    asked = iter([False] * 3 + [True])
    with pytest.raises(StoppedError):
        train(made, config, session(stop=lambda: next(asked)))
    parts = train(proof(validate=made.validate), config, session())
    assert (parts.steps, parts.stopped_early) == (whole.steps, whole.stopped_early) == (4, True)
    assert parts.metrics == whole.metrics == {"loss": 2, "step": 2}
    assert equal(parts.best, whole.best)


def test_how_often_is_validated_changes_nothing(session: MakeSession):
    seen: list[float] = []

    def validate(module: Any) -> Mapping[str, float]:
        seen.append(torch.rand(()).item())
        return {"loss": 0.0}

    config = LoopConfig(epochs=2, batch_size=8)
    seldom = train(proof(validate=validate), config, session("seldom"))
    config = LoopConfig(epochs=2, batch_size=8, validate_steps=1)
    often = train(proof(validate=validate), config, session("often"))
    assert equal(seldom.last, often.last)
    assert len(seen) == 12
    assert len(set(seen)) == 1, "and validations are alike"


def test_a_metric_to_watch_that_is_not_there_is_said(session: MakeSession):
    config = LoopConfig(steps=1, monitor="sdr")
    with pytest.raises(FitError, match=r"no metric sdr .*: monitor one of loss") as raised:
        train(proof(), config, session())
    assert raised.value.reason == "monitor-missing"


def test_bf16_trains_on_a_cpu(session: MakeSession):
    dtypes = set()

    def loss(module: Any, batch: Any) -> Any:
        hooks = [
            each.register_forward_hook(lambda module, given, made: dtypes.add(made.dtype))
            for each in module
            if isinstance(each, torch.nn.Linear)
        ]
        x, y = batch
        made = (module(x) - y).square().mean(), {}
        for hook in hooks:
            hook.remove()
        return made

    config = LoopConfig(epochs=20, batch_size=8, precision="bf16")
    trained = train(without_dropout(loss=loss), config, session())
    assert dtypes == {torch.bfloat16}
    assert trained.last["0.weight"].dtype == torch.float32
    assert trained.metrics["loss"] < 0.2


def test_fp16_on_a_cpu_is_one_clear_sentence(session: MakeSession):
    with pytest.raises(FitError, match="choose bf16, fp32 or auto"):
        train(proof(), LoopConfig(steps=1, precision="fp16"), session())


def test_a_loss_that_is_no_number_ends_the_fit(session: MakeSession):
    def loss(module: Any, batch: Any) -> Any:
        return module(batch[0]).mean() * float("nan"), {}

    with pytest.raises(FitError, match="step 1: lower the learning rate") as raised:
        train(proof(loss=loss), LoopConfig(steps=5), session())
    assert raised.value.reason == "loss-not-finite"


@pytest.mark.parametrize("length", [{}, {"epochs": 1, "steps": 1}])
def test_a_training_has_one_length(length: dict[str, int]):
    with pytest.raises(ValueError, match="either epochs or steps"):
        LoopConfig(**length)  # type: ignore[arg-type]


def test_batches_larger_than_the_data_repeat_it(session: MakeSession):
    sizes: list[int] = []

    def loss(module: Any, batch: Any) -> Any:
        sizes.append(len(batch[0]))
        return module(batch[0]).mean(), {}

    config = LoopConfig(epochs=2, batch_size=8)
    trained = train(proof(data=Sine(examples=3), loss=loss), config, session())
    assert (sizes, trained.steps) == ([8, 8], 2)
    with pytest.raises(FitError, match="holds no example"):
        train(proof(data=Sine(examples=0)), config, session("none"))


def test_states_are_saved_when_they_are_due(session: MakeSession, tmp_path: Path):
    def states(key: str, **options: Any) -> list[int]:
        saved: list[int] = []
        here = session(key, options=FitOptions(**options))
        here.save = lambda state, step: saved.append(step)  # type: ignore[method-assign]
        train(proof(), LoopConfig(steps=12, batch_size=8), here)
        return saved

    assert states("steps", checkpoint_steps=4) == [4, 8, 12]
    assert states("never") == []
    assert states("always", checkpoint_seconds=0.0) == list(range(1, 13))


def test_a_state_that_is_a_pickle_of_code_is_refused(session: MakeSession, tmp_path: Path):
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    files = FitFiles(Storage(str(tmp_path / "fits")), "evil")
    files.write_state("state", {"state": Evil(), "step": 1})
    with pytest.raises(Exception, match="weights_only"):
        train(proof(), PLAIN.loop, session("evil"))
    assert not (tmp_path / "owned").exists()


def test_only_the_last_state_is_kept(session: MakeSession, tmp_path: Path):
    here = session(options=FitOptions(checkpoint_steps=1))
    train(proof(), LoopConfig(steps=3, batch_size=8), here)
    left = sorted(path.name for path in (tmp_path / "fits" / "key" / "state").iterdir())
    assert left == ["00000003-attempt1.pt", "current.json"]


def test_curves_go_on_over_a_stop_and_into_tensorboard(session: MakeSession, tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    asked = iter([False] * 4 + [True])
    with pytest.raises(StoppedError):
        train(proof(), PLAIN.loop, here := session(stop=lambda: next(asked)))
    here.close()
    train(proof(), PLAIN.loop, here := session())
    here.audio("tone", np.zeros((2, 800), np.float32), 8000, 15)
    here.image("square", np.zeros((4, 4, 3), np.uint8), 15)
    here.text("said", "all *well*", 15)
    here.close()
    train(proof(), PLAIN.loop, whole := session("whole"))
    assert curve(here) == curve(whole)
    assert here._curves["loss"].steps == list(range(1, 16))
    recorded = EventAccumulator(str(tmp_path / "fits" / "key" / "logs"))
    recorded.Reload()
    assert [event.step for event in recorded.Scalars("loss")] == list(range(1, 16))
    assert [event.value for event in recorded.Scalars("loss")] == pytest.approx(curve(whole))
    tags = recorded.Tags()
    assert (tags["audio"], tags["images"]) == (["tone"], ["square"])


def test_a_tracker_that_is_not_installed_is_one_clear_sentence(session: MakeSession):
    for name, reason in (("wandb", "tracker-missing"), ("diary", "unknown-tracker")):
        here = session(name, options=FitOptions(log_steps=1, trackers=(name,)))
        with pytest.raises(FitError, match=name) as raised:
            train(proof(), LoopConfig(steps=1), here)
        assert raised.value.reason == reason


def out_of_memory_at(calls: set[int], sizes: list[int]) -> Callable[[Any, Any], Any]:
    """A loss for whose gradients there is no memory at some of its calls."""

    def loss(module: Any, batch: Any) -> Any:
        sizes.append(len(batch[0]))
        if len(sizes) in calls:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return (module(batch[0]) - batch[1]).square().mean(), {}

    return loss


def test_out_of_memory_halves_what_is_taken_at_once_and_no_step_is_lost(session: MakeSession):
    config = LoopConfig(steps=4, batch_size=8)
    plain = train(without_dropout(), config, session("plain"))
    sizes: list[int] = []
    here = session("halved")
    made = without_dropout(loss=out_of_memory_at({3}, sizes))
    halved = train(made, config, here)
    assert sizes == [8, 8, 8, 4, 4, 4, 4]
    for name, weights in plain.last.items():
        torch.testing.assert_close(halved.last[name], weights, rtol=1e-4, atol=1e-6)
    assert here.curves["accumulation"].values == [2.0]
    (note,) = here.notes
    assert "Out of memory at step 3: from here on 8 examples are taken in two halves" in note


def test_a_training_that_was_halved_goes_on_so(session: MakeSession):
    sizes: list[int] = []
    config = LoopConfig(steps=4, batch_size=8)
    asked = iter([False] * 3 + [True])
    with pytest.raises(StoppedError):
        train(
            without_dropout(loss=out_of_memory_at({2}, sizes)),
            config,
            session(stop=lambda: next(asked)),
        )
    train(without_dropout(loss=out_of_memory_at(set(), sizes)), config, here := session())
    assert sizes == [8, 8, 4, 4, 4, 4, 4, 4]
    assert "at step 2" in here.notes[0], "what happened before is still said"


def test_memory_that_is_too_small_for_half_is_a_sentence(session: MakeSession):
    for size, calls in ((8, {2, 4}), (1, {1})):
        made = without_dropout(loss=out_of_memory_at(calls, []))
        with pytest.raises(FitError, match=r"smaller --batch_size, .*--segment_seconds") as raised:
            train(made, LoopConfig(steps=4, batch_size=size), session(str(size)))
        assert raised.value.reason == "out-of-memory"


def test_other_errors_are_not_taken_for_want_of_memory(session: MakeSession):
    def loss(module: Any, batch: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        train(proof(loss=loss), LoopConfig(steps=4, batch_size=8), session())


def test_a_training_begins_from_a_checkpoint_of_another_with_the_same_bits(session: MakeSession):
    loop = LoopConfig(steps=12, batch_size=8, ema_decay=0.8, validate_steps=4)
    config = ProofConfig(loop=loop)
    states: list[dict[str, Any]] = []

    def keep(state: Mapping[str, Any]) -> None:
        # As a file has it, after which the network goes on.
        torch.save(dict(state), file := BytesIO())
        file.seek(0)
        states.append(torch.load(file, weights_only=True))

    options = FitOptions(threads=1, log_steps=1, checkpoint_steps=5)
    whole = train(proof(config, checkpoint=keep), loop, session("whole", options=options))
    assert [state["step"] for state in states] == [5, 10, 12]
    assert [state["is_last"] for state in states] == [False, False, True]
    other = train(proof(config, start=states[0]), loop, session("other"))
    assert equal(other.last, whole.last)
    assert equal(other.best, whole.best)
    assert other.metrics == whole.metrics
    # One that is stopped leaves where it is, too: with other options, only a checkpoint goes on.
    asked = iter([False] * 3 + [True])
    with pytest.raises(StoppedError):
        train(proof(config, checkpoint=keep), loop, session("stopped", stop=lambda: next(asked)))
    assert [state["step"] for state in states] == [5, 10, 12, 3]
    assert equal(train(proof(config, start=states[3]), loop, session("third")).last, whole.last)
    longer = loop.model_copy(update={"steps": 14})
    assert train(proof(config, start=states[2]), longer, session("longer")).steps == 14


def test_the_network_of_every_best_validation_is_shown(session: MakeSession):
    shown: list[tuple[int, bool]] = []
    made = proof(
        validate=validated([3, 4, 2, 5]),
        improved=lambda module, step: shown.append((step, module.training)),
    )
    here = session()
    train(made, LoopConfig(steps=4, batch_size=8, validate_steps=1), here)
    assert shown == [(1, False), (3, False)]
    assert all(0 < share < 1 for share in curve(here, "validation_share"))


def test_a_compiled_network_keeps_the_names_of_its_weights(
    session: MakeSession, monkeypatch: pytest.MonkeyPatch
):
    compiled = []
    # The compiler proper takes a minute and a C++ compiler.
    monkeypatch.setattr(torch, "compile", lambda call, **options: compiled.append(call) or call)
    config = LoopConfig(steps=3, batch_size=8, ema_decay=0.9)
    plain = train(without_dropout(), config, session("plain"))
    made = train(without_dropout(compile=True), config, session("compiled"))
    assert len(compiled) == 1
    assert equal(made.last, plain.last)
    assert equal(made.best, plain.best)
