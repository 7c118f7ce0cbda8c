import subprocess
import sys

import pytest

from models import registry, trust

MERT = registry.card("mert-v1-95m")


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch):
    # Set first, so that the value from before the test comes back whatever the test does.
    monkeypatch.setenv(trust.VARIABLE, "")
    monkeypatch.delenv(trust.VARIABLE)


def test_code_is_refused_in_one_sentence():
    with pytest.raises(trust.UntrustedCodeError) as caught:
        trust.check(MERT)
    message = str(caught.value)
    assert "mert-v1-95m" in message
    assert "configuration_MERT.py, modeling_MERT.py" in message
    assert "SONGMILL_TRUST_CODE=mert-v1-95m" in message
    assert "\n" not in message


def test_a_model_is_allowed_by_its_name_only():
    trust.allow(["mert-v1-95m"])
    trust.check(MERT)
    assert trust.is_allowed("mert-v1-95m")
    assert not trust.is_allowed("mert-v1-330m")
    with pytest.raises(trust.UntrustedCodeError, match="SONGMILL_TRUST_CODE=mert-v1-330m"):
        trust.check(registry.card("mert-v1-330m"))


def test_what_was_allowed_stays_so():
    trust.allow(["mert-v1-95m"])
    trust.allow(["mert-v1-330m"])
    trust.allow([])
    assert trust.is_allowed("mert-v1-95m")
    assert trust.is_allowed("mert-v1-330m")


@pytest.mark.parametrize("name", ["mert", "htdemucs", "", "mert-v1-95m,mert-v1-330m"])
def test_a_name_that_is_none_allows_nothing(name):
    with pytest.raises(ValueError, match="mert-v1-330m, mert-v1-95m"):
        trust.allow(["mert-v1-95m", name])
    assert not trust.is_allowed("mert-v1-95m")


def test_nothing_is_allowed_by_an_empty_variable(monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, " , ")
    assert not trust.is_allowed("")
    assert not trust.is_allowed("mert-v1-95m")


def test_models_without_code_need_no_permission():
    trust.check(registry.card("htdemucs"))
    trust.check(registry.card("crepe-tiny"))


def test_every_model_with_code_is_marked():
    for card in registry.CARDS.values():
        assert card.custom_code == bool(trust.code_files(card)), card.name


def test_worker_processes_inherit_it():
    code = "from models import trust; print(trust.is_allowed('mert-v1-95m'))"

    def in_a_process():
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return run.stdout.strip()

    assert in_a_process() == "False"
    trust.allow(["mert-v1-95m"])
    assert in_a_process() == "True"
