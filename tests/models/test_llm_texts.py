import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.llm_texts import texts_in


def test_replies_are_tidied() -> None:
    fenced = '```json\n{"prompts": ["a\\n b ", "c"]}\n```'
    assert texts_in(fenced, "prompts", 2, 40) == ["a b", "c"]


@pytest.mark.parametrize(
    "around",
    [
        "{}", "Sure! Here is the JSON you asked for:\n\n{}\n\nLet me know!", "```json\n{}\n```",
        "Here:\n```\n{}\n```", '<think>Maybe {{"prompts": ["x"]}}? No.</think>\n{}',
        'I think {{a}} of "{{b}}".</think>{}', '\ufeff{}', '{{"note": 1}} {}',
    ],
)  # fmt: skip
def test_text_around_the_json_is_passed_over(around: str) -> None:
    assert texts_in(around.format('{"prompts": ["a", "b\nc"]}'), "prompts", 2, 40) == ["a", "b c"]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(st.characters(), max_size=100),
        st.lists(
            st.sampled_from(
                ["{", "}", '"prompts"', ":", "[", "]", '"a"', ",", r'"\ud83d"', "\ud83d", "```",
                 "1e999", "</think>", "NaN", "9" * 5000, "\u200b", "null", '{"prompts": ["a"', "]}"]
            ),
            max_size=30,
        ).map("".join),
    )
)  # fmt: skip
def test_any_reply_gives_prompts_or_a_reason(reply: str) -> None:
    try:
        prompts = texts_in(reply, "prompts", 1, 40)
    except ValueError:
        return
    [prompt] = prompts
    prompt.encode()
    assert any(char.isalnum() for char in prompt)


@pytest.mark.parametrize(
    "reply",
    [
        "no JSON",
        r'{"prompts": ["a", "\ud83d"]}',
        '{"prompts": ["a", "\u200b"]}',
        "{" * 100_000,
        '{"a":' * 30_000,
        "x" * 300_000,
        "[" * 10_000,
        '["a", "b"]',
        '{"prompts": "a"}',
        '{"prompts": ["a", 1]}',
        '{"prompts": ["a"]}',
        '{"prompts": ["a", " "]}',
        json.dumps({"prompts": ["a", "word " * 200]}),
    ],
)
def test_unusable_replies_are_refused(reply: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|prompt"):
        texts_in(reply, "prompts", 2, 40)


def test_the_list_is_the_one_that_was_asked_for() -> None:
    reply = '{"prompts": ["a"]} {"captions": ["b"]}'
    assert texts_in(reply, "captions", 1, 40) == ["b"]
    with pytest.raises(ValueError, match="no list of titles"):
        texts_in(reply, "titles", 1, 40)
