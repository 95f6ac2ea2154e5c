"""What can go wrong with a call to Sift, on demand: errors, delays, calls kept in flight, broken connections."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.responses import JSONResponse, Response

from bot.sandbox.connection import NoAnswer
from bot.sandbox.payload import Payload

Answer = Payload | Response

OPERATIONS = frozenset(
    {
        *("ping", "me", "list", "retry", "cancel", "data_imports", "import", "reports", "report", "rerun"),
        *("runs", "assets", "rules", "user"),
    }
)
"""What is asked of Sift, by the names under which it is counted and goes wrong; `list` is of jobs."""

_HTTP = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 13: 500, 14: 503, 16: 401}
"""The HTTP status of each gRPC code."""


@dataclass
class Held:
    """A call that is kept in flight until it is released."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Lets the call go on."""
        self.released.set()


@dataclass
class _Fault:
    operation: str
    times: int
    before: Callable[[], Awaitable[Response | None]]
    after: Callable[[], Response] | None = None


class Faults:
    """What goes wrong with the next calls, by operation."""

    def __init__(self) -> None:
        self._faults: list[_Fault] = []

    def fail(
        self,
        operation: str,
        code: int = 14,
        message: str = "unavailable",
        times: int = 1,
        *,
        seconds: float = 0.0,
    ) -> None:
        """The next calls are answered with a gRPC code, so many seconds later, and not carried out."""

        async def no() -> Response:
            await asyncio.sleep(seconds)
            return error(code, message)

        self._trouble(operation, times, no)

    def answer(self, operation: str, response: Response, times: int = 1, *, carried_out: bool = False) -> None:
        """The next calls are answered with just this: an HTML page, an empty body."""
        if carried_out:
            self._trouble(operation, times, _nothing, lambda: response)
        else:
            self._trouble(operation, times, _just(response))

    def delay(self, operation: str, seconds: float, times: int = 1) -> None:
        """The next calls take their time."""

        async def wait() -> None:
            await asyncio.sleep(seconds)

        self._trouble(operation, times, wait)

    def drop(self, operation: str, *, when: str = "before", times: int = 1) -> None:
        """The connection breaks without an answer, `before` the call is carried out or `after`."""
        if when == "after":
            self._trouble(operation, times, _nothing, NoAnswer)
        else:
            self._trouble(operation, times, _just(NoAnswer()))

    def hold(self, operation: str) -> Held:
        """Keeps the next call in flight, before it is carried out."""
        held = Held()

        async def wait() -> None:
            held.entered.set()
            await held.released.wait()

        self._trouble(operation, 1, wait)
        return held

    def recover(self) -> None:
        """Nothing more goes wrong with calls that are still to come."""
        self._faults.clear()

    async def carry_out(self, operation: str, act: Callable[[], Answer | Awaitable[Answer]]) -> Response:
        """Does what is asked for, unless something is to go wrong with it."""
        fault = next((fault for fault in self._faults if fault.operation == operation), None)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
            response = await fault.before()
            if response is not None:
                return response
        answer = act()
        done = await answer if inspect.isawaitable(answer) else answer
        if fault is not None and fault.after is not None:
            return fault.after()
        return done if isinstance(done, Response) else JSONResponse(done)

    def _trouble(
        self,
        operation: str,
        times: int,
        before: Callable[[], Awaitable[Response | None]],
        after: Callable[[], Response] | None = None,
    ) -> None:
        if operation not in OPERATIONS:
            raise ValueError(f"no operation {operation!r}")
        self._faults.append(_Fault(operation, times, before, after))


def error(code: int, message: str) -> JSONResponse:
    """An error as Sift's gateway prints it."""
    return JSONResponse({"code": code, "message": message, "details": []}, status_code=_HTTP.get(code, 500))


async def _nothing() -> None:
    return None


def _just(response: Response) -> Callable[[], Awaitable[Response | None]]:
    async def answer() -> Response:
        return response

    return answer
