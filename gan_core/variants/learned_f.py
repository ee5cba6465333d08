"""f-GAN with a learned f. Our own; after Nowozin et al. 2016, Poole et al. 2016 and Zhang et al. 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.networks import curvature
from gan_core.networks.lookahead import Call, after_a_step
from gan_core.objectives import adversarial, penalties, two_sample
from gan_core.objectives.f_divergence import soft_clip
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Terms


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
    def cast(body: Body, settings: Settings) -> Cast:
        z = body.prior()
        f = curvature.begin(settings["form"], settings["start"], settings["lowest"], settings["highest"])
        return {"generator": body.generator(z), "discriminator": body.discriminator(), "f": f, "z": z}

    def discriminator_loss(self, batch: Batch) -> Terms:
        """Logistic, so that v = log p/q at the optimum whatever f is."""
        fake = self.generator(self.z.like(batch.x))
        terms = adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake))
        if self.r1:
            terms["r1"] = self.r1 * penalties.r1(self.discriminator, batch.x)
        return terms

    def f_loss(self, batch: Batch) -> Terms:
        """The energy distance to the data after the generator has taken one plain gradient step under f."""
        ahead = after_a_step(self.generator, lambda g: self.generator_loss(batch, g)["generator"], self.lookahead)
        return {"energy_distance": two_sample.energy_distance(ahead(self.z.like(batch.x)), batch.x)}

    def generator_loss(self, batch: Batch, generator: Call | None = None) -> Terms:
        """-E f*(T(v)): the gradient of D_f at the optimal discriminator (the envelope theorem)."""
        fake = (generator or self.generator)(self.z.like(batch.x))
        return {"generator": -self.f.conjugate_link(soft_clip(self.discriminator(fake), self.clip)).mean()}

    def judges(self) -> Judges:
        return {"generator": lambda x, _: self.discriminator(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        outer = Optimizer("adam", self.f_learning_rate, self.beta1, self.beta2)
        return (
            Update((self.discriminator,), self.discriminator_loss, adam),
            Update((self.f,), self.f_loss, outer),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Exports:
        return {"generator": self.generator, "f": self.f}
