"""The tab Train: concepts and options in, curves and what is learnt out."""

import json
from typing import Any

import gradio as gr
from pydantic import ValidationError

from apps.concepts import course
from apps.concepts.params import InversionAppParams
from apps.concepts.said import alert, status
from apps.concepts.trainings import State, Trainings
from flows import cli
from flows.cli import UsageError
from flows.train_inversion_params import LEARNING_RATES, TrainInversionParams
from models.inversion.tokens import token
from tasks.inversion.concepts import SPLITS, Concepts
from tasks.inversion.evaluation import EvaluationConfig
from tasks.step import digest
from tasks.text import counted

POLL_SECONDS = 1.0
"""Time between two looks at a training: it reports twice as often."""

TRAINING, EVALUATION = TrainInversionParams.model_fields, EvaluationConfig.model_fields

SLIDERS = {
    "tokens_num": (1, 20, 1, "Tokens per concept"),
    "examples_len": (1, 5, 0.5, "Length of examples (s)"),
    "examples_num": (40, 800, 1, "Examples per concept, at most"),
}
"""Least, most, step and label of what is always shown; the ranges are the reference's."""

MAX_NAME = 60
"""Letters of the concepts in the name of a training's folder."""

MOST_PIECES = 100
"""Of each concept in an evaluation, as in the reference."""


def build(params: InversionAppParams, dataset: Concepts, trainings: Trainings) -> None:
    """Add the tab's parts to the page that is being built."""
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            names = gr.CheckboxGroup(
                _choices(dataset), value=_trainable(dataset), label="Concepts", elem_id="concepts"
            )
            model = gr.Dropdown(params.models, value=params.model_name, label="Model")
            sliders = [
                gr.Slider(low, high, TRAINING[name].default, step=step, label=label)
                for name, (low, high, step, label) in SLIDERS.items()
            ]
            with gr.Row():
                epochs = gr.Number(TRAINING["epochs"].default, label="Epochs", precision=0)
                batch = gr.Number(
                    TRAINING["batch_size"].default, label="Batch, per concept", precision=0
                )
                rate = gr.Number(LEARNING_RATES["inversion"], label="Learning rate")
            with gr.Group():
                monitored = gr.Checkbox(True, label="Monitoring: evaluate by generated pieces")
                with gr.Row():
                    every = gr.Number(
                        EVALUATION["epochs"].default, label="Every … epochs", precision=0
                    )
                    pieces = gr.Slider(
                        2, MOST_PIECES, EVALUATION["pieces"].default, step=1, label="Per concept"
                    )
            with gr.Row():
                start = gr.Button("Start training", variant="primary")
                stop = gr.Button("Stop training", interactive=False)
            notice = gr.HTML("", elem_id="training-notice")
            anyway = gr.Button("Stop it all the same", variant="stop", visible=False)
        with gr.Column(scale=3, min_width=320):
            said = gr.HTML(status("No training was started yet."), elem_id="training-status")
            view = gr.HTML("", elem_id="training-view")
    seen: gr.State = gr.State(None)
    timer = gr.Timer(POLL_SECONDS)
    shown = [seen, said, view, start, stop, notice, anyway]

    def begin(
        chosen: list[str],
        model_name: str,
        tokens: float,
        length: float,
        examples: float,
        rounds: float,
        together: float,
        learning_rate: float,
        is_monitored: bool,
        epochs_between: float,
        of_each: float,
        request: gr.Request,
    ) -> list[Any]:
        values = {
            "concepts": tuple(chosen),
            "model_name": model_name,
            "tokens_num": int(tokens),
            "examples_len": length,
            "examples_num": int(examples),
            "epochs": int(rounds or 0),
            "batch_size": int(together or 0),
            "lr": learning_rate,
            "evaluation": {
                "epochs": int(epochs_between or 0) if is_monitored else 0,
                "pieces": int(of_each),
            },
        }
        try:
            trainings.start(_wanted(params, values), request.session_hash)
        except UsageError as error:
            return [*[gr.skip()] * 5, alert(str(error)), gr.update(visible=False)]
        return _shown(trainings.state(), request)

    def end(request: gr.Request) -> list[Any]:
        state = trainings.state()
        if state.is_running and state.by != request.session_hash:
            asked = alert("This training was started in another window. Stop it?")
            return [*[gr.skip()] * 5, asked, gr.update(visible=True)]
        trainings.stop()
        return _shown(trainings.state(), request)

    def end_anyway(request: gr.Request) -> list[Any]:
        trainings.stop()
        return _shown(trainings.state(), request)

    def look(before: Any, request: gr.Request) -> list[Any]:
        state = trainings.state()
        now = _stamp(state)
        if before == now:
            return [gr.skip()] * len(shown)
        # What was said of a request stays as long as the training does the same.
        told = _shown(state, request)
        same = before is not None and before[0] == now[0]
        return [*told[:3], *[gr.skip()] * 4] if same else told

    inputs = [names, model, *sliders, epochs, batch, rate, monitored, every, pieces]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    start.click(begin, inputs, shown, concurrency_id="training", concurrency_limit=1, **quiet)
    stop.click(end, outputs=shown, queue=False, **quiet)
    anyway.click(end_anyway, outputs=shown, queue=False, **quiet)
    timer.tick(look, seen, shown, queue=False, **quiet)
    monitored.change(
        lambda on: (gr.update(interactive=on), gr.update(interactive=on)),
        monitored,
        [every, pieces],
        **quiet,
    )


def _shown(state: State, request: gr.Request) -> list[Any]:
    return [
        _stamp(state),
        course.described(state, is_own=state.by == request.session_hash),
        course.drawn(state),
        gr.update(interactive=not state.is_running),
        gr.update(interactive=state.stage == "running"),
        "",
        gr.update(visible=False),
    ]


def _stamp(state: State) -> tuple[Any, ...]:
    """Return which training does what, and what else makes it another state to look at."""
    progress = state.progress or {}
    return (state.number, state.stage), progress.get("step"), progress.get("seconds")


def _wanted(params: InversionAppParams, values: dict[str, Any]) -> TrainInversionParams:
    """Return the training that is asked for.

    Raises
    ------
    UsageError
        If it cannot be.
    """
    if not values["concepts"]:
        raise UsageError("No concept is chosen: choose what is to be learned.")
    data_dir, _, name = params.dataset.rstrip("/").rpartition("/")
    where = {
        "name": name,
        "data_dir": data_dir or ".",
        "output": params.embeds / _folder(values),
        "models_dir": params.models_dir,
        "device": params.device,
        "threads": params.threads,
        "cluster": params.cluster,
    }
    try:
        return TrainInversionParams(**where, **values)
    except ValidationError as error:
        raise UsageError(f"{cli.describe(error, TrainInversionParams)}.") from error


def _folder(values: dict[str, Any]) -> str:
    """Return the folder of a training: the same options find what they have begun."""
    options = digest(json.dumps(values, sort_keys=True).encode())
    return f"{'-'.join(values['concepts'])[:MAX_NAME]}-{options[:8]}"


def _trainable(dataset: Concepts) -> list[str]:
    """Return the concepts that have segments to learn from and to validate on."""
    there = [{each.concept for each in dataset.segments(split)} for split in SPLITS]
    return [name for name in dataset.names if all(name in names for names in there)]


def _choices(dataset: Concepts) -> list[tuple[str, str]]:
    """Return label and name of each concept: how much there is of it."""
    found = {
        split: [each.concept for each in dataset.segments(split)]
        for split in ("train", "validation")
    }
    return [
        (
            f"{token(name)} {counted(found['train'].count(name), 'segment')}, "
            f"{found['validation'].count(name)} to validate",
            name,
        )
        for name in dataset.names
    ]
