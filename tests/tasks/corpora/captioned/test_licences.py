"""Licences as corpora state them."""

import pytest

from tasks.corpora.captioned.licences import (
    allows,
    allows_changes,
    is_commercial,
    is_share_alike,
    spdx,
)


@pytest.mark.parametrize(
    ("stated", "identifier"),
    [
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/", "CC-BY-NC-SA-3.0"),
        ("https://creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("creativecommons.org/licenses/by-nc-nd/2.5/legalcode", "CC-BY-NC-ND-2.5"),
        ("http://www.creativecommons.org/licenses/by/3.0/us/", "CC-BY-3.0-US"),
        ("http://creativecommons.org/licenses/by/2.0/fr/", "CC-BY-2.0"),
        ("http://creativecommons.org/licenses/by-sa/2.1/jp/", "CC-BY-SA-2.1-JP"),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("http://creativecommons.org/licenses/publicdomain/", "CC-PDDC"),
        ("http://creativecommons.org/licenses/sampling+/1.0/", None),
        ("http://artlibre.org/licence/lal/", "LAL-1.3"),
        ("Attribution-Noncommercial-Share Alike 3.0 United States", "CC-BY-NC-SA-3.0"),
        ("Attribution-NonCommercial-ShareAlike 3.0 International", "CC-BY-NC-SA-3.0"),
        (
            "Attribution-NonCommercial-NoDerivatives (aka Music Sharing) 3.0 International",
            "CC-BY-NC-ND-3.0",
        ),
        ("Creative Commons Attribution-NonCommercial-NoDerivatives 4.0", "CC-BY-NC-ND-4.0"),
        ("Attribution 2.0 France", "CC-BY-2.0"),
        ("Attribution 3.0 Germany", "CC-BY-3.0-DE"),
        ("Attribution-NoDerivatives 3.0 International", "CC-BY-ND-3.0"),
        ("Attribution", "CC-BY-4.0"),
        ("Creative Commons Attribution", "CC-BY-3.0"),
        ("Public Domain Mark 1.0", "CC-PDM-1.0"),
        ("Public Domain", "CC-PDM-1.0"),
        ("CC0 1.0", "CC0-1.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("cc by-nc-sa 4.0", "CC-BY-NC-SA-4.0"),
        ("CC BY 3.0 US", "CC-BY-3.0-US"),
        ("mit", "MIT"),
        ("CC-BY", None),
        ("CC-BY-9.0", None),
        ("Attribution-Sampling 3.0", None),
        ("FMA-Limited: Download Only", None),
        ("for educational purposes only", None),
        ("", None),
        (None, None),
    ],
)
def test_identifiers(stated: str | None, identifier: str | None):
    assert spdx(stated) == identifier


@pytest.mark.parametrize("identifier", ["CC-BY-4.0", "CC-BY-NC-SA-3.0", "CC0-1.0", "LAL-1.3"])
def test_an_identifier_is_its_own(identifier: str):
    assert spdx(identifier) == identifier


@pytest.mark.parametrize(
    ("identifier", "commercial", "changes", "alike"),
    [
        ("CC-BY-4.0", True, True, False),
        ("CC-BY-SA-4.0", True, True, True),
        ("CC-BY-ND-3.0", True, False, False),
        ("CC-BY-NC-SA-3.0", False, True, True),
        ("CC-BY-NC-ND-4.0", False, False, False),
        ("CC0-1.0", True, True, False),
        (None, False, False, False),
    ],
)
def test_what_they_allow(identifier: str | None, commercial: bool, changes: bool, alike: bool):
    assert is_commercial(identifier) is commercial is allows(identifier, "commercial")
    assert allows_changes(identifier) is changes is allows(identifier, "share-alike")
    assert is_share_alike(identifier) is alike
    assert allows(identifier, "any")


def test_a_use_that_there_is_not():
    with pytest.raises(ValueError, match="'free' is none of any, commercial, share-alike"):
        allows("CC0-1.0", "free")  # type: ignore[arg-type]
