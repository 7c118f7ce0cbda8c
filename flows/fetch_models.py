"""fetch-models: the weights of models to where workers find them, ahead of time."""

import difflib
import re
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from blocks import server
from blocks.storage import StorageError
from flows import cli
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import FlowParams, UsageError
from flows.place_params import OptionalPlace
from models import registry, trust
from models.registry import CARDS, ModelCard
from tasks.text import data_size
from tasks.web import DownloadError, UnreachableError
from tasks.weights import Weights, WeightsError, default_address, fetch
from tasks.weights.fetch import Advance, Fetched, FetchError, State
from tasks.weights.sources import NoSourceError

Profile = Literal["full", "offline", "stems", "embeddings", "all"]

PROFILES: dict[Profile, tuple[str, ...] | None] = {
    # Those of build-dataset need what their steps say.
    "full": None,
    "offline": None,
    "stems": ("encodec-32khz",),
    "embeddings": (
        "muq-large-msd",
        "mert-v1-95m",
        "encodec-24khz",
        "clap-music-and-speech",
        "minilm-l6",
    ),
    "all": tuple(CARDS),
}
"""Sets of models, by what they are needed for."""

QUIET_SECONDS = 15.0
"""Time between two lines when the output is not a terminal."""

LINE_COLUMNS = 110

COMMAND = "python flows/fetch_models.py"


class FetchModelsParams(FlowParams):
    """Fetch the weights of models ahead of time, so that builds need no network.

    pull downloads what is missing, and goes on with what was interrupted; list shows
    which models there are, and what is here; verify reads every byte again.
    """

    examples: ClassVar[str] = """examples:
  python flows/fetch_models.py pull
  python flows/fetch_models.py pull --models whisper-small htdemucs --models_dir models
  python flows/fetch_models.py pull --models_dir s3://bucket/models
  python flows/fetch_models.py list --profile full
  python flows/fetch_models.py verify
"""

    action: Literal["pull", "list", "verify"] = Field(description="pull, list or verify.")
    models: list[str] | None = Field(
        None, description="Names of models (default: what the profile needs)."
    )
    profile: Profile | None = Field(
        None,
        description="What the models are for: build-dataset's profile full or offline, later jobs, "
        "or all (default: full to pull, all to list, what is here to verify).",
    )
    models_dir: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) of the models (default: SONGMILL_MODELS_DIR, "
        "or songmill/models in the user's cache).",
    )
    force: bool = Field(
        False,
        description="To pull: look at every byte, and store anew in a bucket even what has the "
        "right size there.",
    )

    @property
    def place(self) -> Weights:
        """Where the models lie."""
        return Weights(self.models_dir or default_address())


@flow(name="fetch-models")
def fetch_models(params: FetchModelsParams) -> dict[str, str]:
    """Fetch, list or verify models; returns what there is of each."""
    names = wanted(params)
    if params.action == "pull":
        _pull(params, names)
    elif params.action == "verify":
        _verify(params, names)
    else:
        print(table(names, params.place))
    return {name: fetch.state(params.place, name) for name in names}


@task(name="fetch-model", cache_policy=NO_CACHE)
def fetch_model(
    name: str, address: str, force: bool, unreachable: Sequence[UnreachableError]
) -> Fetched:
    """Fetch one model, and show how far it has come."""
    with _shown(name) as advance:
        return fetch.fetch(name, Weights(address), advance, force=force, unreachable=unreachable)


def needed(profile: Profile) -> tuple[str, ...]:
    """Return the models of a profile and of their packages, in the registry's order."""
    names = PROFILES[profile]
    if names is None:
        stages = BuildDatasetParams(profile=profile).stages()
        names = tuple(name for stage in stages for name in stage.step.models(stage.config))
    return tuple(name for name in CARDS if name in names)


def wanted(params: FetchModelsParams) -> list[str]:
    """Return the models that a command is about.

    Raises
    ------
    UsageError
        If there is no model of a name.
    """
    if params.models:
        for name in params.models:
            if name not in CARDS:
                close = difflib.get_close_matches(name, CARDS, n=1)
                hint = f"did you mean {close[0]}?" if close else f"{COMMAND} list shows them."
                raise UsageError(f"There is no model {name}; {hint}")
        return list(dict.fromkeys(params.models))
    if params.profile:
        return list(needed(params.profile))
    if params.action == "verify":
        return [name for name in CARDS if fetch.state(params.place, name) not in ABSENT]
    return list(needed("full" if params.action == "pull" else "all"))


ABSENT: tuple[State, ...] = ("missing", "packaged", "in parts")


def _pull(params: FetchModelsParams, names: Sequence[str]) -> None:
    """Fetch models one after the other: one transfer fills most lines, and Ctrl-C ends it.

    Raises
    ------
    FetchError
        After all that can be fetched are, naming the others.
    """
    failed: dict[str, list[str]] = {}
    # No host is waited for twice.
    unreachable: dict[str, UnreachableError] = {}
    cards = [registry.card(name) for name in names]
    for card in cards:
        if not card.files:
            continue
        try:
            run = fetch_model.with_options(task_run_name=card.name)
            before = fetch.state(params.place, card.name)
            down = list(unreachable.values())
            fetched = run(card.name, params.place.address, params.force, down)
            unreachable |= {each.host: each for each in fetched.unreachable}
            print(f"{card.name}: {_outcome(fetched, before)}")
        except (DownloadError, StorageError) as error:
            failed[card.name] = [str(error)]
            reasons = error.reasons if isinstance(error, NoSourceError) else [error]
            down = [each for each in reasons if isinstance(each, UnreachableError)]
            unreachable |= {each.host: each for each in down}
        except WeightsError as error:
            failed[card.name] = [f"{error}."]
    if custom := [card.name for card in cards if card.custom_code and card.name not in failed]:
        print(
            f"Code of their own comes with {', '.join(custom)}: it runs only where "
            f"{trust.VARIABLE} names the model."
        )
    if failed:
        raise FetchError(failed)
    if not any(card.files for card in cards):
        print("Nothing to fetch: the packages bring these models.")


def _outcome(fetched: Fetched, before: State) -> str:
    done = []
    if fetched.fetched_bytes:
        done.append(f"{data_size(fetched.fetched_bytes)} fetched")
    elif before == "in parts":
        done.append("joined of its packages")
    if fetched.uploaded_bytes:
        done.append(f"{data_size(fetched.uploaded_bytes)} stored")
    return (
        f"{' and '.join(done) or 'already there'} (revision {short(fetched.revision)}, "
        f"{data_size(fetched.size_bytes)})"
    )


def _verify(params: FetchModelsParams, names: Sequence[str]) -> None:
    """Read models anew.

    Raises
    ------
    WeightsError
        If one is missing or damaged.
    """
    bad = []
    for name in names:
        found = params.place.verify(name)
        print(f"{name}: {'; '.join(found) or _verified(params.place, name)}", flush=True)
        if found:
            bad.append(name)
    if not names:
        print(f"There are no models in {params.place.address}.")
    if bad:
        place = f" {cli.option('models_dir', params.models_dir)}" if params.models_dir else ""
        mend = f"{COMMAND} pull --force --models {' '.join(bad)}{place}"
        raise FetchError({name: [f"what is wrong is mended by: {mend}"] for name in bad})


def _verified(place: Weights, name: str) -> str:
    if not registry.card(name).files:
        return "ok, its package brings it"
    state = fetch.state(place, name)
    return f"ok, revision {short(place.revision(name))}" + (
        "" if state == "present" else f", {state}"
    )


def table(names: Sequence[str], place: Weights) -> str:
    """Return the models in lines of at most 110 columns, by what they do."""
    profiles = {name: needed(name) for name in PROFILES if name != "all"}
    cards = sorted(map(registry.card, names), key=lambda card: card.task)
    rows = [("MODEL", "SIZE", "PROFILES", "STATE", "LICENCE")]
    for card in cards:
        uses = ", ".join(profile for profile, models in profiles.items() if card.name in models)
        state = fetch.state(place, card.name)
        rows.append((card.name, card_size(card), uses, state, licence(card)))
    name, size_, uses_, state_, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    left = LINE_COLUMNS - (2 + name + 2 + size_ + 2 + uses_ + 2 + state_ + 2)
    texts = [
        f"  {row[0]:<{name}}  {row[1]:>{size_}}  {row[2]:<{uses_}}  {row[3]:<{state_}}  "
        f"{textwrap.shorten(row[4], left, placeholder=' ...')}"
        for row in rows
    ]
    lines = [f"Models in {place.address}", "", texts[0]]
    for above, card, text in zip([None, *cards], cards, texts[1:], strict=False):
        if above is None or above.task != card.task:
            lines.append(f"{card.task}:")
        lines.append(text)
        if card.files:
            lines += _sources(card, place)
    return "\n".join(lines)


def _sources(card: ModelCard, place: Weights) -> list[str]:
    """Return where a model comes from, a line for each source; of several, mark the used one."""
    manifest = place.manifest(card.name)
    revision = short(manifest.revision if manifest else card.revision)
    first, *others = map(str, card.sources)
    lines = [f"      {first} at {revision}", *(f"      or {source}" for source in others)]
    if others and manifest and manifest.source in (first, *others):
        lines[[first, *others].index(manifest.source)] += " (used)"
    return lines


def card_size(card: ModelCard) -> str:
    """Return the size of a model's files for people; a question mark where it is not published."""
    if not card.files:
        return ""
    return data_size(card.size_bytes) if all(file.size_bytes for file in card.files) else "?"


def licence(card: ModelCard) -> str:
    """Return the licence of a model's weights, and say so if they are not for commercial use."""
    return card.licence + (", non-commercial" if "NC" in card.licence.split("-") else "")


def short(revision: str) -> str:
    """Shorten a revision to how it is shown: of a commit, or several digests, the first digits."""
    is_long = len(revision) > 20 and re.fullmatch(r"[0-9a-f-]+", revision)
    return revision[:8] if is_long else revision


@contextmanager
def _shown(name: str) -> Iterator[Advance]:
    """Show how far a model has come while the block runs."""
    if sys.stderr.isatty():
        yield from _bar(name)
    else:
        yield from _lines(name)


def _bar(name: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bars:
        bar = bars.add_task(name, total=None)

        def advance(done_bytes: int, total_bytes: int) -> None:
            bars.update(bar, completed=done_bytes, total=total_bytes)

        yield advance


def _lines(name: str) -> Iterator[Advance]:
    said = time.monotonic()
    said_bytes: int | None = None

    def advance(done_bytes: int, total_bytes: int) -> None:
        nonlocal said, said_bytes
        if said_bytes is None:
            said_bytes = done_bytes
        now = time.monotonic()
        if now - said < QUIET_SECONDS:
            return
        rate = (done_bytes - said_bytes) / (now - said)
        print(
            f"{name}: {data_size(done_bytes)} of {data_size(total_bytes)}, {rate / 1e6:.1f} MB/s",
            file=sys.stderr,
            flush=True,
        )
        said, said_bytes = now, done_bytes

    yield advance


def main() -> None:
    """Fetch, list or verify models."""
    params = cli.parse(FetchModelsParams)
    cli.run(lambda: _command(params))


def _command(params: FetchModelsParams) -> None:
    if params.action == "pull" and any(CARDS[name].files for name in wanted(params)):
        if not params.place.storage.is_local:
            params.place.storage.check_writable()
        with server.running():
            fetch_models(params)
    else:
        # Nothing of it is worth a record in Prefect.
        fetch_models.fn(params)


if __name__ == "__main__":
    main()
