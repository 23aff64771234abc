"""How long a request waits for its answer."""

import asyncio

from anyio import CancelScope
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recommender import metrics
from recommender.api.problems import BODY_NOT_IN_TIME, NOT_IN_TIME, problem

_COME_AGAIN_S = 5


class Deadline:
    """Answers in place of a route that doesn't in time: 504, or 408 where the body is still awaited.

    A thread can't be ended. Work that waits for its turn is dropped; work that runs goes on, what it
    answers is dropped, and the call returns when it ends, so that whoever counts what is in hand
    still counts it.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._seconds)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._seconds, request.expire)
        try:
            with request.work:
                await self._app(scope, request.receive, request.send)
        finally:
            timer.cancel()
            if request.late_answer is not None:
                await request.late_answer


class _Request:
    """One request, and who answers it: the app, or its deadline."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        self.work = CancelScope()
        self.late_answer: asyncio.Task[None] | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._has_begun = False
        self._awaits_body = False

    async def receive(self) -> Message:
        """Note whether it is the client that is waited for."""
        self._awaits_body = True
        message = await self._receive()
        self._awaits_body = False
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the app answers, unless it is too late."""
        if self.late_answer is None:
            self._has_begun = True
            await self._send(message)

    def expire(self) -> None:
        """Answer, unless the app has begun to; called by the event loop."""
        if self._has_begun:
            return
        metrics.API_REFUSED.labels("deadline").inc()
        if self._awaits_body:
            answer = problem(408, f"it did not arrive within {self._seconds:g} s", kind=BODY_NOT_IN_TIME)
        else:
            headers = {"Retry-After": str(_COME_AGAIN_S)}
            detail = f"there was no answer within {self._seconds:g} s"
            answer = problem(504, detail, kind=NOT_IN_TIME, headers=headers)
        self.late_answer = asyncio.create_task(answer(self._scope, self._receive, self._send))
        self.work.cancel()
