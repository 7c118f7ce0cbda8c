"""Concepts as words of a prompt."""

import pytest

from models.inversion.tokens import ConceptError, check_concept, check_known, concepts_of, expanded


@pytest.mark.parametrize("name", ["8bit", "lo-fi", "my_Song2", "a" * 64])
def test_a_name_that_can_be_a_word(name: str):
    assert check_concept(name) == name


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("lo fi", "call it lo_fi"),
        ("<8bit>", "call it 8bit"),
        ("_x", "call it x"),
        ("日本", "give it another name"),
        ("", "give it another name"),
        ("a" * 65, f"call it {'a' * 64}"),
        ("a/../b", "call it a_b"),
    ],
)
def test_a_name_that_cannot(name: str, remedy: str):
    with pytest.raises(ConceptError, match=rf"{remedy}\.$"):
        check_concept(name)


def test_concepts_of_a_prompt():
    prompt = "a <8bit> song, 3 < 4, like <lo-fi> but <8bit> <3 > <not a name>"
    assert concepts_of(prompt) == ["8bit", "lo-fi"]
    assert expanded("x <a>, <b>", {"a": 2, "b": 1}) == "x <a:0><a:1>, <b:0>"


def test_a_concept_that_was_not_learnt():
    check_known(["plain", "<a> and <b>"], ["a", "b"])
    with pytest.raises(ConceptError, match=r"^<8bits> is no .* mean <8bit>\?\): there are <8bit>,"):
        check_known(["<8bit>", "<8bits>"], ["pads", "8bit"])
    with pytest.raises(ConceptError, match="none is known: give the folder"):
        check_known(["<8bit>"], [])
