"""Which source of a mix a stem belongs to."""

from collections.abc import Sequence

from tasks.corpora.names.instruments import Instrument, instrument_of, is_backing, read_names
from tasks.corpora.names.words import squeezed
from tasks.corpora.song import Song, StemFile
from tasks.separator.data_error import DataError
from tasks.separator.training_song import MIXTURE, REST

VOCALS: Instrument = "vocals"


WHOLE_MIXES = frozenset(
    (MIXTURE, "mix", "fullmix", "fullmixture", "finalmix", "stereomix", "mixdown", "master")
)
"""Names of the mix of all stems; others of mixtures lack one of them, or have it louder."""


def is_whole_mix(name: str) -> bool:
    """Return whether a stem is called the mix of all others."""
    return squeezed(name.rpartition("/")[2]) in WHOLE_MIXES


class Sources:
    """The sources that are told apart.

    Parameters
    ----------
    names
        As the user wrote them: an instrument each, and ``other`` or ``accompaniment`` for all
        stems of no other.

    Raises
    ------
    DataError
        If two are the same, or none takes the rest.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.rest = next((name for name in names if name in REST), "")
        listed = ", ".join(names)
        if not self.rest or len(names) < 2:
            raise DataError(
                f"The sources ({listed}) do not add up to a mix: name two or more, of which one is "
                f"{' or '.join(REST)}."
            )
        self._by_name = {name.casefold(): name for name in names}
        self._by_instrument: dict[str, str] = {}
        for name in names:
            instrument = None if name in REST else instrument_of(name)
            if name == MIXTURE or self._by_instrument.get(instrument or "", name) != name:
                raise DataError(f"Two of the sources ({listed}) are the same, or one is the mix.")
            if instrument:
                self._by_instrument[instrument] = name
        if len(self._by_name) < len(names) or set(REST) <= set(names):
            raise DataError(f"Two of the sources ({listed}) are the same.")
        if "drum" in self._by_instrument:
            self._by_instrument.setdefault("perc", self._by_instrument["drum"])

    def of_name(self, name: str) -> str | None:
        """Return the source that a name is the very name of."""
        return self._by_name.get(name.casefold())

    def of_instrument(self, instrument: str) -> str:
        """Return the source that an instrument belongs to."""
        return self._by_instrument.get(instrument, self.rest)

    def of_stems(self, song: Song) -> tuple[dict[StemFile, str | None], list[StemFile]]:
        """Return the source of each stem of a song, and those that are mixtures.

        None where nothing tells. What is called an accompaniment is a mixture, unless only the
        voice is to be told from all else, and stands beside it alone.
        """
        found: dict[StemFile, str | None] = {}
        unnamed: list[StemFile] = []
        for stem in song.stems:
            source = self.of_name(stem.name)
            if source is None and stem.instrument is None:
                unnamed.append(stem)
            else:
                found[stem] = source or self.of_instrument(stem.instrument or "")
        mixtures = []
        readings = read_names([stem.name for stem in unnamed])
        for stem, reading in zip(unnamed, readings, strict=True):
            if reading.is_mixture:
                mixtures.append(stem)
            else:
                found[stem] = reading.instrument and self.of_instrument(reading.instrument)
        voice = self._by_instrument.get(VOCALS)
        if len(self.names) == 2 and voice and set(found.values()) <= {voice}:
            for stem in [each for each in mixtures if is_backing(each.name)]:
                found[stem] = self.rest
                mixtures.remove(stem)
        return found, mixtures
