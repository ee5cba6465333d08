"""Plants known defects of public GAN code, one at a time, and counts how many of them a test sees.

``make mutants`` works on a copy: each defect is a line put in place of another, and the test that names the law it
breaks must then fail. A test that passes all the same guards nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("gan_core", "stages", "claims", "tests", "pyproject.toml", "dvc.yaml")

STEPS = """    for player in update.players:
        if player in skipped:
            run.optimizers[player].zero_grad(set_to_none=True)
        else:
            run.optimizers[player].step()
"""
AFTER = """    if update.after is not None:
        with torch.no_grad():
            update.after(stats)
"""


@dataclass(frozen=True)
class Mutant:
    """A defect, the text it replaces in a file, and the test that should see it."""

    defect: str
    file: str
    text: str
    instead: str
    test: str


MUTANTS = (
    Mutant(
        "the gradient penalty's norm is over the batch",
        "gan_core/objectives/penalties.py",
        "gradient.reshape(len(v), -1).square().sum(1)",
        "gradient.square().sum().reshape(1)",
        "test_objectives.py::test_gradient_penalty_of_a_linear_critic",
    ),
    Mutant(
        "Pearson's conjugate is t^2/4 + t below -2 too",
        "gan_core/objectives/f_divergence.py",
        "(t.clamp_min(-2) / 2 + 1).square() - 1",
        "(t / 2 + 1).square() - 1",
        "test_f_divergence.py",
    ),
    Mutant(
        "a g_f decreases",
        "gan_core/objectives/f_divergence.py",
        "activation=lambda v: -(-v).exp()",
        "activation=lambda v: -v.exp()",
        "test_f_divergence.py",
    ),
    Mutant(
        "WGAN clips before the critic's step",
        "gan_core/training/update.py",
        STEPS + AFTER,
        AFTER + STEPS,
        "test_games.py::test_wgan_clips_after_the_step",
    ),
    Mutant(
        "the information term does not reach the generator",
        "gan_core/variants/info_gan.py",
        "self.discriminator.features(fake)",
        "self.discriminator.features(fake.detach())",
        "test_games.py::test_mutual_information_reaches_the_generator_whoever_owns_q",
    ),
    Mutant(
        "the discriminator does not see its label",
        "gan_core/networks/layers/head.py",
        "beside(x, self.config.inputs, conditions)",
        "beside(x, self.config.inputs, tuple(0 * c for c in conditions))",
        "test_games.py::test_a_conditional_discriminator_sees_its_label",
    ),
    Mutant(
        "a residual discriminator does not see its label",
        "gan_core/networks/resnet_gan.py",
        "beside(x, self.config.inputs, conditions)",
        "beside(x, self.config.inputs, tuple(0 * c for c in conditions))",
        "test_games.py::test_a_conditional_discriminator_sees_its_label",
    ),
    Mutant(
        "a network is loaded, and shipped, in training mode",
        "gan_core/core/artifact.py",
        "network.eval().requires_grad_(False)",
        "network.train().requires_grad_(False)",
        "test_networks.py::test_an_artefact_brings_itself_back",
    ),
    Mutant(
        "a network in training mode is exported without a word",
        "gan_core/export/onnx.py",
        "if any(module.training for module in network.modules()):",
        "if False:",
        "test_export.py::test_training_mode_is_refused_twice",
    ),
    Mutant(
        "the generator's sign is wrong in WGAN",
        "gan_core/objectives/adversarial.py",
        '{"generator": -fake.mean()}',
        '{"generator": fake.mean()}',
        "test_objectives.py::test_every_generator_objective_pushes_the_score_up",
    ),
    Mutant(
        "a fake is scored under another label",
        "gan_core/variants/cgan.py",
        "self.discriminator(self.fake(batch), y))",
        "self.discriminator(self.fake(batch), y.roll(1)))",
        "test_games.py::test_a_conditional_game_scores_a_fake_with_the_label_it_was_drawn_for",
    ),
    Mutant(
        "the target of the feature likelihood has a gradient",
        "gan_core/variants/vae_gan.py",
        "seen.detach()",
        "seen",
        "test_games.py::test_the_target_of_the_feature_likelihood_is_a_constant",
    ),
    Mutant(
        "the pool of CycleGAN returns nothing old",
        "gan_core/networks/layers/memory.py",
        "torch.rand(len(shown), device=shown.device) < 0.5",
        "torch.rand(len(shown), device=shown.device) < 0.0",
        "test_networks.py::test_a_pool_returns_what_it_was_given",
    ),
    Mutant(
        "DRAGAN's noise lacks its factor for each sample",
        "gan_core/objectives/penalties.py",
        "return gradient_penalty(discriminator, real + real.std() / 2 * torch.rand_like(real), real)",
        "real = real + real.std() / 2 * torch.rand_like(real)\n    return gradient_penalty(discriminator, real, real)",
        "test_objectives.py::test_dragan_looks_beside_the_data_not_at_it",
    ),
    Mutant(
        "cutout spares the last lines",
        "gan_core/networks/layers/augment.py",
        "whole(u, side + 1 - size % 2)",
        "whole(u, side)",
        "test_augmentation.py::test_cutout_spares_no_edge",
    ),
    Mutant(
        "fixed inputs come from NumPy's own generator",
        "gan_core/core/inputs.py",
        "latents.draw([described], seeds.view(np.int64))[self.name]",
        "np.random.Generator(np.random.PCG64(seed)).standard_normal((n, self.size), dtype=np.float32)",
        "test_networks.py::test_fixed_inputs_are_the_same_everywhere",
    ),
    Mutant(
        "an input is known by the first bytes of its name",
        "gan_core/core/latents.py",
        "crc32(name.encode())",
        "crc32(name.encode()[:8])",
        "test_networks.py::test_fixed_inputs_are_the_same_everywhere",
    ),
    Mutant(
        "an operation without a deterministic CUDA kernel",
        "gan_core/networks/curvature.py",
        "areas[..., KNOTS // 2 :] @ self.upto",
        "areas[..., KNOTS // 2 :].cumsum(-1)",
        "test_games.py::test_every_operation_has_a_deterministic_cuda_kernel",
    ),
)


def red(folder: Path, tests: list[str]) -> bool:
    """Whether a test fails there; that it cannot be run is an error, and no failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 1


def main() -> None:
    """Plant each, and end with 1 if one lives."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in COPIED:
            source, target = ROOT / part, folder / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        if red(folder, list(dict.fromkeys(mutant.test for mutant in MUTANTS))):
            raise SystemExit("a test fails before anything is planted: mend that first")
        seen = 0
        for mutant in MUTANTS:
            path = folder / mutant.file
            whole = path.read_text()
            if whole.count(mutant.text) != 1:
                raise SystemExit(f"{mutant.file} has {whole.count(mutant.text)} times `{mutant.text}`, not once")
            path.write_text(whole.replace(mutant.text, mutant.instead))
            found = red(folder, [mutant.test])
            path.write_text(whole)
            seen += found
            print(f"{'seen' if found else 'LIVES'}  {mutant.defect} ({mutant.test})", flush=True)
    print(f"{seen} of {len(MUTANTS)} defects seen")
    raise SystemExit(seen < len(MUTANTS))


if __name__ == "__main__":
    main()
