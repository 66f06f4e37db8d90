"""A program under test, batch by batch."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dstreams import StreamingContext
from dstreams.duration import to_milliseconds
from dstreams.errors import DStreamStateError, DStreamValueError
from dstreams.testing.environment import ManualEnvironment
from dstreams.testing.failures import BatchFailed, ProgramFailed, place_of
from dstreams.testing.program import ProgramThread, as_function, returned_streams, takes_context
from dstreams.testing.result import BatchResult

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark import SparkContext
    from typing_extensions import Self

    from dstreams._run.query import Query
    from dstreams.testing.clock import ManualClock

__all__ = ["StreamTest"]

_START = datetime(2000, 1, 1)
_NO_CLOCK = "Time does not pass by itself in a test: use advance() instead of waiting for it."


class StreamTest:
    """Run a program on inputs that are given batch by batch; a context manager that ends it.

    Parameters
    ----------
    sc : pyspark.SparkContext
        Where to run it.
    program : callable or str or Path
        A function of a StreamingContext that defines streams and outputs, and may return streams (a DStream, a list or
        a dict of them) for the test to look at as well; or a function without arguments that makes the
        StreamingContext, as for ``getOrCreate``; or one, or the file of a program, that does everything up to
        ``awaitTermination()``.
        Sockets, files and other sources are not opened: the test gives their records.
    interval : float
        Batch interval in seconds, for the first kind.
    inputs : mapping of str to str, optional
        Names for inputs: a part of what the program calls the source, such as ``{"lines": "localhost:9999"}``, or the
        name that ``.named()`` gave it. Without, an input has its name, or that of its operation
        (``socketTextStream``). A queueStream that is not named here goes on with its own elements.
    args : sequence of str
        Arguments of a program file.
    checkpoint : bool
        For the first kind: make the context with ``getOrCreate``, so that the program goes on after :meth:`restart`.
    timeout : float
        Seconds that a batch may take, and twice of it the start.
    start : datetime
        Time of day at the start.

    Raises
    ------
    ProgramFailed
        If the program raises, or does not start a context.
    DStreamStateError
        If another context is running in this process.

    Notes
    -----
    Directories that the program names for checkpoints are temporary ones in a test. Batch times are contiguous and the
    same in every run.
    """

    def __init__(
        self,
        sc: SparkContext,
        program: Callable[..., Any] | str | Path,
        *,
        interval: float = 1,
        inputs: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
        checkpoint: bool = False,
        timeout: float = 60,
        start: datetime = _START,
    ) -> None:
        if (running := StreamingContext.getActive()) is not None:
            raise DStreamStateError.other_active(running._started_at)
        self._sc = sc
        self._args = args
        self._take(program)
        to_milliseconds(interval, "interval")
        self._interval = interval
        self._checkpoint = checkpoint
        self._timeout = timeout
        self._root = tempfile.mkdtemp(prefix="dstreams-test-")
        now_ms = int(start.timestamp() * 1000)
        self._environment = ManualEnvironment(
            self._root, inputs or {}, sc.defaultParallelism, now_ms, own_state=self._given
        )
        self._changed = threading.Condition()
        self._thread: ProgramThread | None = None
        self._ssc: StreamingContext | None = None
        self._crashed = False
        self.batches: list[BatchResult] = []
        try:
            self._launch()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ what a test does

    def batch(self, *records: Sequence[Any], **inputs: Sequence[Any]) -> BatchResult:
        """Run one batch.

        Parameters
        ----------
        *records : list
            Records of the program's only input.
        **inputs : list
            Records by the name of the input; an input that is not named gets none. A program with one input takes any
            name.

        Returns
        -------
        BatchResult
            What each output got.

        Raises
        ------
        BatchFailed
            If the program raised.
        ProgramFailed
            If it has ended, or the batch takes too long.
        """
        given = self._resolve(records, inputs)
        self._check_running()
        return self._run(self._clock.next_ms, given)

    def advance(self, seconds: float, late: bool = False) -> list[BatchResult]:
        """Let time pass without records.

        Parameters
        ----------
        seconds : float
            A multiple of the batch interval.
        late : bool
            One batch at the end of that time instead of one for each interval, as when the program was busy.

        Returns
        -------
        list of BatchResult
            The batches that came.
        """
        self._check_running()
        clock = self._clock
        passed_ms = to_milliseconds(seconds, "seconds")
        if passed_ms % clock.interval_ms:
            raise DStreamValueError(
                f"advance: {seconds} s is no multiple of the program's batch interval of {clock.interval_ms / 1000:g} s"
            )
        count = passed_ms // clock.interval_ms
        if late:
            return [self._run(clock.next_ms + (count - 1) * clock.interval_ms, {})]
        return [self.batch() for _ in range(count)]

    def crash(self, *records: Sequence[Any], **inputs: Sequence[Any]) -> BatchResult | None:
        """End the program as a crash of its driver would.

        Parameters
        ----------
        *records, **inputs : list
            As for :meth:`batch`. With records the crash comes in that batch, when its outputs have run and before it is
            committed: after :meth:`restart` it is run again.

        Returns
        -------
        BatchResult or None
            What the outputs of the batch got before the crash.

        Notes
        -----
        The program's query ends, with all that its engine had in memory. Objects of the test's process, such as global
        variables, live on.
        """
        result = None
        self._check_running()
        if records or inputs:
            self._environment.crashing = True
            try:
                result = self._run(self._clock.next_ms, self._resolve(records, inputs))
            finally:
                self._environment.crashing = False
        self._crashed = True
        self._end()
        return result

    def restart(self, program: Callable[..., Any] | str | Path | None = None) -> BatchResult | None:
        """Start the program again, after :meth:`crash` or when it has stopped.

        Parameters
        ----------
        program : callable or str or Path, optional
            Another version of it.

        Returns
        -------
        BatchResult or None
            The batch that was run again, if one was under way at the crash.

        Raises
        ------
        DStreamStateError
            If the program would begin with nothing, since it names no checkpoint directory.
        """
        if self._ssc is not None and self._ssc._checkpoint is None:
            raise DStreamStateError(
                "restart: the program names no checkpoint directory, so it would begin with nothing. Let it use "
                "StreamingContext.getOrCreate, or give stream_test(..., checkpoint=True)."
            )
        self._end()
        if program is not None:
            self._take(program)
        if self._environment.manual_clock is not None:
            self._environment.now_ms = self._environment.manual_clock.last_ms or self._environment.now_ms
        self._launch()
        pending = self._clock.pending_ms
        return None if pending is None else self._result_of(pending)

    @property
    def stopped(self) -> bool:
        """True when the program has stopped its context."""
        return self._ssc is None or self._ssc._builder.stopped or self._query.finished

    def close(self) -> None:
        """End the program."""
        self._end()
        shutil.rmtree(self._root, ignore_errors=True)

    # ------------------------------------------------------------------ the program

    def _take(self, program: Callable[..., Any] | str | Path) -> None:
        self._function = as_function(program, self._args)
        self._given = takes_context(self._function)

    def _launch(self) -> None:
        self._crashed = False
        function = self._with_context if self._given else self._function
        self._thread = ProgramThread(self._sc, self._environment, function, self._changed)
        self._thread.start()
        deadline = time.monotonic() + 2 * self._timeout
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._thread is not None and self._thread.ended, 0.02)
            active = StreamingContext.getActive()
            if active is not None and active._signals is not None:
                self._ssc = active
                if active._environment is not self._environment:
                    raise ProgramFailed(
                        "the program makes its StreamingContext in a thread of its own, where it meets the real clock "
                        "and sources: make it in the thread that runs the program"
                    )
                return
            if self._thread.ended:
                raise self._not_started(self._thread.error)
            if time.monotonic() > deadline:
                raise ProgramFailed(
                    f"the program has not started its context within {2 * self._timeout:g} s; it is at "
                    f"{place_of(self._thread) or 'an unknown place'}. {_NO_CLOCK}"
                )

    def _with_context(self) -> StreamingContext:
        """Call a program that defines itself on a context that it is given."""
        named: dict[int, str] = {}

        def make() -> StreamingContext:
            ssc = StreamingContext(self._sc, self._interval)
            for name, stream in returned_streams(self._function(ssc)).items():
                named[len(ssc._builder.graph.outputs)] = name
                stream.foreachRDD(_nothing)
            self._environment.named = named
            return ssc

        return StreamingContext.getOrCreate("stream_test", make) if self._checkpoint else make()

    def _not_started(self, error: BaseException | None) -> AssertionError:
        if error is None:
            return ProgramFailed("the program ended without starting a StreamingContext, and returned none")
        failed = ProgramFailed(f"the program raised {type(error).__name__} before it was started: {error}")
        failed.__cause__ = error
        return failed

    @property
    def _query(self) -> Query:
        assert self._ssc is not None and self._ssc._query is not None
        return self._ssc._query

    @property
    def _clock(self) -> ManualClock:
        assert self._environment.manual_clock is not None
        return self._environment.manual_clock

    def _end(self) -> None:
        """Stop the context; one whose function never returns is left behind after some time."""
        active = StreamingContext.getActive()
        for ssc in {id(ssc): ssc for ssc in (self._ssc, active) if ssc is not None}.values():
            _stop(ssc).join(self._timeout)
        if self._thread is not None:
            self._thread.join(1)

    # ------------------------------------------------------------------ batches

    def _check_running(self) -> None:
        if self._crashed:
            raise ProgramFailed("the program has crashed: call restart()")
        if not self.stopped:
            return
        assert self._ssc is not None
        by_whom = self._ssc._stopped_at
        error = self._thread.error if self._thread is not None else None
        raise ProgramFailed(
            f"the program has ended after {len(self.batches)} batches"
            + (f": stop() at {by_whom}" if by_whom else "")
            + (f"; it raised {type(error).__name__}: {error}" if error is not None else "")
        ) from error

    def _resolve(self, records: Sequence[Sequence[Any]], inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Records by the feed's name."""
        names = list(self._environment.feeds)
        has = f"the program has {', '.join(map(repr, names)) if names else 'none but its queueStreams'}"
        given = [*records, *inputs.values()]
        if any(isinstance(some, str | bytes) for some in given):
            raise DStreamValueError("batch: give a list of records for each input, not a text")
        if len(names) == 1 and len(given) == 1:
            return {names[0]: list(given[0])}
        if records:
            raise DStreamValueError(
                f"batch: name the inputs, as in batch({names[0] if names else 'lines'}=[...]); {has}"
            )
        for name in inputs:
            if name not in names:
                raise DStreamValueError(f"batch: no input {name!r}; {has}")
        return {name: list(some) for name, some in inputs.items()}

    def _run(self, time_ms: int, given: Mapping[str, list[Any]]) -> BatchResult:
        for name, feed in self._environment.feeds.items():
            feed.put(given.get(name, []))
        self._clock.grant(time_ms)
        return self._result_of(time_ms)

    def _result_of(self, time_ms: int) -> BatchResult:
        clock = self._clock
        when = datetime.fromtimestamp(time_ms / 1000)
        in_time = clock.wait_until_done(time_ms, self._timeout)
        if not in_time:
            place = place_of(self._query._batch_thread)
            assert self._ssc is not None
            _stop(self._ssc)
            raise ProgramFailed(
                f"batch {when} is not done after {self._timeout:g} s"
                + (f"; the program is at {place}" if place else "")
                + f". {_NO_CLOCK}"
            )
        result = BatchResult(when, self._environment.take())
        error = self._query.take_error()
        if error is not None:
            raise BatchFailed(f"batch {when}: {type(error).__name__}: {error}") from error
        if (clock.last_ms or 0) < time_ms:
            self._check_running()
        self.batches.append(result)
        return result


def _stop(ssc: StreamingContext) -> threading.Thread:
    """Stop a context in a thread, which a function of the program that never returns would hold up."""
    stopping = threading.Thread(target=ssc.stop, args=(False,), name="end of the test", daemon=True)
    stopping.start()
    return stopping


def _nothing(rdd: Any) -> None:
    """Be an output that only the test looks at."""
