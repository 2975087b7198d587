"""`afm-train whatif`: the explain page as one file, with a bundle's net in it."""

from pathlib import Path
from typing import Annotated

from typer import Option

from training.commands.options import BundleFolder, at_least


def whatif(
    bundle: BundleFolder,
    out: Annotated[Path, Option(metavar="FILE", help="The page: HTML, in one file.")],
    mb: Annotated[
        float,
        Option(
            parser=at_least("--mb", float, 0.1),
            metavar="N",
            help="Its largest size; large vocabularies are cut to fit.",
        ),
    ] = 2.0,
) -> None:
    """Write the explain page as one file that opens from a disk and scores by itself."""
    from training.export.what_if_file import write_what_if

    written = write_what_if(bundle, out, round(1e6 * mb))
    for name, (few, whole) in written.cut.items():
        print(f"{name}: cut to the {few:,} most frequent of {whole:,} values")
    print(f"{out}: {written.size / 1e6:.2f} MB, open it in a browser")
