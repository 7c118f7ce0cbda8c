"""Licences of the rows of an export, summed up: what all of them allow, what forbids publishing.

Rows keep their own licences. What is said of the whole holds for a reader who takes all rows
and looks at none: nothing is allowed that one of them does not allow.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tasks.corpora.captioned.licences import (
    allows_changes,
    asks_attribution,
    is_commercial,
    is_share_alike,
    spdx,
)
from tasks.dataset.selection import LicenceGroup
from tasks.text import counted

LICENCE_FILE = "LICENSE.md"
"""Where a card says that the licences of a mixture are: the hub knows this name."""

MIXTURE = "as-each-row-states"
"""Name of the licence of a mixture, as a card gives it beside ``other``."""

MAX_IDS = 5
"""How many rows are named of those that forbid publishing."""

MAX_STATED = 20
"""How many licences without an identifier the summary names."""

# What of the hub's list of licences (huggingface/hub-docs, docs/hub/repositories-licenses.md) has
# an identifier that a corpus may state; for the rest of SPDX a card says `other`.
_OF_HUB = {
    "Apache-2.0": "apache-2.0",
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-2.5": "cc-by-2.5",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-NC-2.0": "cc-by-nc-2.0",
    "CC-BY-NC-3.0": "cc-by-nc-3.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-ND-3.0": "cc-by-nc-nd-3.0",
    "CC-BY-NC-ND-4.0": "cc-by-nc-nd-4.0",
    "CC-BY-NC-SA-2.0": "cc-by-nc-sa-2.0",
    "CC-BY-NC-SA-3.0": "cc-by-nc-sa-3.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0",
    "CC-BY-ND-4.0": "cc-by-nd-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC0-1.0": "cc0-1.0",
    "MIT": "mit",
    "ODC-By-1.0": "odc-by",
    "ODbL-1.0": "odbl",
    "PDDL-1.0": "pddl",
}


@dataclass(frozen=True, slots=True)
class Forbidding:
    """Rows that forbid to publish an export, for one reason.

    Attributes
    ----------
    sentence
        What forbids it.
    rows
        How many they are; a row may forbid it for several reasons.
    ids
        Of some of them.
    """

    sentence: str
    rows: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Licences:
    """What the licences of an export come to.

    Attributes
    ----------
    rows
        How many there are.
    by_identifier
        Rows by SPDX identifier, the most frequent first.
    unrecognised
        Rows by what they state on one line, where no SPDX identifier is known of it.
    unstated
        Rows that state no licence.
    for_evaluation
        Rows that may never be trained on.
    forbidding
        What forbids to publish the export; empty if nothing does.
    """

    rows: int
    by_identifier: dict[str, int]
    unrecognised: dict[str, int]
    unstated: int
    for_evaluation: int
    forbidding: tuple[Forbidding, ...]

    @property
    def is_commercial(self) -> bool:
        """Whether every row may be used to earn money."""
        return self._is_known and all(map(is_commercial, self.by_identifier))

    @property
    def allows_adaptations(self) -> bool:
        """Whether what is made of the rows, whichever, may be shared."""
        return self._is_known and all(map(allows_changes, self.by_identifier))

    @property
    def is_share_alike(self) -> bool:
        """Whether what is made of some row has to be shared under that row's licence."""
        return any(map(is_share_alike, self.by_identifier))

    @property
    def asks_attribution(self) -> bool:
        """Whether somebody has to be named, for some row."""
        return not self._is_known or any(map(asks_attribution, self.by_identifier))

    @property
    def _is_known(self) -> bool:
        return self.rows > 0 and not self.unrecognised and not self.unstated

    @property
    def lines(self) -> list[str]:
        """The summary, a line each: licences with their rows, then what the whole allows."""
        lines = [f"{name}: {counted(rows, 'row')}" for name, rows in self.by_identifier.items()]
        lines += [
            f'"{stated}", which has no SPDX identifier: {counted(rows, "row")}'
            for stated, rows in list(self.unrecognised.items())[:MAX_STATED]
        ]
        if further := list(self.unrecognised.values())[MAX_STATED:]:
            lines.append(
                f"{counted(len(further), 'further licence')} without one: "
                f"{counted(sum(further), 'row')}"
            )
        if self.unstated:
            lines.append(f"No licence stated: {counted(self.unstated, 'row')}")
        if self.for_evaluation:
            lines.append(f"For evaluation only, never to train on: {self._of(self.for_evaluation)}")
        if not self.rows:
            return ["There are no rows."]
        return [*lines, *self._whole()]

    @property
    def refusal(self) -> str | None:
        """Why nothing is published, in a sentence with the remedy; None if nothing forbids it."""
        if not self.forbidding:
            return None
        reasons = " ".join(
            f"{self._of(each.rows)}, such as {', '.join(each.ids)}: {each.sentence}"
            if each.ids
            else f"{self._of(each.rows)}: {each.sentence}"
            for each in self.forbidding
        )
        return (
            f"Nothing is published, since rows forbid it. {reasons} Leave them out (--licence, "
            "--where), or give --accept-licence if you have the right to share them."
        )

    @property
    def front_matter(self) -> dict[str, Any]:
        """What the YAML of a card says of the licence, by the hub's names.

        ``license_link`` of a mixture is :data:`LICENCE_FILE`, whose content is
        :attr:`licence_file`.
        """
        if not self.by_identifier and not self.unrecognised:
            return {"license": "unknown"}
        if self._is_known and len(self.by_identifier) == 1:
            (identifier,) = self.by_identifier
            if identifier in _OF_HUB:
                return {"license": _OF_HUB[identifier]}
            return {
                "license": "other",
                "license_name": identifier.lower(),
                "license_link": address(identifier),
            }
        return {"license": "other", "license_name": MIXTURE, "license_link": LICENCE_FILE}

    @property
    def licence_file(self) -> str | None:
        """Content of :data:`LICENCE_FILE`, in Markdown; None where the card does without."""
        if self.front_matter.get("license_link") != LICENCE_FILE:
            return None
        known = [
            f"- [{name}]({address(name)}): {counted(rows, 'row')}"
            for name, rows in self.by_identifier.items()
        ]
        unknown = [
            f"- `{stated.replace('`', chr(39))}`: {counted(rows, 'row')}"
            for stated, rows in self.unrecognised.items()
        ]
        if self.unstated:
            unknown.append(f"- no licence stated: {counted(self.unstated, 'row')}")
        parts = [
            "# Licences",
            "Each row is under the licence that it states.",
            "\n".join(known + unknown),
            *self._whole(),
        ]
        return "\n\n".join(parts) + "\n"

    def _whole(self) -> list[str]:
        """Sentences about what all rows together allow and ask for."""
        return [
            "All rows together may be used commercially."
            if self.is_commercial
            else "All rows together may not be used commercially.",
            "What is made of them may be shared."
            if self.allows_adaptations
            else "What is made of them may not be shared.",
            *(
                [
                    "What is made of some of them has to be shared under their licence: "
                    f"{self._of(self._count(is_share_alike))}."
                ]
                if self.is_share_alike
                else []
            ),
            "Who made them has to be named."
            if self.asks_attribution
            else "Nobody has to be named.",
        ]

    def _count(self, asks: Callable[[str], bool]) -> int:
        return sum(rows for name, rows in self.by_identifier.items() if asks(name))

    def _of(self, rows: int) -> str:
        return f"{rows:,} of {counted(self.rows, 'row')}"


def sum_up(groups: Iterable[LicenceGroup]) -> Licences:
    """Sum up the licences of an export's rows.

    Parameters
    ----------
    groups
        All of its rows, in groups by what they state; their order decides nothing but which
        ids are named.

    Notes
    -----
    An export is adapted material: its audio may be cut or encoded anew, its columns are computed
    from it. So a licence without derivatives forbids to share it, though it allows to share the
    recording (Creative Commons BY-ND 4.0, sections 1.a and 2.a.1).
    """
    by_identifier: Counter[str] = Counter()
    unrecognised: Counter[str] = Counter()
    rows = unstated = for_evaluation = 0
    forbidden_rows: Counter[str] = Counter()
    forbidden_ids: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        stated = " ".join((group.stated or "").split())
        identifier = spdx(stated)
        rows += group.rows
        for_evaluation += group.rows * group.evaluation_only
        if identifier:
            by_identifier[identifier] += group.rows
        elif stated:
            unrecognised[stated] += group.rows
        else:
            unstated += group.rows
        for sentence in _forbids(stated, identifier, group.evaluation_only):
            forbidden_rows[sentence] += group.rows
            forbidden_ids[sentence] += group.ids[: MAX_IDS - len(forbidden_ids[sentence])]
    return Licences(
        rows=rows,
        by_identifier=_ranked(by_identifier),
        unrecognised=_ranked(unrecognised),
        unstated=unstated,
        for_evaluation=for_evaluation,
        forbidding=tuple(
            Forbidding(sentence, forbidden_rows[sentence], tuple(forbidden_ids[sentence]))
            for sentence in _SENTENCES
            if sentence in forbidden_rows
        ),
    )


_NOT_STATED = "No licence is stated, so nobody has allowed to share it."
_RESERVED = "All rights are reserved, so nobody has allowed to share it."
_UNRECOGNISED = "The licence that is stated is none that is known, so it may forbid to share it."
_NO_DERIVATIVES = (
    "The licence allows no derivatives: what an export holds is made of the recording, and may "
    "not be shared."
)
_EVALUATION = (
    "It is for evaluation only: whoever trains on what is published could compare with nothing."
)
_SENTENCES = (_NOT_STATED, _RESERVED, _UNRECOGNISED, _NO_DERIVATIVES, _EVALUATION)


def _forbids(stated: str, identifier: str | None, is_for_evaluation: bool) -> Iterator[str]:
    """Yield the sentences for what forbids to publish rows."""
    if not stated:
        yield _NOT_STATED
    elif identifier is None:
        reserved = re.search(r"rights? reserved|©|\(c\)|copyright", stated, re.IGNORECASE)
        yield _RESERVED if reserved else _UNRECOGNISED
    elif not allows_changes(identifier):
        yield _NO_DERIVATIVES
    if is_for_evaluation:
        yield _EVALUATION


def _ranked(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def address(identifier: str) -> str:
    """Return where the text of a licence lies, by its SPDX identifier."""
    return f"https://spdx.org/licenses/{identifier}.html"
