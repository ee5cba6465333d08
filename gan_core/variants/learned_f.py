"""f-GAN with a learned f. Our own; after Nowozin et al. 2016, Poole et al. 2016 and Zhang et al. 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveFloat, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment
from gan_core.networks import curvature
from gan_core.networks.layers.lookahead import Call, after_a_step
from gan_core.objectives import adversarial, penalties, two_sample
from gan_core.objectives.f_divergence import soft_clip


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
    lookahead: PositiveFloat = 0.1  # rate of the step after which f is rated
    r1: Scheduled[NonNegativeFloat] = 0.0  # gamma
    learning_rate: LearningRate = 2e-4
    f_learning_rate: LearningRate = 1e-3
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"generator": (), "discriminator": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("generator", "f")
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z = spec.prior()
        f = curvature.config(settings["form"], settings["start"], settings["lowest"], settings["highest"])
        return {"f": f, "generator": spec.generator(z), "discriminator": spec.discriminator(), "z": z}

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Logistic, so that v = log p/q at the optimum whatever f is."""
        fake = self.discriminator(self.generator(self.z.like(batch.x)))
        real, r1 = penalties.r1(self.discriminator, batch.x, at.value(self.r1))
        return Losses(adversarial.discriminator(real, fake) | r1)

    def f_loss(self, batch: Batch, at: Moment) -> Losses:
        """The energy distance to the data after the generator has taken one plain gradient step under f."""
        ahead = after_a_step(
            self.generator, lambda g: self.generator_loss(batch, at, g).terms["generator"], self.lookahead
        )
        return Losses({"energy_distance": two_sample.energy_distance(ahead(self.z.like(batch.x)), batch.x)})

    def generator_loss(self, batch: Batch, at: Moment, generator: Call | None = None) -> Losses:
        """-E f*(T(v)): the gradient of D_f at the optimal discriminator (the envelope theorem)."""
        fake = (generator or self.generator)(self.z.like(batch.x))
        return Losses({"generator": -self.f.conjugate_link(soft_clip(self.discriminator(fake), self.clip)).mean()})

    def scorers(self) -> Scorers:
        return {"generator": lambda x, _: self.discriminator(x)}

    def optimizers(self) -> Optimizers:
        adam = Adam(self.learning_rate, self.beta1, self.beta2)
        return {"generator": adam, "discriminator": adam, "f": Adam(self.f_learning_rate, self.beta1, self.beta2)}

    def updates(self) -> Updates:
        inner = Update(("discriminator",), self.discriminator_loss)
        return inner, Update(("f",), self.f_loss), Update(("generator",), self.generator_loss)
