"""Names of stems as programs and people write them, each beside those of its song."""

import pytest

from tasks.corpora.names.instruments import read_names

MIX = "mixture"
"""What is no stem: a mixture, all but one instrument, or a guide."""


def told(*names: str) -> list[str | None]:
    return [MIX if each.is_mixture else each.instrument for each in read_names(names)]


HABITS: dict[str, dict[str, str | None]] = {
    "Cambridge-MT": {
        "01_KickIn": "drum",
        "02_SnareUp": "drum",
        "03_SnareDown": "drum",
        "04_OverheadsL": "drum",
        "05_BassDI": "bass",
        "06_ElecGtr1": "guitar",
        "07_LeadVox": "vocals",
        "08_BackingVox1": "vocals",
    },
    "Telefunken": {
        "Kick In - Telefunken M82": "drum",
        "OH L - Telefunken ELA M 260": "drum",
        "Bass Amp - Telefunken M80": "bass",
        "Lead Vocal - Telefunken ELA M 251E": "vocals",
    },
    "Logic": {
        "Song 3_Lead Vox_bip": "vocals",
        "Song 3_Bass_bip": "bass",
        "Song 3_Drum Machine Designer_bip": "drum",
        "Song 3_Inst 1_bip": None,
        "Song 3_Stereo Out_bip": MIX,
    },
    "Pro Tools": {
        "Gtr 1_03.L": "guitar",
        "Gtr 1_03.R": "guitar",
        "Kick_01": "drum",
        "Audio 2_01": None,
        "LdVox.dup1_05": "vocals",
    },
    "Ableton": {"1-Kick": "drum", "2-Sub Bass": "bass", "3-Pad": "synth", "Master": MIX},
    "Reaper": {"01-Gtr-240501_1530": "guitar", "02-Vox-240501_1530": "vocals"},
    "demucs": {
        "drums": "drum",
        "bass": "bass",
        "other": "other",
        "vocals": "vocals",
        "guitar": "guitar",
        "piano": "piano",
    },
    "demucs, two stems": {"vocals": "vocals", "no_vocals": MIX},
    "demucs, minus": {"drums": "drum", "minus_drums": MIX},
    "UVR": {"1_Night Drums_(Vocals)": "vocals", "1_Night Drums_(Instrumental)": MIX},
    "spleeter": {"vocals": "vocals", "accompaniment": MIX},
    "Moises": {
        "Bass Love-vocals-C major-120bpm-440hz": "vocals",
        "Bass Love-bass-C major-120bpm-440hz": "bass",
        "Bass Love-drums-C major-120bpm-440hz": "drum",
        "Bass Love-other-C major-120bpm-440hz": "other",
    },
    "Rock Band": {
        "drums_1": "drum",
        "drums_2": "drum",
        "guitar": "guitar",
        "rhythm": None,
        "vocals": "vocals",
        "crowd": None,
    },
    "BandLab": {"Song Title - Lead Vocals": "vocals", "Song Title - 808 Bass": "bass"},
    "Splice": {
        "KSHMR_Piano_Loop_120_Cmin": "piano",
        "KSHMR_Bass_Loop_120_Cmin": "bass",
        "KSHMR_Top_Drum_Loop_120_Cmin": "drum",
    },
    "mixing engineers": {
        "Song (Main)": None,
        "Song (Vocal Up)": MIX,
        "Song (Vox +1dB)": MIX,
        "Song - Bass Up Mix": MIX,
        "Song (No Drums)": MIX,
        "Song (TV Mix)": MIX,
        "Song (Inst)": MIX,
        "Song (Acapella)": "vocals",
        "Song (Drums Only)": "drum",
        "Song DRUM BUS": "drum",
        "Song BGV": "vocals",
        "Song Guide Vox": MIX,
        "Song Scratch Gtr": MIX,
    },
    "German": {
        "Gesang": "vocals",
        "Schlagzeug": "drum",
        "E-Gitarre": "guitar",
        "Klavier": "piano",
        "Streicher": "strings",
        "Bläser": "winds",
        "ohne Gesang": MIX,
    },
    "Spanish": {"voz": "vocals", "batería": "drum", "bajo": "bass", "sin voz": MIX},
    "French": {"Chant": "vocals", "Batterie": "drum", "Basse": "bass", "sans batterie": MIX},
    "Portuguese": {"Voz": "vocals", "Bateria": "drum", "Violão": "guitar", "Baixo": "bass"},
    "Russian": {
        "вокал": "vocals",
        "барабаны": "drum",
        "бас": "bass",  # noqa: RUF001
        "без вокала": MIX,
    },
    "Japanese": {
        "ドラム": "drum",
        "エレキギター": "guitar",
        "ベース": "bass",
        "ボーカル": "vocals",
        "ボーカルなし": MIX,
        "カラオケ": MIX,
    },
    "Chinese": {"鼓": "drum", "吉他": "guitar", "贝斯": "bass", "人声": "vocals", "无人声": MIX},
    "Korean": {"드럼": "drum", "베이스": "bass", "보컬": "vocals", "반주": MIX},
}
"""By who writes so: names of one song, and what each is."""


@pytest.mark.parametrize("habit", HABITS)
def test_names_are_read_as_they_are_meant(habit: str):
    names = HABITS[habit]
    assert dict(zip(names, told(*names), strict=True)) == names


@pytest.mark.parametrize(
    "name",
    [
        *("no_vocals", "NoVocals", "novocals", "(No Vocals)", "No Lead Vocals", "vocal-less"),
        *("Drumless", "Drums off", "Vocals (Muted)", "Song w/o bass", "Gtrs louder", "Vox Dn"),
        *("Drum Machine Love (No Drums)", "Vox Populi_no_vocals", "Bass Love - Bass Up Mix"),
        *("Minus Guitar", "w-o bass", "w o bass", "vocals muted"),
        *("without vocals", "All but drums", "Everything but Vocals", "bass-free", "Less Drums"),
        *("off vocal", "vocals removed", "with vocals", "Song (Instrumental)", "backing track"),
        *("Vocal Up", "Bass Down 2", "Gtr Up Mix", "Vox -2 dB", "Vocal Guide", "Ref Vox"),
        *("2track", "2mix", "Full Mix", "Stereo Out", "Reference", "PA mix", "minus one"),
    ],
)
def test_all_but_an_instrument_and_more_of_it_are_mixtures(name: str):
    assert told(name) == [MIX]


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("No 1 Vocals", "vocals"),
        ("Vocals (no reverb)", "vocals"),
        ("Vocals dry no fx", "vocals"),
        ("Drums No Kick", "drum"),
        ("Snare Up", "drum"),
        ("Upright Bass", "bass"),
        ("Free Drums", "drum"),
        ("Trumpet muted", "winds"),
        ("Original Sin - Bass", "bass"),
        ("Drums - Up", "drum"),
        ("Backing Vocals", "vocals"),
        ("Bass off axis", "bass"),
        ("Kick Out", "drum"),
        ("Vocal Mix", "vocals"),
    ],
)
def test_words_that_negate_nothing_leave_a_stem(name: str, instrument: str):
    assert told(name) == [instrument]


@pytest.mark.parametrize("name", ["Merchant", "bride", "corona", "anchor", "Sangria"])
def test_words_of_other_languages_are_not_found_within_words(name: str):
    assert told(name) == [None]


def test_two_instruments_in_one_file_tell_neither():
    [reading] = read_names(["Drums & Bass"])
    assert (reading.instrument, set(reading.instruments)) == (None, {"drum", "bass"})
    assert told("Kick and Snare", "Rhodes + Wurli", "Bass DI + Amp") == ["drum", "piano", "bass"]


@pytest.mark.parametrize(
    "title", ["Drum Machine Love", "No Bass Tonight", "Instrumental Love", "Master of Strings"]
)
def test_a_title_that_all_names_share_tells_nothing(title: str):
    names = [f"{title} - {stem}" for stem in ("Bass", "Vox", "Take 2", "Master")]
    assert told(*names, title) == ["bass", "vocals", None, MIX, MIX]
    # Nor behind the instrument, nor with numbers before it.
    assert told(f"01 Gtr_{title}", f"02 Keys_{title}") == ["guitar", "piano"]


def test_a_title_is_known_without_the_master_and_the_click_beside():
    names = [f"Drum Machine Love - {stem}" for stem in ("Bass", "Vox", "Gtr")]
    assert told(*names, "master", "click") == ["bass", "vocals", "guitar", MIX, None]


def test_what_is_shared_by_chance_is_no_title():
    assert told("Bass Drum", "Bass Guitar", "Bass Synth") == ["drum", "bass", "bass"]
    assert told("Drums L", "Drums R") == ["drum", "drum"]
    assert told("Lead Vox Dry", "Backing Vox Dry") == ["vocals", "vocals"]
    assert told("no_vocals", "no_drums") == [MIX, MIX]
    # But a title is one, though no name tells anything then.
    assert told("Bass Hunter - 01", "Bass Hunter - 02") == [None, None]


def test_folders_tell_what_names_do_not():
    assert told("Drums/01", "Drums/Room Bass", "Keys/Synth Bass", "Mix/x") == [
        *("drum", "bass", "bass", MIX)
    ]
    assert told("drums/Bass Love", "vocals/Bass Love", "no_vocals/Bass Love") == [
        *("drum", "vocals", MIX)
    ]
    assert told("Drums/Close/01", "Vox/Take 3/01") == ["drum", "vocals"]
