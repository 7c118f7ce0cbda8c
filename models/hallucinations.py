"""What Whisper writes where nobody speaks: credits of subtitles, thanks to viewers, [Music].

It learnt from subtitled videos, whose last lines stand over silence and music. The phrases are
those that A. Baranski et al., "Investigation of Whisper ASR hallucinations induced by non-speech
audio", 2025, found most often, and the same in the languages with most hours in its training.
"""

import re

_PHRASES = (
    r"amara\.org|opensubtitles|addic7ed|www\.|https?:|\.com\b|\bzdf\b|\bndr\b|©|copyright"
    r"|\b(?:sub)?titles? by\b|\bsubtitled by\b|\bcaptions? by\b|\btranscri(?:bed|ption) by\b"
    r"|\buntertitel|\bunterst[uü]tzung durch\b|\bsous-?titr|\bsubt[ií]tulos\b|\bsottotitoli\b"
    r"|\blegendas? (?:pela|por|de)\b|\bondertitel|\bundertext|\bteksting av\b|\btekstet av\b"
    r"|\bnapisy\b|\btitulky\b|\baltyaz|субтитр|редактор|字幕|자막"
    r"|\bthank(?:s| you)(?: (?:so|very) much)? for (?:watching|listening|viewing)"
    r"|\bdon'?t forget to (?:like|subscribe)|\b(?:like and|please) subscribe\b"
    r"|\bmerci d'avoir (?:regard|écout)|\babonnez-vous\b|\bgracias por ver\b|\bsuscr[ií]b"
    r"|\bobrigad[oa] por (?:assistir|ver)|\binscreva-se\b|\bgrazie per (?:la visione|aver guardato)"
    r"|\bdanke fürs zuschauen\b|\bvielen dank fürs? zuschauen|\bdziękuję za (?:uwagę|oglądanie)"
    r"|спасибо за просмотр|продолжение следует|ご視聴ありがとう|チャンネル登録|시청해 ?주셔서"
    r"|谢谢(?:观看|大家|收看)|感谢(?:观看|收看)|請不吝點贊|请不吝点赞"
)
_CREDIT = re.compile(_PHRASES, re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n")  # noqa: RUF001
_DESCRIPTION = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪[^♪]*♪")


def is_invented(text: str) -> bool:
    """Return whether a text is nothing but what Whisper writes where nobody speaks.

    That is credits and thanks, sentence by sentence, descriptions of sounds ("[Music]"), and what
    has neither letters nor digits ("♪ ♪"). A text with other words beside them is not.
    """
    spoken = _DESCRIPTION.sub("", text)
    sentences = _SENTENCE.split(spoken)
    return all(_CREDIT.search(each) or not any(map(str.isalnum, each)) for each in sentences)
