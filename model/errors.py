"""Every error that a user of the model can cause. The text of each is one clear line.

AfmError
├── SchemaError    the schema file: names file, key and value
├── ConfigError    the training configuration
├── DataError      a click log that cannot be used
├── InputError     one row that cannot be encoded: names row and field, has a stable code
├── BundleError    a bundle that is damaged or refused: names the file, has a stable code
└── ParityError    an exported graph that does not agree with the net it came from

>>> reason(FileNotFoundError(2, "No such file or directory", "log.csv"))
'No such file or directory'
"""


class AfmError(Exception):
    """Base of all; `exit_code` is what a command returns when it ends with this error."""

    exit_code = 2


class SchemaError(AfmError):
    """A schema that cannot be read or does not make sense."""


class ConfigError(AfmError):
    """A training configuration that cannot be read or does not make sense."""


class DataError(AfmError):
    """Training or evaluation data that cannot be used."""


class InputError(AfmError):
    """A row that cannot be encoded.

    `code` is stable and meant for programs; `row` counts from 0 in the order asked, or is None
    where the fault is not in one row; `field` is the schema's name for the field, or None.
    """

    def __init__(
        self, code: str, message: str, *, row: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.row = row
        self.field = field


class BundleError(AfmError):
    """A bundle that is damaged, incomplete, of another format, or refused for safety.

    `code` is stable, and says in a word what is wrong with it; counts of refusals go by it.
    """

    def __init__(self, message: str, code: str = "bundle") -> None:
        super().__init__(message)
        self.code = code


class ParityError(AfmError):
    """A graph whose scores differ from those of the net it was exported from."""


def reason(error: Exception) -> str:
    """Why a file could not be read or written, in the system's words; polars' errors have them only
    in their text.
    """
    text = getattr(error, "strerror", None) or str(error).partition(" (os error")[0]
    return text.rpartition(": ")[2] or type(error).__name__
