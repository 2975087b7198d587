"""Prints how much of each folder the tests ran: python coverage_by_folder.py REPORT.json"""

import json
import sys
from collections import Counter
from pathlib import Path

COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def by_folder(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> dict[str, Counter[str]]:
    """The counts of coverage's JSON report, summed over the files of each folder, and of all."""
    folders: dict[str, Counter[str]] = {}
    for file, measured in sorted(report["files"].items()):
        counts = Counter({name: measured["summary"][name] for name in COUNTS})
        for folder in (str(Path(file).parent), "all"):
            folders.setdefault(folder, Counter()).update(counts)
    return folders


def share(part: int, whole: int) -> str:
    """A percentage, or a dash where there is nothing to run."""
    return f"{100 * part / whole:.1f}" if whole else "-"


def main() -> None:
    """Print the table."""
    folders = by_folder(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    whole = folders.pop("all")
    print(f"{'folder':32}{'statements %':>14}{'branches %':>12}")
    for folder, counts in [*folders.items(), ("all", whole)]:
        statements = share(counts["covered_lines"], counts["num_statements"])
        branches = share(counts["covered_branches"], counts["num_branches"])
        print(f"{folder:32}{statements:>14}{branches:>12}")


if __name__ == "__main__":
    main()
