"""Networks: tensors in, tensors out. They know no loss and no optimizer. NETWORKS is the table of all of them.

This file holds the table and nothing else: a new row changes no other run, so the pipeline does not depend on it.
"""

from __future__ import annotations

from torch import nn

from gan_core.networks import classifier, dcgan, mlp

NETWORKS: dict[str, type[nn.Module]] = {
    "mlp.generator": mlp.Generator,
    "mlp.discriminator": mlp.Discriminator,
    "dcgan.generator": dcgan.Generator,
    "dcgan.discriminator": dcgan.Discriminator,
    "classifier.conv": classifier.Conv,
    "classifier.identity": classifier.Identity,
}
