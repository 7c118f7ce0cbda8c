"""What a network that separates is, to its training and to its adapter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

Estimate = Callable[["Tensor", "Tensor"], "Tensor"]


def as_given(mixture: "Tensor", output: "Tensor") -> "Tensor":
    """Return the output of a network that gives sources, shape ``(B, S, C, L)``."""
    return output


@dataclass(frozen=True)
class Network:
    """Declaration of a network, the constant ``NETWORK`` of its file.

    Attributes
    ----------
    build
        ``(n_sources, channels, sample_rate_hz, **arguments) -> Module``, with random weights.
        The module takes a mixture, shape ``(B, C, L)`` of any length.
    estimates
        From a mixture and the module's output to sources, shape ``(B, S, C, L)``: what losses
        are computed of.
    stems
        The same for listeners: of a network that masks they add up to the mixture.
    is_masking
        Whether `stems` add up to the mixture.
    sizes
        Arguments of `build` by the name of a size: ``small``, which two cores train, and
        ``base``.
    longer_windows
        Whether it may listen to windows longer than the segments that it was trained on: one
        that attends over positions may not.
    """

    build: "Callable[..., nn.Module]"
    estimates: Estimate = as_given
    stems: Estimate = as_given
    is_masking: bool = False
    sizes: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"small": {}, "base": {}}
    )
    longer_windows: bool = True
