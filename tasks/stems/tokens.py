"""Tokens beside a codec's own: numbers beyond its codebooks, so that none is also a code."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Numbers with a meaning of their own, the same for all codebooks of a codec.

    Only `pad` occurs in a dataset's files: after the frames of a last, shorter chunk.

    Attributes
    ----------
    codebook_size
        Entries of a codebook: codes are 0 to ``codebook_size - 1``.
    """

    codebook_size: int

    @property
    def pad(self) -> int:
        """Stands where a chunk has no frame."""
        return self.codebook_size

    @property
    def start(self) -> int:
        """For models that begin a sequence with a token."""
        return self.codebook_size + 1

    @property
    def end(self) -> int:
        """For models that end a sequence with a token."""
        return self.codebook_size + 2

    @property
    def vocabulary_size(self) -> int:
        """Rows that an embedding of codes and special tokens needs."""
        return self.codebook_size + 3
