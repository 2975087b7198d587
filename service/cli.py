"""`afm-serve`: runs the service, and publishes, lists and switches versions."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.command import command_line, epilog, run_command
from service.errors import SettingsError

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.version_store import VersionStore
    from service.versions.publish import Published

MOST_DAYS = 36_500.0
WAIT_SECONDS = 10.0  # a worker with traffic takes some seconds to judge a version

app = command_line(
    "Serve click probabilities. Settings are read from AFM_* variables; options win.",
    "afm-serve publish bundle",
    "afm-serve run --workers 2",
)

Model = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The model; default: AFM_MODEL, else 'default'."),
]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page as well.")]
Port = Annotated[str | None, typer.Option(help="Port to listen on; default: AFM_PORT.")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 2 for a mistake of the user, 3 where Redis does not
    answer, 4 for a version that is active and refused by workers.
    """
    return run_command(app, "afm-serve", argv)


# Each command imports what it needs: `--help` comes at once, and `versions` without onnxruntime.
# The options of `run` are settings: their types and ranges are checked with those.


@app.command(epilog=epilog("afm-serve run", "afm-serve run --host 0.0.0.0 --workers 4"))
def run(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: AFM_HOST.")
    ] = None,
    port: Port = None,
    workers: Annotated[
        str | None, typer.Option(help="Processes that serve; default: AFM_WORKERS.")
    ] = None,
    artf: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Answer ARTF over gRPC at HOST:PORT as well."),
    ] = None,
    model: Model = None,
) -> None:
    """Serve until a signal ends it."""
    from service.http.server import serve

    settings = _settings(host=host, port=port, workers=workers, artf=artf, model=model)
    with _redis(settings) as address:
        serve(settings, address)


@app.command(
    epilog=epilog(
        "afm-serve publish bundle",
        "afm-serve publish bundle --on labelled.jsonl --wait 30",
        "afm-serve publish bundle --no-activate",
    )
)
def publish(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The directory of a bundle.")],
    no_activate: Annotated[
        bool, typer.Option("--no-activate", help="Publish it and leave the active version.")
    ] = False,
    on: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labelled rows to compare on, as validation.jsonl."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Publish it even if it is worse than the active version."),
    ] = False,
    wait: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="Wait for the workers' verdict; status 4 if they refuse it.",
        ),
    ] = WAIT_SECONDS,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="The same as --wait 0.")] = False,
    model: Model = None,
) -> None:
    """Publish a bundle and make it the active version."""
    from service.store.bundle_store import BundleStore
    from service.versions.gate.publish_gate import PublishGate
    from service.versions.prune import prune
    from service.versions.publish import publish

    settings = _settings(model=model)
    with _store(settings) as store:
        bundles = BundleStore(settings.bundle_directory)
        gate = PublishGate(
            settings.gate_max_calibration_ratio,
            on,
            # faults of a version that no caller gets answers of yet are shown and do not refuse it
            force or no_activate,
            settings.gate_max_loss_increase,
        )
        done = publish(
            bundle,
            store,
            bundles,
            activate=not no_activate,
            force=force,
            gate=gate,
            remote_fields_above=settings.remote_fields_above,
        )
        _print_published(done, settings.model)
        if done.active and wait > 0 and not no_wait:
            _wait(store, done.record.version, wait)
        if settings.keep_versions is not None:
            for version in prune(store, bundles, settings.keep_versions):
                print(f"  {version} is removed")


@app.command(epilog=epilog("afm-serve versions", "afm-serve versions --model shop"))
def versions(model: Model = None) -> None:
    """List the published versions, and which workers refuse."""
    from service.versions.rollout import refused_lines

    settings = _settings(model=model)
    with _store(settings) as store:
        active, records = store.active(), store.versions()
        refused = refused_lines(store)
    if not records:
        print(f"nothing is published as model {settings.model!r}")
        return
    rows = [("", "version", "net", "created", "published")]
    rows += [
        ("*" if r.version == active else "", r.version, r.net, r.created, r.published)
        for r in records
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    for line in refused:
        print(line)


@app.command(epilog=epilog("afm-serve activate 20261128T101500-1f2e3d4c"))
def activate(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A version that `versions` lists.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Skip the judgement by recent requests.")
    ] = False,
    model: Model = None,
) -> None:
    """Make a published version the active one."""
    from service.store.active_notes import write_note

    settings = _settings(model=model)
    with _store(settings) as store:
        store.activate(version, force=force)
    write_note(settings.bundle_directory / settings.model, version)
    how = ", unjudged by recent requests" if force else ""
    print(f"{version} is active as model {settings.model!r}{how}")


@app.command(epilog=epilog("afm-serve rollback"))
def rollback(model: Model = None) -> None:
    """Make the version active that was active before."""
    from service.store.active_notes import write_note

    settings = _settings(model=model)
    with _store(settings) as store:
        version = store.rollback()
    write_note(settings.bundle_directory / settings.model, version)
    print(f"{version} is active again as model {settings.model!r}")


@app.command(epilog=epilog("afm-serve prune", "afm-serve prune --keep 5 --older-than 30"))
def prune(
    keep: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many of the latest versions to keep.")
    ] = 10,
    older_than: Annotated[
        float,
        typer.Option(min=0.0, max=MOST_DAYS, metavar="DAYS", help="Remove only older versions."),
    ] = 0.0,
    model: Model = None,
) -> None:
    """Remove old versions that are not in use."""
    from service.store.bundle_store import BundleStore
    from service.versions.prune import prune

    settings = _settings(model=model)
    with _store(settings) as store:
        bundles = BundleStore(settings.bundle_directory)
        removed = prune(store, bundles, keep, timedelta(days=older_than))
    for version in removed:
        print(f"{version} is removed")
    if not removed:
        print("nothing to remove")


@app.command(epilog=epilog("afm-serve key shop", "afm-serve key console --rights predict,explain"))
def key(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name of the caller that gets the key.")
    ],
    rights: Annotated[
        str, typer.Option(help="Some of predict,explain,admin.", metavar="RIGHTS")
    ] = "predict",
) -> None:
    """Make an API key, and keep its hash in the file AFM_API_KEYS."""
    from service.http.access.api_keys import make_key

    path = _settings().api_keys
    if path is None:
        raise SettingsError("AFM_API_KEYS: names no file to keep the key's hash in")
    print(make_key(path, name, rights.split(",")))
    print(f"afm-serve: {path} holds its hash; the key itself is shown this once", file=sys.stderr)


@app.command(epilog=epilog("afm-serve demo", "afm-serve demo --port 9000 --no-browser"))
def demo(port: Port = None, browser: Browser = True) -> None:
    """Open the explain page on a made-up model.

    No Redis of your own is needed.
    """
    from service.demo import demonstrate

    demonstrate(port, browser=browser)


def _print_published(done: "Published", model: str) -> None:
    version, net = done.record.version, done.record.net
    what = "was published before" if done.again else "published"
    state = "is active" if done.active else f"not active: afm-serve activate {version}"
    print(f"{version} ({net}) {what} as model {model!r}; {state}")
    for line in done.saw:
        print(f"  {'although: ' if line in done.faults else ''}{line}")


def _wait(store: "VersionStore", version: str, seconds: float) -> None:
    from service.store.refusal_board import RefusalBoard
    from service.versions.rollout import wait_for_workers

    sys.stdout.flush()  # what was done is shown while the workers are waited for
    found = wait_for_workers(RefusalBoard(store), version, seconds)
    for line in found.lines(seconds):
        print(f"  {line}")
    found.require_not_refused()


def _settings(**chosen: str | None) -> "Settings":
    from service.settings import Settings

    return Settings.load(**chosen)


@contextmanager
def _store(settings: "Settings") -> Iterator["VersionStore"]:
    from service.store.version_store import VersionStore

    with _redis(settings) as address:
        store = VersionStore(address, settings.model)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _redis(settings: "Settings") -> Iterator[str | Path]:
    from service.store.embedded_redis import EmbeddedRedis

    if settings.redis is not None:
        yield settings.redis
        return
    with EmbeddedRedis(settings.home) as embedded:
        yield embedded.url


if __name__ == "__main__":
    sys.exit(main())
