"""The tab Generate: prompts in, players out."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import ValidationError

from apps.concepts import learnt, music
from apps.concepts.params import InversionAppParams
from apps.concepts.room import Room
from apps.concepts.said import alert, status
from apps.concepts.visitors import MadePiece, Visitors
from flows import cli
from flows.cli import UsageError
from flows.generate_music_params import MAX_SECONDS, GenerateMusicParams
from flows.generator_params import MUSICGEN
from models.inversion.tokens import concepts_of, token
from tasks.text import counted

PLAIN = ""
"""What is chosen for MusicGen as it is, without anything learned."""

MOST_PIECES = 8
"""That can be asked for at once."""


def build(params: InversionAppParams, visitors: Visitors, room: Room) -> None:
    """Add the tab's parts to the page that is being built."""
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            with gr.Group():
                choice = gr.Dropdown(
                    _choices(params.embeds), value=PLAIN, label="Learned embeddings"
                )
                refresh = gr.Button("Refresh learned embeddings", size="sm")
            prompt = gr.Textbox(
                label="Prompt",
                placeholder="a calm song in the style of <concept>",
                lines=2,
                elem_id="prompt",
            )
            tokens = gr.HTML(_tokens(params, PLAIN), elem_id="tokens")
            model = gr.Dropdown(params.models, value=params.model_name, label="Model")
            with gr.Row():
                seconds = gr.Slider(1, MAX_SECONDS, 10, step=1, label="Length (s)")
                count = gr.Slider(1, MOST_PIECES, 2, step=1, label="Pieces")
            with gr.Row():
                guidance = gr.Slider(1, 10, 3, step=0.5, label="Guidance")
                seed = gr.Number(0, label="Seed of the first piece", precision=0)
            with gr.Row():
                start = gr.Button("Generate", variant="primary")
                cancel = gr.Button("Cancel")
        with gr.Column(scale=3, min_width=320):
            said = gr.HTML(status("Nothing was made yet."), elem_id="music-status")
            players = gr.HTML("", elem_id="players")

    def update(path: str, model_name: str) -> tuple[str, Any]:
        of = next((each for each in learnt.found(params.embeds) if str(each.path) == path), None)
        named = of.model.removeprefix(MUSICGEN) if of else model_name
        known = gr.update(value=named) if named in params.models else gr.update()
        return _tokens(params, path), known

    def again(path: str) -> Any:
        choices = _choices(params.embeds)
        return gr.update(choices=choices, value=path if path in dict(choices).values() else PLAIN)

    def ask(request: gr.Request) -> str:
        visitors.of(request.session_hash).ask()
        return status("Waiting for its turn…")

    def take_back(request: gr.Request) -> None:
        visitors.of(request.session_hash).cancel()

    def generate(
        path: str,
        text: str,
        model_name: str,
        length: float,
        pieces: float,
        coefficient: float,
        first: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[tuple[str, str]]:
        visitor = visitors.of(request.session_hash)
        try:
            wanted = _wanted(
                params,
                prompt=text.strip(),
                embeds=path or None,
                model_name=model_name,
                output=str(visitor.folder),
                length=length,
                count=int(pieces),
                cfg_coef=coefficient,
                seed=int(first or 0),
            )
            done = 0
            for _ in music.make(wanted, visitor, room, lambda part, what: progress(part, what)):
                done += 1
                yield status(f"{done} of {counted(wanted.count, 'piece')}"), _players(visitor)
            yield status(f"{counted(done, 'piece')} made."), _players(visitor)
        except UsageError as error:
            yield alert(str(error)), _players(visitor)
        except music.CancelledError:
            yield status("Cancelled."), _players(visitor)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    choice.change(update, [choice, model], [tokens, model], **quiet)
    refresh.click(again, choice, choice, **quiet)
    cancel.click(take_back, queue=False, **quiet)
    gr.on([start.click, prompt.submit], ask, outputs=said, queue=False, **quiet).then(
        generate,
        [choice, prompt, model, seconds, count, guidance, seed],
        [said, players],
        show_progress_on=said,
        concurrency_limit=1,
        concurrency_id="music",
        api_visibility="private",
    )


def _wanted(params: InversionAppParams, **values: Any) -> GenerateMusicParams:
    """Return what is asked for.

    Raises
    ------
    UsageError
        If it cannot be.
    """
    if not values["embeds"] and (named := concepts_of(values["prompt"])):
        raise UsageError(
            f"{token(named[0])} stands for a concept, and no learned embeddings are chosen: choose "
            "some, or write the prompt without < and >."
        )
    where = {"models_dir": params.models_dir, "device": params.device}
    try:
        return GenerateMusicParams(**{**values, **where, "prompt": (values["prompt"],)})
    except ValidationError as error:
        raise UsageError(f"{cli.describe(error, GenerateMusicParams)}.") from error


def _choices(folder: Path) -> list[tuple[str, str]]:
    """Return label and value of each choice."""
    return [
        ("None: MusicGen as it is", PLAIN),
        *(
            (f"{each.name} ({', '.join(map(token, each.concepts))})", str(each.path))
            for each in learnt.found(folder)
        ),
    ]


def _tokens(params: InversionAppParams, path: str) -> str:
    """Return buttons that put the concepts of a choice into the prompt."""
    if path == PLAIN:
        return ""
    names = next(
        (each.concepts for each in learnt.found(params.embeds) if str(each.path) == path), ()
    )
    buttons = (
        f'<button type="button" class="token" data-token="{escape(token(name))}">'
        f"{escape(token(name))}</button>"
        for name in names
    )
    return f'<p class="tokens">Put in: {" ".join(buttons)}</p>'


def _players(visitor: Any) -> str:
    """Return a player for each piece, the newest first."""
    return "".join(_player(visitor.token, piece) for piece in reversed([*visitor.pieces.values()]))


def _player(key: str, piece: MadePiece) -> str:
    address = f"/music/{key}/{escape(piece.path.name)}"
    silent = ", digital silence" if piece.is_silent else ""
    return (
        f'<figure class="piece"><figcaption><b>{escape(piece.prompt)}</b>'
        f"<span>seed {piece.seed}, {piece.seconds:g} s{silent}</span></figcaption>"
        f'<div><audio controls preload="metadata" src="{address}"></audio>'
        f'<a href="{address}" download="{escape(piece.path.name)}">Download</a></div></figure>'
    )
