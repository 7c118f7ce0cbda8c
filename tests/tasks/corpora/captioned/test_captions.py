"""Captions that are composed of what each corpus says, on songs in its true layout."""

from pathlib import Path

import pytest

from tasks.captions.check import unsupported
from tasks.captions.compose import compose
from tasks.captions.contradictions import contradictions
from tasks.captions.facts import Facts, facts_of
from tasks.corpora.captioned.known import CORPORA
from tests.tasks.corpora.captioned.reading import read


@pytest.mark.parametrize("name", CORPORA)
def test_nothing_is_said_that_no_column_supports(name: str, corpora: Path) -> None:
    entries, _ = read(name, corpora / name)
    for entry in entries:
        facts = facts_of(entry.tags, entry.measured)
        captions = compose(facts, f"{name}_{entry.native_id}", count=12)
        assert bool(captions) == (facts != Facts())
        assert len({caption.text.casefold() for caption in captions}) == len(captions)
        for caption in captions:
            assert unsupported(caption.text, caption.sources, facts) == []
            assert contradictions(caption.text, facts) == []


def test_measured_columns_are_said(corpora: Path) -> None:
    entries, _ = read("songmill", corpora / "songmill")
    for entry in entries:
        [caption] = compose(facts_of(entry.tags, entry.measured), "", count=1)
        assert f"in {entry.measured.key}" in caption.text
        assert f"at {entry.measured.tempo_bpm:.0f} BPM" in caption.text
