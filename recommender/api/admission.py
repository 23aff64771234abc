"""Which requests are taken on: those of a known caller, at its rate, as long as there is room."""

from starlette.types import ASGIApp, Receive, Scope, Send

from recommender import metrics
from recommender.api.keys import KeyRing, key_of
from recommender.api.middleware import with_headers
from recommender.api.problems import OVERLOADED, RATE_LIMITED, problem
from recommender.api.rate_limit import RateLimiter

_OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
_KEYED = "/v1"
_COME_AGAIN_S = 1


class Admission:
    """Refuses before anything of the request's body is read.

    A caller is known by the digest of its key, or without keys by its address. Probes and metrics are
    always answered; page and description need no key.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, limiter: RateLimiter | None, max_in_hand: int) -> None:
        self._app = app
        self._keys = keys
        self._limiter = limiter
        self._max_in_hand = max_in_hand
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 503 or 429."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        is_keyed = scope["path"].startswith(_KEYED)
        digest = self._keys.digest_of(key_of(scope)) if is_keyed else None
        if is_keyed and self._keys.required and digest is None:
            await self._refuse_unknown(scope, receive, send)
        elif self._in_hand >= self._max_in_hand:
            await self._shed(scope, receive, send)
        else:
            self._in_hand += 1
            metrics.API_IN_HAND.inc()
            try:
                if is_keyed and self._limiter is not None:
                    await self._at_its_rate(self._limiter, digest or _address(scope), scope, receive, send)
                else:
                    await self._app(scope, receive, send)
            finally:
                self._in_hand -= 1
                metrics.API_IN_HAND.dec()

    async def _at_its_rate(
        self, limiter: RateLimiter, caller: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        verdict = await limiter.ask(caller)
        if verdict is None:
            await self._app(scope, receive, send)
            return
        send = with_headers(send, verdict.headers)
        if verdict.admitted:
            await self._app(scope, receive, send)
            return
        metrics.API_REFUSED.labels("rate").inc()
        detail = f"this caller's requests are used up; come again in {verdict.wait_s} s"
        answer = problem(429, detail, kind=RATE_LIMITED, headers={"Retry-After": str(verdict.wait_s)})
        await answer(scope, receive, send)

    async def _refuse_unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics.API_REFUSED.labels("key").inc()
        headers = {"WWW-Authenticate": "Bearer"}
        await problem(401, "give a valid key in the X-API-Key header", headers=headers)(scope, receive, send)

    async def _shed(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics.API_REFUSED.labels("room").inc()
        headers = {"Retry-After": str(_COME_AGAIN_S)}
        detail = f"{self._max_in_hand} requests are in hand; come again in {_COME_AGAIN_S} s"
        await problem(503, detail, kind=OVERLOADED, headers=headers)(scope, receive, send)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
