"""`afm-train schema` and `afm-train simulate`: what there is before a fit."""

from pathlib import Path
from typing import Annotated

from typer import Option

from training.commands.options import LogFiles, OutFolder, Seed, Separator, data_given


def schema(
    data: LogFiles,
    label: Annotated[str, Option(metavar="NAME", help="The column of clicks, 0 or 1.")],
    out: Annotated[Path, Option(metavar="FILE", help="The schema file to write.")],
    drop: Annotated[
        list[str] | None, Option(metavar="COLUMN", help="A column to leave out; may be repeated.")
    ] = None,
    weight: Annotated[
        str | None, Option(metavar="COLUMN", help="The column with the weights of the rows.")
    ] = None,
    group: Annotated[
        str | None, Option(metavar="COLUMN", help="The column with the request or the user.")
    ] = None,
    time: Annotated[
        str | None, Option(metavar="COLUMN", help="The column with the time of a row.")
    ] = None,
    separator: Separator = None,
) -> None:
    """Draft a schema from a log."""
    from training.draft.draft_schema import write_draft

    columns = {"weight": weight, "group": group, "time": time}
    print(write_draft(data_given(data, separator), label, out, drop=drop or (), **columns))


def simulate(
    out: OutFolder,
    rows: Annotated[int, Option(metavar="N", help="At least 100.")] = 200_000,
    seed: Seed = 1,
    unseen: Annotated[
        float, Option(metavar="SHARE", help="The share of test rows with a new ad or a new user.")
    ] = 0.05,
) -> None:
    """Draw an ad log with planted pair effects."""
    from training.simulate.simulation import write_simulation

    write_simulation(out, rows, seed, unseen)
    print(f"{out}: train.parquet, test.parquet, schema.toml, truth.json")
