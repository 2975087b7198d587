"""`afm-serve`: runs the service, and publishes, lists and switches versions."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from model.command import run
from service.errors import SettingsError, StoreError
from service.settings import Settings
from service.store.active_notes import remember
from service.store.embedded_redis import EmbeddedRedis

if TYPE_CHECKING:
    from service.store.version_store import VersionStore
    from service.versions.publish import Published

MOST_DAYS = 36_500.0
WAIT_SECONDS = 10.0  # a worker with traffic takes some seconds to judge a version


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 2 for a fault of the user, 3 for no Redis, 4 for a
    version that is active and refused by workers.
    """
    return run(_parser(), argv)


# Each command imports what it needs, so that `versions` does without onnxruntime.


def _run(arguments: argparse.Namespace) -> None:
    from service.http.server import serve

    settings = Settings.load(
        host=arguments.host, port=arguments.port, workers=arguments.workers, model=arguments.model
    )
    with _redis(settings) as address:
        serve(settings, address)


def _publish(arguments: argparse.Namespace) -> None:
    from service.store.bundle_store import BundleStore
    from service.versions.gate.publish_gate import Gate
    from service.versions.prune import prune
    from service.versions.publish import publish

    if not arguments.wait >= 0:
        raise SettingsError(f"--wait {arguments.wait:g}: seconds, 0 or more")
    settings = Settings.load(model=arguments.model)
    with _store(settings) as store:
        bundles = BundleStore(settings.bundle_directory)
        # what nobody is answered by yet is told its faults, and not refused
        force = arguments.force or not arguments.activate
        gate = Gate(settings.gate_calibration, arguments.on, force, settings.gate_loss)
        done = publish(
            arguments.bundle,
            store,
            bundles,
            activate=arguments.activate,
            force=arguments.force,
            gate=gate,
            live_above=settings.live_above,
        )
        _say_published(done, settings.model)
        if done.active and arguments.wait > 0:
            _wait(store, done.record.version, arguments.wait)
        if settings.keep_versions is not None:
            for version in prune(store, bundles, settings.keep_versions):
                print(f"  {version} is removed")


def _say_published(done: "Published", model: str) -> None:
    version, net = done.record.version, done.record.net
    what = "was published before" if done.again else "published"
    state = "is active" if done.active else f"not active: afm-serve activate {version}"
    print(f"{version} ({net}) {what} as model {model!r}; {state}")
    for line in done.saw:
        print(f"  {'although: ' if line in done.faults else ''}{line}")


def _wait(store: "VersionStore", version: str, seconds: float) -> None:
    from service.store.refusal_board import RefusalBoard
    from service.versions.rollout import wait_for_workers

    sys.stdout.flush()  # what was done stands there while the workers are waited for
    found = wait_for_workers(RefusalBoard(store), version, seconds)
    for line in found.lines(seconds):
        print(f"  {line}")
    found.require_not_refused()


def _key(arguments: argparse.Namespace) -> None:
    from service.http.access.api_keys import make_key

    path = Settings.load().api_keys
    if path is None:
        raise SettingsError("AFM_API_KEYS: names no file to keep the key's hash in")
    print(make_key(path, arguments.name, arguments.rights.split(",")))
    print(f"afm-serve: {path} holds its hash; the key itself is shown this once", file=sys.stderr)


def _versions(arguments: argparse.Namespace) -> None:
    settings = Settings.load(model=arguments.model)
    with _store(settings) as store:
        active, records = store.active(), store.versions()
        refused = _refused(store)
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


def _prune(arguments: argparse.Namespace) -> None:
    from service.store.bundle_store import BundleStore
    from service.versions.prune import prune

    if arguments.keep < 0 or not 0 <= arguments.older_than <= MOST_DAYS:
        raise SettingsError("--keep and --older-than: 0 or more")
    settings = Settings.load(model=arguments.model)
    with _store(settings) as store:
        bundles = BundleStore(settings.bundle_directory)
        removed = prune(store, bundles, arguments.keep, timedelta(days=arguments.older_than))
    for version in removed:
        print(f"{version} is removed")
    if not removed:
        print("nothing to remove")


def _refused(store: "VersionStore") -> list[str]:
    from service.store.refusal_board import RefusalBoard
    from service.versions.rollout import refusal_lines

    try:
        lines = refusal_lines(RefusalBoard(store).told())
    except StoreError as error:
        return [f"whether a worker refuses the active version is not known: {error}"]
    return lines + [
        f"{one.version} was refused by live traffic ({one.code}) and stays so until it is forced: "
        f"{one.reason}"
        for one in store.refused().values()
    ]


def _activate(arguments: argparse.Namespace) -> None:
    settings = Settings.load(model=arguments.model)
    with _store(settings) as store:
        store.activate(arguments.version, force=arguments.force)
    remember(settings.bundle_directory / settings.model, arguments.version)
    how = ", unjudged by recent requests" if arguments.force else ""
    print(f"{arguments.version} is active as model {settings.model!r}{how}")


def _rollback(arguments: argparse.Namespace) -> None:
    settings = Settings.load(model=arguments.model)
    with _store(settings) as store:
        version = store.rollback()
    remember(settings.bundle_directory / settings.model, version)
    print(f"{version} is active again as model {settings.model!r}")


@contextmanager
def _store(settings: Settings) -> Iterator["VersionStore"]:
    from service.store.version_store import VersionStore

    with _redis(settings) as address:
        store = VersionStore(address, settings.model, settings.redis_timeout_ms / 1000)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _redis(settings: Settings) -> Iterator[str | Path]:
    if settings.redis is not None:
        yield settings.redis
        return
    with EmbeddedRedis(settings.home) as embedded:
        yield embedded.url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="afm-serve",
        description="Serve click probabilities; settings also as AFM_* variables.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--model", metavar="NAME", help="default: AFM_MODEL, else 'default'")

    run = commands.add_parser("run", parents=[model], help="serve until told to stop")
    run.add_argument("--host", help="address to listen on (127.0.0.1)")
    run.add_argument("--port", help="port to listen on (8000)")
    run.add_argument("--workers", help="processes that serve (1)")
    run.set_defaults(run=_run)

    publish = commands.add_parser(
        "publish", parents=[model], help="publish a bundle and make it the active version"
    )
    publish.add_argument("bundle", type=Path, metavar="BUNDLE")
    publish.add_argument("--no-activate", dest="activate", action="store_false")
    publish.add_argument(
        "--on", type=Path, metavar="FILE", help="labelled rows to compare on, as validation.jsonl"
    )
    publish.add_argument(
        "--force", action="store_true", help="publish what is worse than the active version"
    )
    publish.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help="for the workers' verdict; status 4 where they refuse it (default: %(default)g)",
    )
    publish.add_argument("--no-wait", dest="wait", action="store_const", const=0.0)
    publish.set_defaults(run=_publish)

    versions = commands.add_parser("versions", parents=[model], help="list published versions")
    versions.set_defaults(run=_versions)

    activate = commands.add_parser("activate", parents=[model], help="make a version active")
    activate.add_argument("version", metavar="VERSION")
    activate.add_argument("--force", action="store_true", help="whatever recent requests say of it")
    activate.set_defaults(run=_activate)

    rollback = commands.add_parser(
        "rollback", parents=[model], help="back to the version that was active before"
    )
    rollback.set_defaults(run=_rollback)

    prune = commands.add_parser(
        "prune", parents=[model], help="remove old versions that nobody answers by"
    )
    prune.add_argument("--keep", type=int, default=10, metavar="N", help="of the latest (10)")
    prune.add_argument(
        "--older-than", type=float, default=0.0, metavar="DAYS", help="no younger ones (0)"
    )
    prune.set_defaults(run=_prune)

    key = commands.add_parser("key", help="make an API key, kept as a hash in AFM_API_KEYS")
    key.add_argument("name", metavar="NAME", help="who gets it")
    key.add_argument("--rights", default="predict", help="some of predict,explain,admin (predict)")
    key.set_defaults(run=_key)
    return parser


if __name__ == "__main__":
    sys.exit(main())
