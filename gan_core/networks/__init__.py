"""Networks: tensors in, tensors out. They know no loss and no optimizer. NETWORKS is the table of all of them.

A row's name is its family, then its role. This file holds the table and nothing else: a new row changes no other run,
so the pipeline does not depend on it.
"""

from __future__ import annotations

from torch import nn

from gan_core.networks import classifier, curvature, dcgan, mlp, resnet, resnet_gan

NETWORKS: dict[str, type[nn.Module]] = {
    "mlp.generator": mlp.Generator,
    "mlp.discriminator": mlp.Discriminator,
    "mlp.encoder": mlp.Encoder,
    "mlp.recogniser": mlp.Recogniser,
    "mlp.translator": mlp.Generator,
    "dcgan.generator": dcgan.Generator,
    "dcgan.discriminator": dcgan.Discriminator,
    "dcgan.encoder": dcgan.Encoder,
    "dcgan.recogniser": dcgan.Recogniser,
    "resnet.translator": resnet.Translator,
    "resnet.discriminator": resnet.Discriminator,
    "resnet_gan.generator": resnet_gan.Generator,
    "resnet_gan.discriminator": resnet_gan.Discriminator,
    "curvature.neural": curvature.Neural,
    "curvature.mixture": curvature.Mixture,
    "classifier.conv": classifier.Conv,
    "classifier.identity": classifier.Identity,
}
