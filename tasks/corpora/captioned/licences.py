"""Licences as corpora state them, and what they allow, by their SPDX identifiers."""

import re
from functools import lru_cache
from typing import Literal, get_args

Use = Literal["any", "commercial", "share-alike"]
"""What a filter may ask of licences; :func:`allows` says what each means."""

_UNPORTED = frozenset({"1.0", "2.0", "2.5", "3.0", "4.0"})
_KINDS = frozenset({"by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa"})
# Ports of Creative Commons licences that the SPDX list (3.26) has an identifier of.
_PORTED = frozenset(
    f"CC-{name}"
    for name in (
        *("BY-2.5-AU", "BY-3.0-AT", "BY-3.0-AU", "BY-3.0-DE", "BY-3.0-IGO", "BY-3.0-NL"),
        *("BY-3.0-US", "BY-NC-3.0-DE", "BY-NC-ND-3.0-DE", "BY-NC-ND-3.0-IGO", "BY-NC-SA-2.0-DE"),
        *("BY-NC-SA-2.0-FR", "BY-NC-SA-2.0-UK", "BY-NC-SA-3.0-DE", "BY-NC-SA-3.0-IGO"),
        *("BY-ND-3.0-DE", "BY-SA-2.0-UK", "BY-SA-2.1-JP", "BY-SA-3.0-AT", "BY-SA-3.0-DE"),
        "BY-SA-3.0-IGO",
    )
)
_OTHERS = {
    name.lower(): name
    for name in (
        *("CC0-1.0", "CC-PDDC", "CC-PDM-1.0", "PDDL-1.0", "ODC-By-1.0", "ODbL-1.0"),
        *("LAL-1.2", "LAL-1.3", "MIT", "Apache-2.0"),
    )
}
_SHARE_ALIKE = frozenset({"LAL-1.2", "LAL-1.3", "ODbL-1.0"})
# Nobody has to be named.
_DEDICATIONS = frozenset({"CC0-1.0", "CC-PDDC", "CC-PDM-1.0", "PDDL-1.0"})
_COUNTRIES = {
    "united states": "US",
    "germany": "DE",
    "austria": "AT",
    "australia": "AU",
    "netherlands": "NL",
    "france": "FR",
    "uk": "UK",
    "united kingdom": "UK",
    "england and wales": "UK",
    "uk: england & wales": "UK",
    "japan": "JP",
    "igo": "IGO",
}
# What FMA calls a licence without saying its version, and the version that its addresses have
# wherever it gives both.
_OF_FMA = {
    "attribution": "CC-BY-4.0",
    "creative commons attribution": "CC-BY-3.0",
    "attribution-noncommercial": "CC-BY-NC-4.0",
    "attribution-sharealike": "CC-BY-SA-4.0",
    "attribution-noderivatives": "CC-BY-ND-4.0",
    "attribution-noderivs": "CC-BY-ND-4.0",
    "attribution-noncommercial-sharealike": "CC-BY-NC-SA-4.0",
    "attribution-noncommercial-noderivatives": "CC-BY-NC-ND-4.0",
}

_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/([a-z0-9-]+)(?:/(\d\.\d))?(?:/([a-z]{2,3})\b)?"
)
_SHORT = re.compile(r"cc[ -](by(?:-(?:nc|nd|sa))*)[ -]v?(\d\.\d)(?:[ -]([a-z]{2,3}))?")
_TITLE = re.compile(r"(?:creative commons )?(attribution[a-z -]*?) v?(\d\.\d)\b(.*)")
_PUBLIC_DOMAIN = re.compile(r"(?:the )?public domain(?: mark)?(?: 1\.0)?(?: universal)?")
_ZERO = re.compile(r"(?:creative commons )?(?:cc[ -]?0|zero)(?: ?\(?v?[ -]?1\.0)?\)?.*")


@lru_cache(maxsize=4096)
def spdx(stated: str | None) -> str | None:
    """Return the SPDX identifier of a licence, or None if it has none or nobody can tell.

    Parameters
    ----------
    stated
        As a corpus states it: an address of Creative Commons in any spelling, a title such as
        "Attribution-Noncommercial-Share Alike 3.0 United States", a short name or an identifier.
        A port of which SPDX has no identifier counts as the licence that it is a port of.
    """
    text = " ".join((stated or "").lower().replace("_", "-").split())
    if found := _ADDRESS.search(text):
        return _of_address(found[1], found[2], found[3])
    if "artlibre.org" in text or text.startswith("free art license"):
        return "LAL-1.3"
    text = text.removesuffix(".")
    if text in _OTHERS:
        return _OTHERS[text]
    if found := _SHORT.fullmatch(text):
        return _creative_commons(found[1], found[2], found[3])
    if _ZERO.fullmatch(text):
        return "CC0-1.0"
    if _PUBLIC_DOMAIN.fullmatch(text):
        return "CC-PDM-1.0"
    text = re.sub(r" \(aka [^)]*\)", "", text)
    text = text.replace("share alike", "sharealike").replace("non-commercial", "noncommercial")
    text = text.replace("no derivatives", "noderivatives").replace("no derivs", "noderivs")
    if text in _OF_FMA:
        return _OF_FMA[text]
    if found := _TITLE.fullmatch(text):
        return _of_title(found[1], found[2], found[3])
    return None


def is_commercial(identifier: str | None) -> bool:
    """Return whether a licence allows commercial use; an unknown one never does."""
    return identifier is not None and "-NC" not in identifier


def allows_changes(identifier: str | None) -> bool:
    """Return whether a licence allows to share what is made of the work; an unknown one never."""
    return identifier is not None and "-ND" not in identifier


def is_share_alike(identifier: str | None) -> bool:
    """Return whether what is made of the work has to be shared under the same licence."""
    return identifier is not None and ("-SA" in identifier or identifier in _SHARE_ALIKE)


def asks_attribution(identifier: str | None) -> bool:
    """Return whether who made the work has to be named; of an unknown licence, always."""
    return identifier not in _DEDICATIONS


def allows(identifier: str | None, use: Use) -> bool:
    """Return whether a licence allows a use.

    Parameters
    ----------
    identifier
        SPDX identifier, or None of an unknown licence, which allows ``any`` alone.
    use
        ``commercial``: to earn money with it; ``share-alike``: to share what is made of it, be
        it under the same licence; ``any``: whatever, nothing is asked.

    Raises
    ------
    ValueError
        If `use` is no such use.
    """
    if use not in get_args(Use):
        raise ValueError(f"{use!r} is none of {', '.join(get_args(Use))}")
    if use == "commercial":
        return is_commercial(identifier)
    return use == "any" or allows_changes(identifier)


def _of_address(kind: str, version: str | None, port: str | None) -> str | None:
    if kind in ("zero", "cc0"):
        return "CC0-1.0"
    if kind == "mark":
        return "CC-PDM-1.0"
    if kind == "publicdomain":
        return "CC-PDDC"
    # The order of old addresses: by-nd-nc 1.0.
    kind = "by-nc-nd" if kind == "by-nd-nc" else kind
    return _creative_commons(kind, version or "", port)


def _of_title(words: str, version: str, rest: str) -> str | None:
    words = words.replace("-", " ").strip()
    parts = {"by": False, "nc": False, "nd": False, "sa": False}
    for word in words.split():
        short = {
            "attribution": "by",
            "noncommercial": "nc",
            "noderivatives": "nd",
            "noderivs": "nd",
            "sharealike": "sa",
        }.get(word)
        if short is None:
            return None
        parts[short] = True
    kind = "-".join(name for name, is_there in parts.items() if is_there)
    return _creative_commons(kind, version, _COUNTRIES.get(rest.strip()))


def _creative_commons(kind: str, version: str, port: str | None) -> str | None:
    if kind not in _KINDS:
        return None
    ported = f"CC-{kind.upper()}-{version}-{(port or '').upper()}"
    if ported in _PORTED:
        return ported
    # The Japanese port of 2.1 is one of 2.0.
    version = "2.0" if version == "2.1" else version
    return f"CC-{kind.upper()}-{version}" if version in _UNPORTED else None
