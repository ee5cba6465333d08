"""report: figures, pictures and manifests of the declared runs, claims and timings -> one offline page."""

from gan_core.config.load import load_params
from gan_core.report import page
from gan_core.report.facts import read_made
from gan_core.runtime import errors, files
from stages import paths


def main() -> None:
    declared = load_params().shipped
    runs, others = read_made({name: (paths.report(name), paths.exported(name)) for name in declared})
    claims = files.read_json(paths.CLAIMS) if paths.CLAIMS.is_file() else {}
    timings = [files.read_json(path) for path in sorted(paths.TIMINGS.glob("serve-*.json"))]
    said = {name: run.to_json() for name, run in declared.items()}
    files.write(paths.REPORT, page.html(runs, list(claims.values()), said, timings, others).encode())


if __name__ == "__main__":
    errors.run(main)
