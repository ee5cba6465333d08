"""Several seeds of one declaration, as a line with mean and deviation."""

from pathlib import Path

from omegaconf import OmegaConf

from gan_core.config.load import load_params
from gan_core.metrics.record import write_figures
from gan_core.report import compare
from tests.conftest import DECLARED


def test_runs_that_differ_in_their_seed_alone_are_one_line(tmp_path: Path) -> None:
    params = OmegaConf.to_container(OmegaConf.load(DECLARED), resolve=False)
    gan = params["runs"]["gan"]
    params["runs"] = {
        **{f"gan-{seed}": {**gan, "train": {**gan["train"], "seed": seed}} for seed in (1, 2, 3)},
        "other": {**gan, "settings": {"r1": 0.2}},
        "unmeasured": {**gan, "settings": {"r1": 0.3}},
    }
    OmegaConf.save(OmegaConf.create(params), tmp_path / "params.yaml")
    for name, fd in (("gan-1", 1.0), ("gan-2", 2.0), ("gan-3", 3.0), ("other", 5.0)):
        figures = {"generator": {"fd_own": fd, "kid_own": 0.5, "protocol": {"features": "own"}}, "f": {"at +0.0": 1.0}}
        write_figures(tmp_path / name / "metrics.json", figures)
    found = list(compare.groups(load_params(tmp_path / "params.yaml").runs, tmp_path))
    assert [(g.name, g.role, len(g.found)) for g in found] == [("gan", "generator", 3), ("other", "generator", 1)]
    assert compare.table(found, ["fd_own", "kid_own", "modes"]).splitlines() == [
        "| run | role | seeds | fd_own | kid_own | modes |",
        "| --- | --- | --- | --- | --- | --- |",
        "| gan | generator | 3 | 2 ± 1 | 0.5 ± 0 | – |",
        "| other | generator | 1 | 5 | 0.5 | – |",
    ]
    assert "| fd_own | kid_own | precision_own |" in compare.table(found)
