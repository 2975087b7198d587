"""What `afm-train fit` is asked for, by the paths of its files, so that any machine that sees these
paths can work on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.schema import Schema
from training.config import Config, NetName
from training.data.files import Data, data_of
from training.data.folds import hold_out_test
from training.data.log import Log
from training.data.read_log import read_log
from training.fit.fit import Fitted, fit, fit_beside, fit_streamed
from training.fit.malloc import keep_freed_memory
from training.fit.material import READERS, Streamed
from training.fit.prepare import check_settings
from training.fit.step.watcher import Watcher
from training.state.checkpoint import CheckpointOptions
from training.state.warm_start import REPLAY_SHARE, WarmStart, completed
from training.stream.asked import check_stream
from training.stream.cache.encoded_log import EncodedLog


@dataclass(frozen=True)
class FitRequest:
    """The options of `afm-train fit`, see docs/cli.md; None where one is not given."""

    data: Data
    schema: Path
    out: Path
    net: NetName | None = None
    valid: Data | None = None
    test: Data | None = None
    test_share: float | None = None
    seed: int = 1
    config: Path | None = None
    drop_field: Sequence[str] = ()
    negatives_rate: float | None = None
    negatives_kept: float | None = None
    start: Path | None = None
    replay: Data | None = None
    replay_share: float | None = None
    optimiser: Path | None = None
    keep_optimiser: bool = False
    checkpointing: CheckpointOptions = field(default_factory=CheckpointOptions)
    stream: bool = False
    readers: int | None = None
    one_pass: bool = False
    device: str | None = None

    def checked(self) -> "CheckedRequest":
        """With its small files read: what can be refused before the logs are read is refused.

        Raises:
            AfmError: a file that cannot be read, or options that do not go together.
        """
        keep_freed_memory()
        schema = Schema.load(self.schema).without(self.drop_field)
        if self.test_share is not None and (self.test is not None or self.test_share == 1):
            raise ConfigError("--test-share: a number below 1, and not beside --test")
        self._check_stream()
        start = self._warm_start(schema)
        config = self._settings(start)
        check_settings(config, schema)
        if start is not None:
            start.check(schema, config)
        return CheckedRequest(self, schema, config, start)

    def absolute(self) -> "FitRequest":
        """With absolute paths, for other processes."""

        def there(given: Any) -> Any:
            if isinstance(given, Path):
                return given.absolute()
            if isinstance(given, Data):
                return given.absolute()
            return given

        return FitRequest(**{name: there(value) for name, value in vars(self).items()})

    def _check_stream(self) -> None:
        check_stream(self.stream, self.readers, {})
        if self.one_pass and not self.stream:
            raise ConfigError("--one-pass: goes with --stream")
        if self.one_pass and self.replay is not None:
            raise ConfigError(
                "--one-pass: not with --replay, whose rows have no place in DATA's order"
            )
        if self.stream and self.test_share is not None:
            raise ConfigError("--stream: not with --test-share; give the rows as --test TEST_LOG")

    def _warm_start(self, schema: Schema) -> WarmStart | None:
        if self.start is None and self.replay is not None:
            raise ConfigError("--replay: goes with --from BUNDLE")
        if self.replay is None and self.replay_share is not None:
            raise ConfigError("--replay-share: goes with --replay OLD_LOG")
        if self.start is None and self.optimiser is not None:
            raise ConfigError("--optimiser: goes with --from BUNDLE")
        if self.start is None:
            return None
        warm = WarmStart.open(self.start)
        if self.optimiser is not None:
            warm = warm.with_optimiser(self.optimiser)
        old = _read(self.replay, schema)
        share = REPLAY_SHARE if self.replay_share is None else self.replay_share
        return warm.with_replay(old, share)

    def _settings(self, warm: WarmStart | None) -> Config:
        config = Config.load(self.config)
        if warm is not None:
            config = warm.config() if self.config is None else completed(config, warm.bundle)
        given = {
            "net": self.net,
            "negatives_rate": self.negatives_rate,
            "negatives_kept": self.negatives_kept,
            "device": self.device,
        }
        return config.model_copy(update={key: value for key, value in given.items() if value})


@dataclass(frozen=True)
class CheckedRequest:
    """A request with its schema, its configuration, and the bundle that it continues, if any.
    `found`: the encoded rows of a log that is streamed, where they were made before.
    """

    request: FitRequest
    schema: Schema
    config: Config
    start: WarmStart | None
    found: EncodedLog | None = None

    def encoded(self, say: Callable[[str], None]) -> "CheckedRequest":
        """With the log encoded, if it is streamed: then `fit` needs none of the time that this
        takes. `say`: for lines about the progress.

        Raises:
            DataError: see `training.stream.encode_log.encoded_log`.
        """
        if not self.request.stream:
            return self
        own = self.request.valid is None
        log = self._streamed(say)
        how = self.config, self.request.seed, self.start
        return replace(self, found=log.encoded(self.schema, *how, holds_out=own))

    def fit(self, watcher: Watcher) -> Fitted:
        """Read the logs and fit; see `training.fit.fit.fit`."""
        asked, (log, valid, test) = self.request, self._logs(watcher)
        if isinstance(log, Streamed):
            return fit_streamed(
                log,
                valid,
                test,
                self.schema,
                self.config,
                asked.out,
                asked.seed,
                watcher,
                self.start,
                asked.checkpointing,
                keep_optimiser=asked.keep_optimiser,
                one_pass=asked.one_pass,
            )
        return fit(
            log,
            valid,
            test,
            self.schema,
            self.config,
            asked.out,
            asked.seed,
            watcher,
            self.start,
            asked.checkpointing,
            keep_optimiser=asked.keep_optimiser,
        )

    def fit_beside(self) -> None:
        """Read the logs and work on a fit that another process writes; see `fit_beside`."""
        asked, (log, valid, test) = self.request, self._logs(Watcher())
        fit_beside(
            log,
            valid,
            test,
            self.schema,
            self.config,
            asked.out,
            asked.seed,
            self.start,
            keep_optimiser=asked.keep_optimiser,
        )

    def summary(self, fitted: Fitted) -> list[str]:
        """What to say of the fit beside its figures, a line each."""
        if self.start is None:
            return []
        return [self.start.summary(fitted.manifest, self.config)]

    def _streamed(self, say: Callable[[str], None]) -> Streamed:
        asked = self.request
        return Streamed(asked.data, asked.readers or READERS, say, self.found)

    def _logs(self, watcher: Watcher) -> tuple[Log | Streamed, Log | None, Log | None]:
        asked = self.request
        log = None if asked.stream else read_log(asked.data, self.schema)
        valid, test = _read(asked.valid, self.schema), _read(asked.test, self.schema)
        if log is None:
            return self._streamed(watcher.said), valid, test
        if asked.test_share is not None:
            log, test = hold_out_test(log, self.schema, asked.test_share, asked.seed)
        return log, valid, test


def _read(data: Data | None, schema: Schema) -> Log | None:
    return None if data is None else read_log(data, schema)


def request_of(
    data: Sequence[Path],
    valid: Sequence[Path] | None,
    test: Sequence[Path] | None,
    replay: Sequence[Path] | None,
    separator: str | None,
    **options: Any,
) -> FitRequest:
    """A request for logs of these files, whose CSV cells are parted by `separator`; `options`: the
    other fields of FitRequest.
    """
    log, held_out, tested, old = (
        data_of(list(paths or ()) or None, separator) for paths in (data, valid, test, replay)
    )
    assert log is not None  # noqa: S101  of an argument that takes one or more
    return FitRequest(log, valid=held_out, test=tested, replay=old, **options)
