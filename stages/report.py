"""report: figures, pictures and manifests of all declared runs, and the table of claims -> one offline page."""

from gan_core import config, errors, files, report
from stages import paths


def main() -> None:
    runs = [report.Facts.read(name, paths.report(name), paths.exported(name)) for name in config.load().runs]
    claims = files.read_json(paths.CLAIMS) if paths.CLAIMS.is_file() else {}
    files.write(paths.REPORT, report.html(runs, list(claims.values())).encode())


if __name__ == "__main__":
    errors.run(main)
