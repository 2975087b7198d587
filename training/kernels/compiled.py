"""What compiles the kernels: Numba, where it can be imported, with its code kept on disk.

Compiled code lies in ctr-afm/kernels of the user's cache directory, by version of the source and of
Numba and by processor, so that a machine compiles once; NUMBA_CACHE_DIR names another directory.
Where it cannot be written, each process compiles anew.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numpy.typing import NDArray

from training.cache_home import cache_home
from training.cores import cores

try:
    import numba
    from numba.core import event
except ImportError:  # no wheel for this Python or processor: the plain nets do without
    numba = None  # type: ignore[assignment]  # what is asked before it is used

Function = TypeVar("Function", bound=Callable[..., Any])

LANES = 64  # rows that a loop goes over at once
GROUP = 8  # pairs whose lanes lie side by side: longer loops, at the same rows a block
WIDTH = GROUP * LANES
# sums may be reordered, which is what makes vectors of the loops; NaN and infinity stay what they
# are, since the training loop looks for them
FAST_MATH = {"reassoc", "nsz", "contract", "arcp"}
ANNOUNCED = "compiling kernels, once, about 20 s"


def compiled(function: Function) -> Function:
    """The function as machine code, compiled when it is first called; without Numba, as it is."""
    if numba is None:
        return function
    # inlined, a kernel is one piece of code. A call that stays is bound to the callee's own code in
    # the process that compiles, and to the copy in its caller's file in one that reads it from
    # disk: two optimised forms, whose sums differ in the last bit
    jit = numba.njit(
        nogil=True,
        cache=_keeps_code(),
        fastmath=FAST_MATH,
        error_model="numpy",
        forceinline=True,
    )
    return cast(Function, jit(function))


if numba is None:

    def fetch_ahead(table: NDArray[Any], row: int) -> None:
        """Nothing."""

else:
    from llvmlite import ir  # type: ignore[import-untyped]  # has none
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def fetch_ahead(context: Any, table: Any, row: Any) -> Any:  # noqa: ARG001  Numba's interface
        """Have the processor load where table[row] begins, and go on: what is read a while later
        is in its caches then (LLVM's llvm.prefetch). The row must be one of the table's.
        """

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            stride = builder.extract_value(array.strides, 0)
            byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            place = builder.bitcast(array.data, byte)
            place = builder.gep(place, [builder.mul(arguments[1], stride)])
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            prefetch = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
            read, keep, data = number(0), number(3), number(1)
            builder.call(prefetch, [place, read, keep, data])
            return context.get_dummy_value()

        return types.void(table, types.int64), generate


def can_compile() -> bool:
    """Whether there is a Numba."""
    return numba is not None


@cache
def _keeps_code() -> bool:
    # whether there is a directory for compiled code; Numba is shown it. Numba itself looks
    # only at the file of a function, and not at those whose functions it calls
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    try:
        given = os.environ.get("NUMBA_CACHE_DIR")
        directory = (Path(given) if given else cache_home() / "kernels") / digest
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or none that can be written
        return False
    numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]  # set when imported
    return os.access(directory, os.W_OK)


@contextmanager
def announcing(say: Callable[[str], None]) -> Iterator[None]:
    """Say ANNOUNCED, once, if anything is compiled within; code found on disk is not compiled."""
    if numba is None:
        yield
        return

    class Announcer(event.Listener):
        said = False

        def on_start(self, event: object) -> None:  # noqa: ARG002  Numba's interface
            if not self.said:
                self.said = True
                say(ANNOUNCED)

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Announcer()):
        yield


def on_all_cores(work: Callable[[int], None], parts: Sequence[int]) -> None:
    """Call `work` with each of `parts`, on a thread for each core; compiled code holds no
    interpreter lock, so they run at the same time.
    """
    if len(parts) == 1:
        work(parts[0])
        return
    list(_threads(cores()).map(work, parts))


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "kernel")
