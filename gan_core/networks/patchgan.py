"""PatchGAN discriminators at several scales, which see the source beside what it became.

Isola et al. 2017, section 3.2.2; pix2pixHD, Wang et al. 2018 (arXiv 1711.11585), section 3.2.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score
from gan_core.networks import resnet
from gan_core.runtime.errors import InputError

FAMILY = "patchgan"
CAPABILITIES = {"discriminator": ("conditions", "maps", "patches", "stages")}


class Discriminator(nn.Module):
    """As many discriminators of patches as there are scales, each of pictures half as large as of the one before.

    Raises:
        InputError: at the coarsest scale pictures would have less than 8 pixels.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        scales, (high, wide) = config.options["scales"], config.shape[1:]
        if min(high, wide) >> (scales - 1) < 8:
            raise InputError(f"settings.scales is {scales}: of {high}x{wide} pixels less than 8 are left; lower it")
        at = [(config.shape[0], high >> k, wide >> k) for k in range(scales)]
        self.scales = nn.ModuleList(resnet.Discriminator(replace(config, shape=s, options={})) for s in at)

    def stages(self, x: Sample, *conditions: Tensor) -> list[list[Tensor]]:
        """(N, C, H, W) and the images beside it to the maps of every layer, scale by scale, each ending with scores."""
        found = []
        for k, scale in enumerate(self.scales):
            if k:
                x, *conditions = (halved(each) for each in (x, *conditions))  # type: ignore[assignment]
            found.append(scale.stages(x, *conditions))  # type: ignore[operator]
        return found

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, C, H, W) and the images beside it to the mean score of every scale, (N, scales)."""
        return torch.stack([maps[-1].flatten(1).mean(1) for maps in self.stages(x, *conditions)], 1)


def halved(x: Sample) -> Sample:
    """Images of half the height and width, each pixel the mean of the 3x3 around it (those that are in the picture)."""
    return avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
