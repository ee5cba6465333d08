"""``python -m claims``: measure what the papers claim and keep the verdicts in docs/claims.md and docs/claims.json."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from claims import CLAIMS, table
from gan_core.runtime import errors


def main() -> None:
    """Parse the command line, measure, and end with 1 if a bar is missed for no known reason."""
    parser = argparse.ArgumentParser(prog="python -m claims", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="only the claims of a few seconds")
    parser.add_argument("--only", nargs="+", metavar="ID", choices=list(CLAIMS), help="only these: %(choices)s")
    parser.add_argument("--jobs", type=int, default=2, help="seeds measured at a time, a core each (default: 2)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="the folder of the table (default: docs)")
    arguments = parser.parse_args()
    asked = [c for name, c in CLAIMS.items() if name in (arguments.only or CLAIMS) and (c.fast or not arguments.fast)]
    raise SystemExit(measure(asked, arguments.jobs, arguments.out))


def measure(claims: list[table.Claim], jobs: int, folder: Path) -> int:
    """Measure claims, lay their rows over the table's, and return the exit code."""
    os.environ["OMP_NUM_THREADS"] = "1"
    failed = 0
    for row in table.run(claims, jobs):
        failed += row.failed
        table.write(folder, table.read(folder) | {row.id: row}, list(CLAIMS))
        print(f"{row.id:5} {row.verdict} [{row.bar}] {row.measured} ({row.seconds} s)", flush=True)
    print(f"{len(claims)} claims measured, {failed} miss their bar")
    return 1 if failed else 0


if __name__ == "__main__":
    errors.run(main)
