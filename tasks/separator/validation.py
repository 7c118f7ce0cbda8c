"""What a network in training is worth: ratios on fixed excerpts of songs it does not train on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.separator.network import Network
from tasks.separator.losses import EPSILON, ratio_db, scale_invariant_ratio_db
from tasks.training.config import LoopConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.separator.segments import Excerpt

Float32 = npt.NDArray[np.float32]

SHARE = 0.1
"""Audio of a validation, of that of the training since the one before, at most. Listening costs a
third of learning, so that validations take some thirtieth of the time."""

MOST_EXCERPTS = 24

RATIOS: "Mapping[str, Callable[[Tensor, Tensor], Tensor]]" = {
    "si_sdr": scale_invariant_ratio_db,
    "sdr": ratio_db,
}


def excerpt_count(loop: LoopConfig) -> int:
    """Return how many segments a validation may listen to, at least one."""
    between = min(loop.validate_steps or MOST_EXCERPTS, loop.steps or MOST_EXCERPTS)
    return max(1, min(MOST_EXCERPTS, int(SHARE * between * loop.batch_size)))


@dataclass(frozen=True)
class Validation:
    """Ratios of a network's stems on excerpts, and what they gain over the mixture.

    Attributes
    ----------
    network
        What the network is.
    excerpts
        All of one length.
    sources
        Names of the sources, in order.
    loss
        Of estimates and targets.
    at_once
        Excerpts that are separated at once.
    """

    network: Network
    excerpts: "Sequence[Excerpt]"
    sources: tuple[str, ...]
    loss: "Callable[[Tensor, Tensor], Tensor]"
    at_once: int = 1

    def __call__(self, module: "nn.Module") -> dict[str, float]:
        """Return the metrics of a network.

        Returns
        -------
        dict
            ``si_sdr`` and ``sdr`` in dB, each as a mean over sources and, as
            ``si_sdr/<source>``, over the excerpts in which the source sounds; the same with
            ``_improvement``, over the mixture as an estimate; and ``loss``.
        """
        import torch

        found: dict[str, list[Tensor]] = {name: [] for name in RATIOS}
        losses = []
        for mixture, targets in self._batches(next(module.parameters()).device):
            output = module(mixture)
            stems = self.network.stems(mixture, output).float()
            estimates = self.network.estimates(mixture, output).float()
            length = estimates.shape[-1]
            losses += [self.loss(estimates, targets[..., :length])] * len(mixture)
            for name, ratio in RATIOS.items():
                found[name].append(ratio(stems, targets[..., :length]).cpu())
        metrics = {"loss": float(torch.stack(losses).mean())}
        for name, ratios in found.items():
            values = torch.cat(ratios).double().numpy()
            metrics |= self._means(name, values)
            metrics |= self._means(f"{name}_improvement", values - self._of_mixture[name])
        return metrics

    def separated(self, module: "nn.Module") -> Float32:
        """Return the stems of the first excerpt, shape ``(S, C, L)``."""
        import torch

        mixture = torch.as_tensor(np.asarray(self.excerpts[0].mixture))[None]
        mixture = mixture.to(next(module.parameters()).device)
        with torch.no_grad():
            stems: Float32 = self.network.stems(mixture, module(mixture))[0].float().cpu().numpy()
        return stems

    @cached_property
    def _of_mixture(self) -> dict[str, npt.NDArray[np.float64]]:
        import torch

        found: dict[str, list[Tensor]] = {name: [] for name in RATIOS}
        for mixture, targets in self._batches(torch.device("cpu")):
            for name, ratio in RATIOS.items():
                found[name].append(ratio(mixture[:, None].expand_as(targets), targets))
        return {name: torch.cat(values).double().numpy() for name, values in found.items()}

    @cached_property
    def _sounds(self) -> npt.NDArray[np.bool_]:
        """Which source sounds in which excerpt: of silence there is no ratio."""
        energies = [np.square(each.targets).mean((-2, -1)) for each in self.excerpts]
        return np.asarray(np.stack(energies) > EPSILON)

    def _batches(self, device: Any) -> "Iterator[tuple[Tensor, Tensor]]":
        import torch

        for start in range(0, len(self.excerpts), self.at_once):
            chosen = self.excerpts[start : start + self.at_once]
            mixtures = np.stack([each.mixture for each in chosen])
            targets = np.stack([each.targets for each in chosen])
            yield torch.as_tensor(mixtures).to(device), torch.as_tensor(targets).to(device)

    def _means(self, name: str, values: npt.NDArray[np.float64]) -> dict[str, float]:
        """Return the mean of each source that sounds at all, and the mean of these."""
        each = {
            f"{name}/{source}": float(values[sounds, at].mean())
            for at, source in enumerate(self.sources)
            if (sounds := self._sounds[:, at]).any()
        }
        return {name: float(np.mean(list(each.values()))), **each} if each else {}
