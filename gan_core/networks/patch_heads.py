"""Heads for patch-wise contrast of a translator's own maps (CUT, Park et al. 2020, arXiv 2007.15651, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from gan_core.core.build_network import network_class
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig

FAMILY = "patch_heads"
CAPABILITIES = {"heads": ()}
UNITS = 256


class Heads(nn.Module):
    """For each of a translator's ``stages`` a network of two layers, from its channels to vectors of length 1.

    ``options``: those of the translator, whose network stands under ``of``.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        options = {key: value for key, value in config.options.items() if key != "of"}
        source = (Input("x", "x", config.size, config.shape),)
        translator = replace(config, network=str(config.options["of"]), inputs=source, options=options)
        with torch.device("meta"):  # what its maps are like, without a weight
            x = torch.empty(1, *config.shape)
            channels = [h.shape[1] for h in network_class(translator.network)(translator).stages(x)]  # type: ignore[operator]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(c, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS)) for c in channels
        )

    def forward(self, stages: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Maps (N, C, H, W), and of each some of its H W places (P,), to vectors (N, P, 256)."""
        chosen = (h.flatten(2).index_select(2, at).mT for h, at in zip(stages, places, strict=True))
        return [normalize(head(h), dim=2) for head, h in zip(self.layers, chosen, strict=True)]
