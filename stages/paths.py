"""Where everything lies. Only stages name paths."""

from pathlib import Path

STATE = Path(".state")
FEATURES = STATE / ".features"
REPORT = Path("report.html")
CLAIMS = Path("docs/claims.json")
TIMINGS = Path("benchmarks/results")


def prepared(dataset: str) -> Path:
    """The packed data set and its index."""
    return Path("data/prepared") / dataset


def preparing(dataset: str) -> Path:
    """The lock of a data set in the making; no run can have this name."""
    return STATE / ".prepare" / dataset


def extractor(dataset: str) -> Path:
    """The network whose features the metrics look at."""
    return Path("data/extractors") / f"{dataset}.safetensors"


def model(run: str) -> Path:
    """The trained networks of a run, one file a role."""
    return Path("models") / run


def last(run: str) -> Path:
    """The networks as they were at the last step, where an earlier step was better and is what ships."""
    return model(run) / "last"


def players(run: str) -> Path:
    """All networks that were trained, as they were at the last step, and their averages."""
    return Path("players") / run


def snapshots(run: str) -> Path:
    """Samples from the same inputs at several steps."""
    return model(run) / "monitor" / "snapshots.safetensors"


def report(run: str) -> Path:
    """Figures and pictures of a run."""
    return Path("reports") / run


def exported(run: str) -> Path:
    """What a user deploys."""
    return Path("exported") / run


def hardware(run: str) -> Path:
    """What this machine is, for the engines of a run."""
    return Path("data/hardware") / f"{run}.json"


def engines(run: str) -> Path:
    """Engines for the GPU of this machine only."""
    return Path("engines") / run
