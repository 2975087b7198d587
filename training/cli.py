"""`afm-train`: the offline commands. Results go to stdout, progress and errors to stderr."""

import sys
from collections.abc import Callable, Sequence

from model.command import command_line, epilog, run_command
from training.commands.fit_command import fit
from training.commands.log_commands import schema, simulate
from training.commands.net_commands import compare, folds, tune
from training.commands.score_commands import evaluate, predict
from training.commands.what_if_command import whatif

EXAMPLES: dict[Callable[..., None], list[str]] = {
    schema: ["afm-train schema log.csv --label click --drop impression_id --out schema.toml"],
    simulate: ["afm-train simulate --rows 200000 --seed 1 --out simulated"],
    fit: [
        "afm-train fit log.csv --schema schema.toml --test test.csv --out bundle",
        "afm-train fit today.csv --schema schema.toml --from bundle --out bundle-today",
    ],
    evaluate: ["afm-train evaluate bundle test.csv --by device"],
    predict: ["afm-train predict bundle test.csv --out scores.parquet --keep impression_id"],
    whatif: ["afm-train whatif bundle --out whatif.html"],
    compare: [
        "afm-train compare log.csv --schema schema.toml --nets fm,afm,afm+ --out compared",
    ],
    folds: ["afm-train folds log.csv --schema schema.toml --net fm --folds 5 --out folded"],
    tune: ["afm-train tune log.csv --schema schema.toml --net afm --minutes 30 --out tuned"],
}

app = command_line(
    "Train and evaluate AFM models.",
    EXAMPLES[schema][0],
    EXAMPLES[fit][0],
    EXAMPLES[evaluate][0],
)
for command, examples in EXAMPLES.items():
    app.command(epilog=epilog(*examples))(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    return run_command(app, "afm-train", argv, "interrupted, nothing written")


if __name__ == "__main__":
    sys.exit(main())
