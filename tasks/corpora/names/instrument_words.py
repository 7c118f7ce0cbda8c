# ruff: noqa: RUF001  # Cyrillic letters look like Latin ones
"""Words that names of stems are made of: instruments, mixtures, and what says nothing.

Collected from the exports of Pro Tools, Logic, Ableton, Reaper and BandLab, of Demucs, Spleeter,
UVR and Moises, and from what mixing engineers deliver beside the stems. Words of other languages
are those that German, Spanish, French, Italian, Portuguese, Dutch, Polish, Russian, Japanese,
Chinese and Korean sessions use.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from tasks.corpora.names.words import squeezed

Instrument = Literal[
    "guitar",
    "drum",
    "bass",
    "perc",
    "fx",
    "vocals",
    "piano",
    "synth",
    "winds",
    "strings",
    "other",
]

INSTRUMENTS: tuple[Instrument, ...] = get_args(Instrument)

BASIC: tuple[Instrument, ...] = ("guitar", "drum", "bass", "perc", "piano")
"""Instruments that can carry a song: assortments with one companion take it from these."""

Synonyms = Mapping[Instrument, tuple[str, ...]]
"""Words that name an instrument, of letters and digits only."""


def _table(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(squeezed(word) for part in names for word in part.split()))


SYNONYMS: Synonyms = MappingProxyType(
    {
        "guitar": _table(
            "guitar gtr egtr agtr guit banjo ukulele mandolin",
            "gitarre gitaar gitarr gitara guitare chitarra violão гитара гитары ギター 吉他 기타",
        ),
        "drum": _table(
            "drum drm kick snare snr hat hihat hh bd bassdrum tom tomtom cymbal crash overhead",
            "rimshot oh ride kik kck cym",
            "schlagzeug batería batterie batteria trummor perkusja ударные барабан",
            "барабаны ドラム 鼓 架子鼓 드럼",
        ),
        "bass": _table(
            "bass bassguitar bassgtr doublebass uprightbass contrabass synthbass basssynth",
            "basse basso bajo baixo bas бас ベース 贝斯 贝司 貝斯 베이스",
        ),
        "perc": _table(
            "perc percussion conga bongo shaker tambourine cowbell timbale maraca cabasa cajon",
            "djembe timpani steeldrum marimba xylophone vibraphone glockenspiel clap tamb shkr",
            "percusión percussão percussioni перкуссия パーカッション 打击乐 打擊樂",
        ),
        "fx": ("fx", "sfx", "efx", "effects", "riser", "foley"),
        "vocals": _table(
            "vocals vocal vox voc voice choir adlib bv bgv acapella acappella accapella",
            "gesang stimme chor voz voces vozes voix chant choeur voce voci coro cori zang sang",
            "wokal вокал голос хор ボーカル ヴォーカル コーラス 歌 人声 人聲 主唱 和声 和聲 보컬",
            "코러스",
        ),
        "piano": _table(
            "piano pno keys otherkeys keyboard epiano clav clavinet rhodes wurli organ hammond",
            "harpsichord klavier orgel tasten teclado clavier tastiera toetsen klawisze клавиши",
            "пианино фортепиано ピアノ キーボード 钢琴 鋼琴 键盘 鍵盤 피아노 건반",
        ),
        "synth": _table("synth pad arp moog sintetizador synthé синт シンセ 合成器 신스"),
        "winds": _table(
            "winds wind woodwind brass horn sax saxophone basssax flute piccolo clarinet oboe",
            "bassoon trumpet trombone tuba bagpipe harmonica bläser flöte trompete posaune cuivres",
            "trompette trompeta fiati sopros духовые труба サックス 管乐 管樂",
        ),
        "strings": _table(
            "strings string violin vln viola vla cello fiddle harp streicher geige bratsche",
            "cuerdas cordes cordas archi струнные скрипка ストリングス バイオリン 弦乐 弦樂 小提琴",
        ),
        "other": ("other", "misc"),
    }
)
"""What an instrument is called; where two names of one length fit, the upper row counts."""

WHOLE_WORD_LETTERS = 3
"""Names of so few letters count as whole words only: no "fx" in "suffix", no "tom" in "bottom"."""

WHOLE_WORDS = frozenset(
    _table(
        "ride clap tamb basse basso bajo baixo stimme chor voces vozes voix chant voce voci coro",
        "cori zang sang archi fiati cordes cordas sopros orgel tasten",
    )
)
"""Longer names that count as whole words only, since others hold them: "bride", "merchant"."""

FALSE_FRIENDS = (
    *("ambassad", "embass", "conundrum", "doldrum", "sidekick", "monkey", "donkey", "turkey"),
    *("jockey", "whiskey", "sharp", "harper", "harpoon", "thorn", "hornet", "organi", "morgan"),
    *("mother", "brother", "another", "superc", "percent", "percep", "ensnar", "stringent"),
    *("shoestring", "violat", "marcello", "monticello", "limoncello", "cellophane", "invoice"),
    *("window", "rewind", "unwind", "winding", "whirlwind"),
)
"""Parts of words that hold the name of an instrument by chance."""

MIXTURES = _table(
    "mixture fullmix finalmix roughmix stereomix mastermix mixdown instrumental karaoke minusone",
    "tvmix tvtrack tvversion backingtrack backingtracks accompaniment accompagnement begleitung",
    "mixminus minus1",
    "伴奏 カラオケ 반주 минусовка",
)
"""Names of mixtures, whatever else is in the name."""

MIXTURES_UNLESS_OF_ONE = _table(
    "mix master mastered premaster premix rough reference ref bounce inst instr tv 2track 2trk 2tr",
    "twotrack stereoout mainout masterout mixbus masterbus mainbus stereobus foh fullsong",
    "fulltrack original playback インスト",
)
"""Names of mixtures, but for those of one instrument: a "drum mix" is a stem."""

NEGATIONS = frozenset(
    _table("no non minus without wo less off except ohne sin sans senza sem zonder utan bez без")
)
"""Words before an instrument that say all but it: "no_vocals", "Minus Guitar", "off vocal"."""

GLUED_NEGATIONS = frozenset(_table("no non minus without 无 無 去 消 除"))
"""Those that are written together with what follows: "novocals"."""

NEGATIONS_AFTER = frozenset(
    _table("less free minus removed なし 無し 抜き ぬき レス 없음 제거 消音")
)
"""Words after an instrument that say all but it: "Drumless", "vocals removed"."""

PARTS_OF_A_CHOIR = frozenset(
    _table(
        "the any more lead main back backing background bg live male female rhythm electric",
        "acoustic solo",
    )
)
"""Words that may stand between a negation and an instrument: "no lead vocals"."""

MUTED = frozenset(("mute", "muted"))
MUTABLE: frozenset[Instrument] = frozenset(("vocals", "drum"))
"""What is called muted when it is left out; of guitars and trumpets it is a way to play."""

WITH = frozenset(("with", "w", "mit", "avec"))
"""Words before an instrument that say a mixture with it."""

LOUDER = frozenset(("up", "down", "dn", "louder", "lower"))
"""Words after an instrument that say a mixture with more or less of it: "Vocal Up"."""

PARTS_OF_A_KIT = frozenset(
    _table(
        "kick snare snr hat hihat hh bd tom tomtom cymbal crash overhead rimshot oh ride kik kck"
    )
)
"""Of these "up" and "down" say where a microphone stands."""

GUIDES = frozenset(("guide", "scratch", "ref", "reference"))
"""Words beside an instrument that say a take that the players hear, and that is not the song's."""

CONNECTORS = frozenset(("and", "und", "et", "n", "with"))
"""Words between two instruments that share a file."""

NEUTRAL = frozenset(
    _table(
        "l r c m s lr left right center centre mid side wide mono stereo st in out top bottom up",
        "down hi lo high low close far near room rooms amb mic mics mike amp di line cab dry wet",
        "bus buss group grp sub send return aux verb reverb delay dly comp eq raw proc edit edited",
        "take tk comped dbl double doubled dub overdub od alt new old main lead ld back backing",
        "background bg backup bk rhythm rhy rthm solo clean dist crunch dirty acoustic ac electric",
        "elec el elc live part pt layer harmony harm verse chorus bridge intro outro hook pre post",
        "drop break section audio track trk tracks stem stems file files wav aif aiff mp3 flac",
        "bit bip bounce bounced export print render rendered final v ver version vers mix master",
        "inst midi bpm key major minor maj min khz hz k db dbfs a all any and only loop",
        "multi multitrack multitracks copy kit set male female boy girl soft loud fixed tuned",
        "aligned normalized consolidated sum summed processed unprocessed t n und et recorded",
        "recording rec",
    )
)
"""Words that tell neither an instrument nor a song."""
