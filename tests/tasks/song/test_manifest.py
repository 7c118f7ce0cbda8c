from flows.build_dataset_params import BuildDatasetParams
from models import registry
from tasks.song import manifest, schema
from tasks.weights import Weights

WEIGHTS = Weights("nowhere")


def test_every_column_says_how_it_was_made():
    params = BuildDatasetParams(profile="offline")
    columns = manifest.columns(params.stages(), WEIGHTS)
    assert [*columns] == [
        *(f"tracks.{name}" for name in schema.TRACKS.names),
        *(f"segments.{name}" for name in schema.SEGMENTS.names),
    ]
    steps = {stage.step.name: stage for stage in params.stages()}
    for name, column in columns.items():
        assert column["description"], name
        if column["step"] in steps:
            stage = steps[column["step"]]
            assert column["step_version"] == stage.step.version
            assert column["config"] == stage.config.model_dump(mode="json")
            assert "absent" not in column


def test_has_vocals_is_of_the_separation_where_there_is_no_activity():
    stages = BuildDatasetParams(profile="offline").stages()
    without = [stage for stage in stages if stage.step.name != "activity"]
    for given, step in ((stages, "activity"), (without, "separate")):
        column = manifest.columns(given, WEIGHTS)["segments.has_vocals"]
        assert column["step"] == step
        assert "absent" not in column
        assert "instead" not in column
    assert manifest.columns(without, WEIGHTS)["tracks.content"]["absent"]


def test_models_are_named_with_revision_and_licence():
    columns = manifest.columns(BuildDatasetParams(profile="offline").stages(), WEIGHTS)
    [voice] = columns["tracks.voice_embedding"]["models"]
    card = registry.card("resemblyzer")
    assert voice == {
        "name": "resemblyzer",
        "library": card.library,
        "revision": card.revision,
        "licence": card.licence,
        "source": card.source,
    }
    [pitch] = columns["segments.f0_contour"]["models"]
    assert pitch["name"] == "swift-f0"
    assert columns["segments.f0_contour"]["unit"] == "Hz"


def test_columns_of_models_that_are_not_there_are_absent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def absent(**options) -> set[str]:
        params = BuildDatasetParams(profile="offline", **options)
        return {
            name
            for name, made in manifest.columns(params.stages(), WEIGHTS).items()
            if "absent" in made
        }

    offline = {
        "tracks.ecapa_embedding",
        "tracks.clap_embedding",
        "tracks.clap_tags",
        "tracks.transcript",
        "tracks.words_heard_in",
        "tracks.lyrics_aligned_by",
        "segments.prompt_embedding",
        "segments.prompt_enhanced",
    }
    assert absent() == offline
    minimal = absent(no_features=True)
    assert offline | {"tracks.tempo", "segments.f0_contour", "segments.prompt"} <= minimal
    assert not {"tracks.lyrics", "tracks.phonemes", "tracks.sample_rate"} & minimal
