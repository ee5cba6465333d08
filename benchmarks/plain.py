"""The plain loop that ours is measured against: PyTorch as the field writes it, for the same networks and batch.

A DataLoader over a TensorDataset, two discriminator passes, fakes of the discriminator's step used again for the
generator's, Adam as it comes, losses read every step. It keeps no average, adds no noise, checks and saves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
    mse_loss,
    one_hot,
    softplus,
)
from torch.optim import Adam, RMSprop
from torch.utils.data import DataLoader, TensorDataset

from gan_core.networks.layers.doubling import Doubling

Steps = Iterator[dict[str, float]]


def forever(*tensors: Tensor, batch_size: int, device: str) -> Iterator[list[Tensor]]:
    """Epoch after epoch of a DataLoader."""
    loader = DataLoader(TensorDataset(*tensors), batch_size, shuffle=True, drop_last=True)
    while True:
        for batch in loader:
            yield [tensor.to(device) for tensor in batch]


def doubled(self: Doubling, x: Tensor) -> Tensor:
    """nn.Upsample, then nn.Conv2d."""
    return nn.Conv2d.forward(self, interpolate(x, scale_factor=2.0))


def as_written(game: Any) -> Any:
    """The same networks, up-sampling and convolving in two steps."""
    for network in vars(game).values():
        for module in network.modules() if isinstance(network, nn.Module) else ():
            if isinstance(module, Doubling):
                module.forward = doubled.__get__(module)  # type: ignore[method-assign]
    return game


def real_or_fake(score: Tensor, real: bool) -> Tensor:
    """Cross-entropy against ones or zeros."""
    return binary_cross_entropy_with_logits(score, torch.full_like(score, float(real)))


def descend(loss: Tensor) -> None:
    """Loss.backward(), for the type checker."""
    loss.backward()  # type: ignore[no-untyped-call]


def gan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """The DCGAN tutorial's loop."""
    g, d, latent = game.generator, game.discriminator, game.z.size
    g_adam, d_adam = (Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d))
    for (real,) in forever(x, batch_size=batch_size, device=device):
        d_adam.zero_grad()
        fake = g(torch.randn(len(real), latent, device=real.device))
        d_loss = real_or_fake(d(real), True) + real_or_fake(d(fake.detach()), False)
        descend(d_loss)
        d_adam.step()
        g_adam.zero_grad()
        g_loss = real_or_fake(d(fake), True)
        descend(g_loss)
        g_adam.step()
        yield {"d": d_loss.item(), "g": g_loss.item()}


def penalised_gan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """The relativistic game with R1 and R2, each from the pass that gives its score."""
    g, d, latent = game.generator, game.discriminator, game.z.size
    g_adam, d_adam = (Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d))

    def half_squared_slope(v: Tensor, of: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(v.sum(), of, create_graph=True)
        return slope.square().sum((1, 2, 3)).mean() / 2

    for (real,) in forever(x, batch_size=batch_size, device=device):
        d_adam.zero_grad()
        fake = g(torch.randn(len(real), latent, device=real.device))
        shown = [t.detach().requires_grad_() for t in (real, fake)]
        v_real, v_fake = (d(t) for t in shown)
        d_loss = softplus(v_fake - v_real).mean() + sum(map(half_squared_slope, (v_real, v_fake), shown))
        descend(d_loss)
        d_adam.step()
        g_adam.zero_grad()
        g_loss = softplus(d(real) - d(fake)).mean()
        descend(g_loss)
        g_adam.step()
        yield {"d": d_loss.item(), "g": g_loss.item()}


def cgan(game: Any, x: Tensor, y: Tensor, batch_size: int, device: str) -> Steps:
    """The same, the label given to both."""
    g, d, latent = game.generator, game.discriminator, game.z.size
    g_adam, d_adam = (Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d))
    for real, label in forever(x, y, batch_size=batch_size, device=device):
        d_adam.zero_grad()
        fake = g(torch.randn(len(real), latent, device=real.device), label)
        d_loss = real_or_fake(d(real, label), True) + real_or_fake(d(fake.detach(), label), False)
        descend(d_loss)
        d_adam.step()
        g_adam.zero_grad()
        g_loss = real_or_fake(d(fake, label), True)
        descend(g_loss)
        g_adam.step()
        yield {"d": d_loss.item(), "g": g_loss.item()}


def wgan_gp(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """Five critic steps with the penalty, then one of the generator."""
    g, d, latent = game.generator, game.critic, game.z.size
    g_adam, d_adam = (Adam(n.parameters(), 1e-4, (0.0, 0.9)) for n in (g, d))
    batches = forever(x, batch_size=batch_size, device=device)
    while True:
        for _ in range(5):
            (real,) = next(batches)
            d_adam.zero_grad()
            fake = g(torch.randn(len(real), latent, device=real.device)).detach()
            e = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
            between = (e * real + (1 - e) * fake).requires_grad_()
            v = d(between)
            (slope,) = torch.autograd.grad(v, between, torch.ones_like(v), create_graph=True, retain_graph=True)
            d_loss = d(fake).mean() - d(real).mean() + 10 * ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
            descend(d_loss)
            d_adam.step()
        g_adam.zero_grad()
        g_loss = -d(g(torch.randn(batch_size, latent, device=real.device))).mean()
        descend(g_loss)
        g_adam.step()
        yield {"d": d_loss.item(), "g": g_loss.item()}


def f_gan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """The ports' loop, for the divergence of the original GAN: an activation, a conjugate."""
    g, d, latent = game.generator, game.discriminator, game.z.size
    g_adam, d_adam = (Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d))
    for (real,) in forever(x, batch_size=batch_size, device=device):
        d_adam.zero_grad()
        fake = g(torch.randn(len(real), latent, device=real.device))
        on_real, on_fake = (-torch.log(1 + torch.exp(-v)) for v in (d(real), d(fake.detach())))
        d_loss = -torch.log(1 - torch.exp(on_fake)).mean() - on_real.mean()
        descend(d_loss)
        d_adam.step()
        g_adam.zero_grad()
        g_loss = torch.log(1 + torch.exp(-d(fake))).mean()
        descend(g_loss)
        g_adam.step()
        yield {"d": d_loss.item(), "g": g_loss.item()}


def wgan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """Five critic steps, each clipped, then one of the generator."""
    g, d, latent = game.generator, game.critic, game.z.size
    g_optimizer, d_optimizer = (RMSprop(n.parameters(), 5e-5) for n in (g, d))
    batches = forever(x, batch_size=batch_size, device=device)
    while True:
        for _ in range(5):
            (real,) = next(batches)
            d_optimizer.zero_grad()
            fake = g(torch.randn(len(real), latent, device=real.device)).detach()
            d_loss = d(fake).mean() - d(real).mean()
            descend(d_loss)
            d_optimizer.step()
            for p in d.parameters():
                p.data.clamp_(-0.01, 0.01)
        g_optimizer.zero_grad()
        g_loss = -d(g(torch.randn(batch_size, latent, device=real.device))).mean()
        descend(g_loss)
        g_optimizer.step()
        yield {"d": d_loss.item(), "g": g_loss.item()}


def vae(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """Squared error and the Kullback-Leibler term."""
    encoder, decoder = game.encoder, game.decoder
    adam = Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    for (real,) in forever(x, batch_size=batch_size, device=device):
        adam.zero_grad()
        mean, log_variance = encoder.posterior(real)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = mse_loss(decoder(z), real, reduction="sum") / len(real) / 0.2
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp()) / len(real)
        descend(error + kl)
        adam.step()
        yield {"error": error.item(), "kl": kl.item()}


def vae_gan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """The ports' loop: one pass through all three, then each part's own loss is differentiated in its weights."""
    e, g, d, latent = game.encoder, game.decoder, game.discriminator, game.z.size
    e_adam, g_adam, d_adam = (Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (e, g, d))
    for (real,) in forever(x, batch_size=batch_size, device=device):
        mean, log_variance = e.posterior(real)
        decoded = g(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        drawn = g(torch.randn(len(real), latent, device=real.device))
        seen, seen_decoded, seen_drawn = (d.features(a) for a in (real, decoded, drawn))
        scores = [d.head(h) for h in (seen, seen_decoded, seen_drawn)]
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp()) / len(real)
        content = mse_loss(seen_decoded, seen.detach(), reduction="sum") / len(real) / 2
        style = real_or_fake(scores[1], True) + real_or_fake(scores[2], True)
        d_loss = real_or_fake(scores[0], True) + (real_or_fake(scores[1], False) + real_or_fake(scores[2], False)) / 2
        losses = {"e": kl + content, "g": 0.3 * content + style / 2, "d": d_loss}
        for network, loss in zip((e, g, d), losses.values(), strict=True):
            weights = list(network.parameters())
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, retain_graph=True), strict=True):
                weight.grad = gradient
        for adam in (e_adam, g_adam, d_adam):
            adam.step()
        yield {name: loss.item() for name, loss in losses.items()}


def info_gan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """The ports' loop: an update of the discriminator, of the generator, and of the information term."""
    g, d, q = game.generator, game.discriminator, game.recogniser
    latent, categories = game.latents[0].size, game.categories
    g_adam, d_adam = (Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d))
    q_adam = Adam([*g.parameters(), *d.parameters(), *q.parameters()], 2e-4, (0.5, 0.999))
    for (real,) in forever(x, batch_size=batch_size, device=device):
        z = torch.rand(len(real), latent, device=real.device) * 2 - 1
        code = torch.randint(categories, (len(real),), device=real.device)
        d_adam.zero_grad()
        fake = g(z, code)
        d_loss = real_or_fake(d(real), True) + real_or_fake(d(fake.detach()), False)
        descend(d_loss)
        d_adam.step()
        g_adam.zero_grad()
        g_loss = real_or_fake(d(fake), True)
        descend(g_loss)
        g_adam.step()
        q_adam.zero_grad()
        information = cross_entropy(q(d.features(g(z, code))), one_hot(code, categories).float())
        descend(information)
        q_adam.step()
        yield {"d": d_loss.item(), "g": g_loss.item(), "q": information.item()}


def cycle_gan(game: Any, x: Tensor, _y: Tensor, batch_size: int, device: str) -> Steps:
    """The ports' loop: both translators, then each discriminator, on fakes of the same step from a pool."""
    g, f, discriminators = game.a_to_b, game.b_to_a, (game.discriminator_a, game.discriminator_b)
    g_adam = Adam([*g.parameters(), *f.parameters()], 2e-4, (0.5, 0.999))
    d_adams = [Adam(discriminator.parameters(), 2e-4, (0.5, 0.999)) for discriminator in discriminators]
    for a, b in forever(x, x.flip(0), batch_size=batch_size, device=device):
        g_adam.zero_grad()
        fake_b, fake_a = g(a), f(b)
        scores = discriminators[1](fake_b), discriminators[0](fake_a)
        same = (g(b) - b).abs().mean() + (f(a) - a).abs().mean()
        cycle = (f(fake_b) - a).abs().mean() + (g(fake_a) - b).abs().mean()
        g_loss = sum(mse_loss(v, torch.ones_like(v)) for v in scores) + 10 * cycle + 5 * same
        descend(g_loss)
        g_adam.step()
        losses = {"g": g_loss.item()}
        sides = zip("ab", discriminators, d_adams, (a, b), (game.pool_a(fake_a), game.pool_b(fake_b)), strict=True)
        for side, discriminator, adam, real, fake in sides:
            adam.zero_grad()
            on_real, on_fake = discriminator(real), discriminator(fake)
            d_loss = (mse_loss(on_real, torch.ones_like(on_real)) + mse_loss(on_fake, torch.zeros_like(on_fake))) / 2
            descend(d_loss)
            adam.step()
            losses[side] = d_loss.item()
        yield losses


PLAIN: dict[str, Callable[..., Steps]] = {
    "gan": gan,
    "gan with R1, R2": penalised_gan,
    "f_gan": f_gan,
    "wgan": wgan,
    "wgan_gp": wgan_gp,
    "cgan": cgan,
    "vae": vae,
    "vae_gan": vae_gan,
    "info_gan": info_gan,
    "cycle_gan": cycle_gan,
}
