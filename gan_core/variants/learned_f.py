"""f-GAN with a learned f. Our own; after Nowozin et al. 2016, Poole et al. 2016 and Zhang et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.func import functional_call

from gan_core.bounds import Fraction
from gan_core.game import Cast, Judge, Optimizer, Update
from gan_core.networks import curvature
from gan_core.objectives import adversarial, penalties
from gan_core.objectives.f_divergence import soft_clip
from gan_core.objectives.two_sample import energy_distance
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Player, Terms


@dataclass(frozen=True)
class LearnedF:
    """The generator descends -E f*(T(v)), v the log-ratio of a discriminator that knows nothing of f.

    D_f grows with the curvature of f everywhere, so no f may be chosen by D_f itself. It is chosen by an outer
    objective that is free of f: the energy distance to the data after one step of the generator under that f.
    """

    generator: Generator
    discriminator: Discriminator  # its score is the log-ratio v
    f: curvature.Curvature
    z: Input
    form: Literal["neural", "mixture"] = "neural"
    lowest: float = -1.0  # alpha(v) stays between these
    highest: float = 2.0
    start: float = 0.5  # the alpha divergence at the start
    clip: PositiveFloat = 6.0  # |v| stays below
    lookahead: PositiveFloat = 0.1  # rate of the step under which f is judged
    r1: NonNegativeFloat = 0.0  # gamma
    learning_rate: PositiveFloat = 2e-4
    f_learning_rate: PositiveFloat = 1e-3
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Mapping[str, Any]) -> Cast:
        z, recipe = body.prior(), curvature.recipe(settings["form"])
        bounds = (settings["lowest"], settings["highest"]) if settings["form"] == "neural" else ()
        f = curvature.FORMS[settings["form"]](recipe, *bounds, settings["start"])
        return {"generator": body.generator(z), "discriminator": body.discriminator(), "f": f, "z": z}

    def generator_objective(self, weights: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """-E f*(T(v(G(z)))) of a generator with these weights."""
        z = self.z.sample(len(batch), batch.x.device)
        fake = functional_call(self.generator, dict(weights), (z,))  # type: ignore[arg-type]
        return -self.f.conjugate_link(soft_clip(self.discriminator(fake), self.clip)).mean()

    def discriminator_loss(self, batch: Batch) -> Terms:
        """Logistic, so that v = log p/q at the optimum whatever f is."""
        fake = self.generator(self.z.sample(len(batch), batch.x.device))
        terms = adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake))
        if self.r1:
            terms["r1"] = self.r1 * penalties.r1(self.discriminator, batch.x)
        return terms

    def f_loss(self, batch: Batch) -> Terms:
        """The energy distance to the data after the generator has taken one plain gradient step under f."""
        here = {name: w.detach().requires_grad_() for name, w in self.generator.named_parameters()}
        step = torch.autograd.grad(self.generator_objective(here, batch), list(here.values()), create_graph=True)
        ahead = {name: w - self.lookahead * g for (name, w), g in zip(here.items(), step, strict=True)}
        fake = functional_call(self.generator, ahead, (self.z.sample(len(batch), batch.x.device),))  # type: ignore[arg-type]
        return {"energy_distance": energy_distance(fake, batch.x)}

    def generator_loss(self, batch: Batch) -> Terms:
        """-E f*(T(v)): the gradient of D_f at the optimal discriminator (the envelope theorem)."""
        return {"generator": self.generator_objective(dict(self.generator.named_parameters()), batch)}

    def judges(self) -> Mapping[str, Judge]:
        return {"generator": lambda x, _: self.discriminator(x)}

    def updates(self) -> Sequence[Update]:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        outer = Optimizer("adam", self.f_learning_rate, self.beta1, self.beta2)
        return (
            Update((self.discriminator,), self.discriminator_loss, adam),
            Update((self.f,), self.f_loss, outer),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Mapping[str, Player]:
        return {"generator": self.generator, "f": self.f}
