"""The deployments: what Prefect runs by name, with which parameters, where and when.

A new deployment is one row of :data:`DEPLOYMENTS`; a test fails while a flow has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from prefect import Flow

from flows.build_dataset import build_dataset
from flows.cli import FlowParams
from flows.download_datasets import download_datasets
from flows.evaluate_separator import evaluate_separator
from flows.export import export
from flows.fetch_models import fetch_models
from flows.generate_music import generate_music
from flows.prepare_concepts import prepare_concepts
from flows.prepare_embeddings import prepare_embeddings
from flows.prepare_stems import prepare_stems
from flows.separate import separate
from flows.stems import stems
from flows.sweep import sweep
from flows.train_inversion import train_inversion
from flows.train_projection import train_projection
from flows.train_separator import train_separator
from flows.unify_datasets import unify_datasets

TAG = "songmill"
"""Tag of every deployment, and so of every run."""


@dataclass(frozen=True)
class Pool:
    """A work pool: runs that the same kind of machine takes.

    Attributes
    ----------
    name, description
        As Prefect shows them.
    runs_at_once
        Most runs under way, of all its deployments together; None for any number.
    """

    name: str
    description: str
    runs_at_once: int | None = None


CPU = Pool("songmill-cpu", "Songmill's runs that need no GPU.")
# A run takes every GPU of its machine: two would share their memory, and one fail for want of it.
GPU = Pool("songmill-gpu", "Songmill's runs that occupy the GPUs of a machine.", runs_at_once=1)


@dataclass(frozen=True)
class Schedule:
    """When a deployment runs by itself.

    Attributes
    ----------
    cron, timezone
        Five fields of cron, and the IANA time zone they are meant in.
    reads
        Parameter that names the folder without which every run would fail.
    """

    cron: str
    timezone: str
    reads: str


@dataclass(frozen=True)
class Folders:
    """Where a site's deployments read (a path or ``s3://bucket/prefix``) and write (a path)."""

    audio_dir: str
    output_dir: str
    stems_dir: str


@dataclass(frozen=True)
class Deployment:
    """A flow that can be run by name.

    Attributes
    ----------
    flow
        The flow. Its one parameter is called ``params``, and is a FlowParams.
    name
        Second half of the deployment's name, after the flow's.
    pool
        Whose workers run it.
    description, tags
        As Prefect shows them.
    params
        What differs from the flow's defaults. ``{audio_dir}``, ``{stems_dir}`` and
        ``{output_dir}`` in texts stand for the site's folders.
    schedule
        When it runs by itself, if it does.
    runs_at_once
        Most runs of it under way. More than one would write to the same place.
    """

    flow: Flow[..., Any]
    name: str
    pool: Pool
    description: str
    tags: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule | None = None
    runs_at_once: int = 1

    @property
    def full_name(self) -> str:
        """Name under which Prefect runs it."""
        return f"{self.flow.name}/{self.name}"

    @property
    def all_tags(self) -> list[str]:
        """Its tags, and the one that all deployments of the project have."""
        return [TAG, *self.tags]

    @property
    def queue(self) -> str:
        """Its own work queue of the pool, which counts its runs."""
        return f"{self.flow.name}-{self.name}"

    @property
    def entrypoint(self) -> str:
        """The flow as a module's attribute: found wherever the project is installed."""
        return f"{self.flow.__module__}.{self.flow.fn.__name__}"

    @property
    def params_class(self) -> type[FlowParams]:
        """Model of the flow's parameters."""
        params_class: type[FlowParams] = get_type_hints(self.flow.fn)["params"]
        return params_class

    def parameters(self, folders: Folders, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the flow's parameters where they differ from its defaults, as JSON.

        Parameters
        ----------
        folders
            The site's.
        changes
            Values that go before those of the row, nested as the model is.

        Raises
        ------
        ValidationError
            If they are none of the flow.
        """
        places = vars(folders)
        row = {
            name: value.format_map(places) if isinstance(value, str) else value
            for name, value in self.params.items()
        }
        params = self.params_class.model_validate(_under(row, changes))
        return params.model_dump(mode="json", exclude_defaults=True)


def _under(row: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `row`, overlaid at every depth by `changes`."""
    both = dict(row)
    for name, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(name), Mapping)
        both[name] = _under(both[name], value) if nested else value
    return both


DEPLOYMENTS = (
    Deployment(
        build_dataset,
        "cpu",
        CPU,
        "Songs to a dataset with every model, on the cores of one machine. Slow with the full "
        "profile: `profile: offline`, `pitch.method: pyin` and a smaller `transcribe.model` are "
        "what to change first.",
        tags=("dataset", "cpu"),
        params={
            "audio_dir": "{audio_dir}",
            "output": "{output_dir}/songs-cpu.json",
            "device": "cpu",
        },
    ),
    Deployment(
        build_dataset,
        "gpu",
        GPU,
        "Songs to a dataset with every model, on the GPUs of one machine. Every night it adds "
        "what is new in the folder: what was computed before stays.",
        tags=("dataset", "gpu"),
        params={
            "audio_dir": "{audio_dir}",
            "output": "{output_dir}/songs-gpu.json",
            "device": "cuda",
        },
        schedule=Schedule("0 2 * * *", "UTC", reads="audio_dir"),
    ),
    Deployment(
        prepare_stems,
        "cpu",
        CPU,
        "Archives and folders of stems to Ogg Opus, and a table of what they are: what the "
        "datasets of stems are made from. Songs that were prepared before stay.",
        tags=("stems", "cpu"),
        params={"source": "{stems_dir}", "output": "{output_dir}/stems/prepared"},
    ),
    *(
        Deployment(
            stems,
            instrument,
            GPU,
            f"Prepared stems to tokenised pairs of stem continuation with {instrument} as the "
            "target, on the GPUs of one machine. `encode` chooses codec and chunks.",
            tags=("stems", "gpu"),
            params={
                "instrument": instrument,
                "prepared": "{output_dir}/stems/prepared",
                "output": f"{{output_dir}}/stems/{instrument}",
                "device": "cuda",
            },
        )
        for instrument in ("guitar", "drum", "bass", "vocals", "piano")
    ),
    Deployment(
        download_datasets,
        "default",
        CPU,
        "Public corpora, fetched, verified and unpacked. `datasets` names them; what is there is "
        "not fetched again.",
        tags=("corpora", "cpu"),
        params={"datasets": ["song_describer"], "output": "{output_dir}/corpora"},
    ),
    Deployment(
        unify_datasets,
        "cpu",
        CPU,
        "All corpora that were downloaded to one captioned dataset, split so that no artist and no "
        "recording is in two splits. `datasets` and `max_samples` take less.",
        tags=("corpora", "cpu"),
        params={
            "data_dir": "{output_dir}/corpora",
            "output": "{output_dir}/unified_dataset.json",
        },
    ),
    Deployment(
        prepare_embeddings,
        "gpu",
        GPU,
        "A unified dataset to embeddings of its audio and captions, on the GPUs of a machine. What "
        "was embedded before stays. MERT runs code of its own: `encoders` adds it.",
        tags=("embeddings", "gpu"),
        params={
            "dataset_file": "{output_dir}/unified_dataset.json",
            "output_dir": "{output_dir}/embeddings",
            "encoders": ["muq", "latent", "clap", "mel"],
            "go_on": True,
            "device": "cuda",
        },
    ),
    Deployment(
        train_projection,
        "muq",
        GPU,
        "Embeddings of audio by MuQ and of captions to a projection that searches music by words, "
        "on a GPU. `audio_encoder` chooses another.",
        tags=("projection", "gpu"),
        params={
            "audio_encoder": "muq",
            "data_dir": "{output_dir}/embeddings",
            "output": "{output_dir}/projection",
            "device": "cuda",
        },
    ),
    Deployment(
        sweep,
        "gpu",
        GPU,
        "A training with many values of its options, and the best of them, on the GPUs of a "
        "machine. `config` is a file of wandb's format, `training` says what is trained, `fixed` "
        "what all runs share. A sweep that was interrupted goes on.",
        tags=("sweep", "gpu"),
        params={
            "training": "projection",
            "config": "{output_dir}/sweep.yaml",
            "output": "{output_dir}/sweep",
            "device": "cuda",
        },
    ),
    Deployment(
        train_separator,
        "gpu",
        GPU,
        "Songs whose stems are known to a network that takes mixtures apart, on the GPUs of a "
        "machine. A training that was interrupted goes on; `model` chooses the network.",
        tags=("separator", "gpu"),
        params={
            "data_root": "{stems_dir}",
            "workdir": "{output_dir}/separator",
            "store_dir": "{output_dir}/separator-store",
            "device": "cuda",
        },
    ),
    Deployment(
        separate,
        "gpu",
        GPU,
        "Songs to a folder of stems for each, on the GPUs of one machine. `checkpoint` names a "
        "network that was trained here, or a registered one; `two_stems` asks for less.",
        tags=("separator", "gpu"),
        params={
            "files": "{audio_dir}",
            "checkpoint": "demucs",
            "output": "{output_dir}/separated",
            "device": "cuda",
        },
    ),
    Deployment(
        evaluate_separator,
        "gpu",
        GPU,
        "Scores of separators on songs whose sources are known, beside ideal masks and the "
        "separators that are there, on a GPU. What was scored before stays.",
        tags=("separator", "gpu"),
        params={
            "checkpoints": ["htdemucs"],
            "data_root": "{stems_dir}",
            "output": "{output_dir}/separator/evaluation",
            "device": "cuda",
        },
    ),
    Deployment(
        generate_music,
        "gpu",
        GPU,
        "Music that prompts describe, by MusicGen, on the GPUs of one machine. `prompt` says what "
        "to make; with `embeds`, a folder of learnt concepts, <concept> stands for one of them.",
        tags=("inversion", "gpu"),
        params={"output": "{output_dir}/generated", "device": "cuda"},
    ),
    Deployment(
        prepare_concepts,
        "gpu",
        GPU,
        "Recordings of musical concepts, a folder for each, to segments of EnCodec's codes for "
        "textual inversion. `path` names the folder; what was encoded before stays.",
        tags=("inversion", "gpu"),
        params={
            "name": "concepts",
            "path": "{audio_dir}",
            "output": "{output_dir}/inversion/input",
            "device": "cuda",
        },
    ),
    Deployment(
        train_inversion,
        "gpu",
        GPU,
        "Concepts that prepare-concepts prepared, taught to MusicGen as new words of its prompts; "
        "what has finished is not trained again.",
        tags=("inversion", "gpu"),
        params={
            "name": "concepts",
            "data_dir": "{output_dir}/inversion/input",
            "output": "{output_dir}/inversion/concepts",
            "device": "cuda",
        },
    ),
    Deployment(
        export,
        "default",
        CPU,
        "A dataset to what a trainer or a hub reads. `dataset` names it, `to` the target, `where` "
        "which rows; only shards whose rows have changed are written.",
        tags=("export",),
        params={
            "dataset": "{output_dir}/songs-gpu.json",
            "to": "webdataset",
            "output": "{output_dir}/export",
        },
    ),
    Deployment(
        fetch_models,
        "default",
        CPU,
        "The weights of the models that build-dataset uses, to where its workers find them. "
        "What is there already is not fetched again.",
        tags=("models",),
        params={"action": "pull"},
    ),
)
"""Every deployment of the project."""
