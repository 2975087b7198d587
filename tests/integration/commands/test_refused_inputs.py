"""Two tables of what a command refuses with one line, and leaves nothing of: a damaged bundle, and
a log of one class.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from model.bundle.bundle import Bundle
from service.cli import main as afm_serve
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main as afm_train


@pytest.fixture
def home(tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log, its part without a click, its schema, and a bundle of its own."""
    rows = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in tiny_rows(300)
    ]
    log = pl.DataFrame(rows, infer_schema_length=None)
    log.write_csv(tmp_path / "log.csv")
    for click in (0, 1):
        log.filter(pl.col("click") == click).write_csv(tmp_path / f"only-{click}.csv")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text('net = "lr"\n[fit]\nepochs = 1\n')
    shutil.copytree(tiny_bundle.directory, tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFM_HOME", str(tmp_path / "afm"))
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], home: Path, command: str, *says: str) -> None:
    """The command's words end it with status 2, one line on stderr, and no file of its own."""
    before = sorted(path.name for path in home.iterdir() if path.name != "afm")
    words = command.split()
    main = {"afm-train": afm_train, "afm-serve": afm_serve}[words[0]]
    assert main(words[1:]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith(f"{words[0]}: ")
    assert [part for part in says if part not in printed.err] == [], printed.err
    assert sorted(path.name for path in home.iterdir() if path.name != "afm") == before


def changed(bundle: Path) -> None:
    path = bundle / "weights.bin"
    path.write_bytes(b"\x01" + path.read_bytes()[1:])


def emptied(bundle: Path) -> None:
    (bundle / "weights.bin").write_bytes(b"")


def without_a_file(bundle: Path) -> None:
    (bundle / "schema.toml").unlink()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte changed": (changed, "weights.bin: damaged"),
    "a file emptied": (emptied, "weights.bin: 0 bytes"),
    "a file missing": (without_a_file, "schema.toml"),
    "no directory": (lambda bundle: shutil.rmtree(bundle), "bundle: not a bundle"),
}
FIT = "--schema schema.toml --config fast.toml --out out"


@pytest.mark.parametrize(("harm", "says"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(
    "command",
    [
        "afm-train evaluate bundle log.csv",
        "afm-train predict bundle log.csv --out out.csv",
        "afm-train fit log.csv --schema schema.toml --from bundle --out out",
        "afm-train whatif bundle --out out.html",
        "afm-serve publish bundle",
    ],
)
def test_damaged_bundle_is_refused_by_every_command_that_reads_one(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    harm: Callable[[Path], None],
    says: str,
) -> None:
    harm(home / "bundle")
    refused(capsys, home, command, says)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize(
    "command",
    [
        f"afm-train fit LOG {FIT}",
        f"afm-train fit log.csv --valid LOG {FIT}",
        f"afm-train fit log.csv --test LOG {FIT}",
        f"afm-train compare LOG {FIT} --nets lr --seeds 1",
        f"afm-train tune LOG {FIT} --trials 1",
        f"afm-train folds LOG {FIT} --folds 2",
        "afm-train evaluate bundle LOG",
    ],
)
def test_log_of_one_class_is_refused_by_every_command_that_needs_two(
    home: Path, capsys: pytest.CaptureFixture[str], command: str, label: int
) -> None:
    log = f"only-{label}.csv"
    refused(
        capsys,
        home,
        command.replace("LOG", log),
        "both classes, 0 and 1",
        f"all labels are {label}",
    )
