from collections import Counter
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tasks.dataset import page

SHELL = '{% extends "page.html.j2" %}{% block title %}Title{% endblock %}'


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "report.html.j2"
    path.write_text(SHELL)
    return path


def rendered(template: Path, **values) -> str:
    given = {"facts": [("3", "tracks")], "item": "File", "failures": [], "steps": []}
    return page.render(template, **given | values)


def test_the_shell_shows_facts_failures_and_steps(template: Path):
    failures = [
        {"file_path": f"{at}.mp3", "step": "probe", "reason": "empty", "message": "<b>"}
        for at in range(page.MAX_FAILURES + 1)
    ]
    step = {"name": "probe", "version": 2, "columns": ["mode"], "config": {"a": 1}, "models": []}
    steps = page.with_costs([step], {"probe": 1234.56}, tracks=10)
    html = rendered(template, failures=failures, steps=steps)
    for shown in ("<title>Title</title>", "<dt>tracks</dt><dd>3</dd>", "49.mp3", "a=1", "1,234.6"):
        assert shown in html
    assert "The first 50 of 51" in html
    assert "50.mp3" not in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "per track" in html
    assert "per track" not in rendered(template, steps=page.with_costs([step], {"probe": 1.0}))
    assert "None." in rendered(template)


def test_a_value_that_is_missing_is_an_error(template: Path):
    template.write_text(SHELL + "{% block content %}{{ nowhere }}{% endblock %}")
    with pytest.raises(UndefinedError, match="nowhere"):
        rendered(template)


def test_names_that_utf8_cannot_hold_are_replaced(template: Path):
    rendered(template, facts=[("\udcff", "name")]).encode("utf-8")


def test_ranks():
    counter = Counter({"b": 2, "a": 2, "c": 4})
    assert page.ranked(counter) == [("c", 4, 100.0), ("a", 2, 50.0), ("b", 2, 50.0)]
    assert page.ranked(counter, 1) == [("c", 4, 100.0)]
    assert page.ranked(Counter()) == []


def test_durations():
    assert page.duration_fact(7200) == ("2.0", "hours")
    assert page.duration_fact(90) == ("1.5", "minutes")


def test_costs_of_steps():
    [first, second, third] = page.with_costs(
        [{"name": "a"}, {"name": "b"}, {"name": "c"}], {"a": 30.0, "b": 12.0}, tracks=3
    )
    assert first == {"name": "a", "seconds": "30.0", "share": 100.0, "per_track": "10"}
    assert second == {"name": "b", "seconds": "12.0", "share": 40.0, "per_track": "4"}
    assert third == {"name": "c", "seconds": "", "share": 0.0, "per_track": ""}
