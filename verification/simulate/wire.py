"""The path of a request to the exchange and of its response, with every fault of either."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import msgspec

from kalshi_cli.simulator.protocol.replies import Request, Response
from verification.simulate.checker import Checker
from verification.simulate.plan import REQUESTS, Fault
from verification.simulate.sent import Sent, creates_in
from verification.simulate.stage import Stage
from verification.simulate.world import World


class Wire(httpx.BaseTransport):
    """A transport of one program: `who` is `loop` or the name of a command beside it."""

    def __init__(self, stage: Stage, checker: Checker, world: World, who: str) -> None:
        self._stage = stage
        self._checker = checker
        self._world = world
        self._who = who
        self._seen: dict[tuple[str, str], list[tuple[float, httpx.Response]]] = {}
        self._faults: dict[str, Callable[[Sent, Fault], httpx.Response]] = {
            name: getattr(self, f"_{name}") for name in REQUESTS
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        stage = self._stage
        stage.alive(self._who)
        began = stage.timeline.seconds
        sent = Sent(request, request.method, request.url.path, *creates_in(request))
        stage.point("sending" if sent.name else "asking", self._who)
        self._checker.leaves(sent, self._who)
        try:
            response = self._through(sent)
        except httpx.RequestError:
            self._checker.stops.answered(sent, b"", stage.timeline.seconds - began)
            raise
        self._checker.stops.answered(sent, response.content, stage.timeline.seconds - began)
        if sent.name:
            stage.point("answered", self._who)
            self._checker.answered(sent, response.status_code)
        response.request = request
        return response

    def _through(self, sent: Sent) -> httpx.Response:
        """To the exchange and back, with what befalls it."""
        stage = self._stage
        fault = stage.faults.take(REQUESTS, sent.kinds)
        self._pass(0.01 + stage.dice.random() * 0.06)
        if fault is None:
            response = self._forward(sent)
            self._pass(0.01 + stage.dice.random() * 0.06)
            return response
        stage.fired(fault, sent.kinds)
        stage.hit("F10" if "batch" in sent.kinds else "")
        return self._faults[fault.kind](sent, fault)

    # -- the plain way ----------------------------------------------------------------------------------------------

    def _forward(self, sent: Sent) -> httpx.Response:
        """Through to the exchange, now."""
        answer = self._give(sent)
        if sent.name:
            self._stage.point("accepted", self._who)
        response = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
        if sent.method == "GET":
            kept = self._seen.setdefault((sent.path, _without_times(sent.request)), [])
            kept.append((self._stage.timeline.seconds, response))
            del kept[:-20]
            same = self._stage.faults.answered.setdefault(str(sent.request.url), [])
            same.append(response)
            del same[:-20]
        return response

    def _give(self, sent: Sent) -> Response:
        """Let the exchange handle it."""
        stage, request = self._stage, sent.request
        query = parse_qs(request.url.query.decode("ascii"), keep_blank_values=True)
        if "limit" in query and stage.plan.page < int(query["limit"][0]) and "/portfolio/" in sent.path:
            query["limit"] = [str(stage.plan.page)]
        answer = stage.exchange.handle(
            Request(
                method=sent.method,
                path=sent.path,
                query=query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
            ),
            stage.timeline.next_ms(),
        )
        self._checker.arrived(sent, answer.status)
        return answer

    def _pass(self, seconds: float) -> None:
        self._stage.clock.sleep(seconds)

    def _time_out(self, sent: Sent) -> httpx.Response:
        """Nothing comes until the client's own patience ends."""
        self._pass(float(sent.request.extensions["timeout"]["read"]))
        raise httpx.ReadTimeout("timed out", request=sent.request)

    # -- faults -----------------------------------------------------------------------------------------------------

    def _drop_reply(self, sent: Sent, fault: Fault) -> httpx.Response:
        answer = self._give(sent)
        self._reached(sent, answer, "F01", "F20")
        if fault.size % 2:
            raise httpx.ReadError("connection reset by peer", request=sent.request)
        raise httpx.RemoteProtocolError("server disconnected without a response", request=sent.request)

    def _reached(self, sent: Sent, answer: Response, created: str, canceled: str = "") -> None:
        """Count what the exchange did while the client knows nothing of it."""
        if answer.status in (200, 201):
            self._stage.hit(created if sent.name else canceled if sent.method == "DELETE" else "")

    def _drop_reply_hang(self, sent: Sent, _fault: Fault) -> httpx.Response:
        self._reached(sent, self._give(sent), "F02")
        return self._time_out(sent)

    def _hang(self, sent: Sent, _fault: Fault) -> httpx.Response:
        if sent.name:
            self._stage.hit("F02")
        return self._time_out(sent)

    def _reset_before(self, sent: Sent, fault: Fault) -> httpx.Response:
        if sent.name:
            self._checker.lost[sent.name] = self._stage.timeline.seconds
        if fault.size % 2:
            raise httpx.WriteError("broken pipe", request=sent.request)
        raise httpx.ReadError("connection reset by peer", request=sent.request)

    def _refuse(self, sent: Sent, fault: Fault) -> httpx.Response:
        self._checker.never_left(sent)
        if fault.size % 2:
            self._pass(float(sent.request.extensions["timeout"]["connect"]))
            raise httpx.ConnectTimeout("timed out", request=sent.request)
        raise httpx.ConnectError("connection refused", request=sent.request)

    def _outage(self, sent: Sent, fault: Fault) -> httpx.Response:
        """Everything is refused for a while."""
        self._stage.faults.outage_until = self._stage.timeline.seconds + 5 + fault.size / 25
        self._stage.hit("F43")
        return self._refuse(sent, fault)

    def _late(self, sent: Sent, fault: Fault) -> httpx.Response:
        """The client gives up; then it arrives, 200 ms to 40 s later."""
        stage = self._stage
        delay = 0.2 + fault.size / 200 if fault.size % 3 == 0 else 5 + fault.size / 28

        def arrive() -> None:
            stage.late -= 1
            answer = self._give(sent)
            self._reached(sent, answer, "F04")
            if answer.status == 201:
                self._checker.landed(sent, delay)

        stage.late += 1
        stage.timeline.after(delay, arrive)
        if fault.size % 2:
            return self._time_out(sent)
        raise httpx.ReadError("connection reset by peer", request=sent.request)

    def _duplicate(self, sent: Sent, fault: Fault) -> httpx.Response:
        """The network delivers it twice; which of the two replies comes back, and how much later, differs."""
        stage = self._stage
        first = self._forward(sent)
        if fault.size % 3 == 0:
            stage.late += 1

            def again() -> None:
                stage.late -= 1
                self._checker.twice(sent, first.status_code, self._give(sent).status, _order_id(first))

            stage.timeline.after(0.1 + fault.size / 300, again)
            return first
        self._pass(fault.size / 2_000)
        second = self._forward(sent)
        seen = first if fault.size % 3 == 1 else second
        self._checker.twice(sent, first.status_code, second.status_code, _order_id(seen))
        if seen.status_code == 409 and b"order_already_exists" in seen.content:
            stage.hit("F08")
        elif seen.status_code >= 400:
            self._checker.misled(sent)
        return seen

    def _status(self, sent: Sent, fault: Fault) -> httpx.Response:
        status = (500, 502, 503, 504)[fault.size % 4]
        if fault.size % 8 < 4:
            self._give(sent)
        body = b"<html>bad gateway</html>" if fault.size % 3 else b'{"error":{"code":"internal_error"}}'
        if sent.name:
            self._stage.hit("F05")
        return httpx.Response(status, content=body)

    def _pace(self, sent: Sent, fault: Fault) -> httpx.Response:
        self._checker.never_left(sent)
        if sent.method != "GET":
            self._stage.hit("F06")
        headers = {"Retry-After": "1"} if fault.size % 2 else {}
        return httpx.Response(429, headers=headers, content=b'{"error":{"code":"too_many_requests"}}')

    def _garbage(self, sent: Sent, fault: Fault) -> httpx.Response:
        answer = self._give(sent)
        self._reached(sent, answer, "F07")
        body = (b"<html><body>welcome</body></html>", b"\xff\xfe\x00garbage", b"", b"[]", b"{}")[fault.size % 5]
        return httpx.Response(200 if sent.method != "POST" else 201, content=body)

    def _truncate(self, sent: Sent, fault: Fault) -> httpx.Response:
        answer = self._give(sent)
        self._reached(sent, answer, "F07")
        if fault.size % 2:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete body")
        cut = answer.body[: max(1, len(answer.body) * (fault.size % 90) // 100)]
        return httpx.Response(answer.status, content=cut)

    def _soft_error(self, sent: Sent, fault: Fault) -> httpx.Response:
        """A polite 2xx with an error inside; what happened to the order is anybody's guess."""
        if fault.size % 2:
            self._give(sent)
        self._stage.hit("F07" if sent.name else "")
        return httpx.Response(200, content=b'{"error":{"code":"temporarily_unavailable"}}')

    def _idle_close(self, sent: Sent, _fault: Fault) -> httpx.Response:
        if sent.name:
            self._stage.hit("F11")
        raise httpx.RemoteProtocolError("server disconnected without a response", request=sent.request)

    def _fill_first(self, sent: Sent, fault: Fault) -> httpx.Response:
        """Somebody trades with the order just before its cancel is processed: all of it or a part."""
        order_id = sent.path.rpartition("/")[2]
        found = self._stage.exchange._state.live.get(order_id)
        if found is not None:
            share = (1.0, 1.0, 0.5, 0.3)[fault.size % 4]
            if self._world.meet(found, share):
                self._stage.hit("F19" if share == 1.0 else "F22")
        return self._forward(sent)

    def _not_found(self, sent: Sent, _fault: Fault) -> httpx.Response:
        """404 though it rests: the read behind it was stale."""
        self._stage.hit("F20")
        return httpx.Response(404, content=b'{"error":{"code":"not_found","message":"not found"}}')

    def _rewrite(self, sent: Sent, _fault: Fault) -> httpx.Response:
        """The reply tells of another order."""
        answer = self._give(sent)
        body = msgspec.json.decode(answer.body) if answer.body.startswith(b"{") else {}
        if "order_id" in body:
            self._stage.hit("F21")
            others = [
                order for order in self._stage.exchange._state.live.values() if order.order_id != body["order_id"]
            ]
            body["order_id"] = others[0].order_id if others else "00000000-0000-4000-8000-00000000dead"
            if body.get("client_order_id"):
                body["client_order_id"] = (others[0].client_order_id if others else "") or "somebody-else"
            return httpx.Response(answer.status, headers=answer.headers, content=msgspec.json.encode(body))
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def _slow_reply(self, sent: Sent, fault: Fault) -> httpx.Response:
        """Fills of it are told long before the reply to it comes."""
        response = self._forward(sent)
        wait = min(float(sent.request.extensions["timeout"]["read"]) - 0.1, 0.5 + fault.size / 250)
        self._pass(max(0.0, wait))
        if sent.name and response.status_code == 201 and b'"fill_count":"0.00"' not in response.content:
            self._stage.hit("F24")
        return response

    def _page_fails(self, sent: Sent, fault: Fault) -> httpx.Response:
        self._stage.hit("F39")
        if fault.size % 2:
            raise httpx.ReadError("connection reset by peer", request=sent.request)
        return httpx.Response(503, content=b"")

    def _page_repeats(self, sent: Sent, _fault: Fault) -> httpx.Response:
        """The cursor that was asked for comes back as the next one."""
        answer = self._give(sent)
        body = msgspec.json.decode(answer.body)
        body["cursor"] = parse_qs(sent.request.url.query.decode())["cursor"][0]
        self._stage.hit("F39")
        return httpx.Response(answer.status, headers=answer.headers, content=msgspec.json.encode(body))

    def _stale(self, sent: Sent, fault: Fault) -> httpx.Response:
        """What the same read said some seconds ago: at most five."""
        now = self._stage.timeline.seconds
        kept = self._seen.get((sent.path, _without_times(sent.request)), ())
        older = [response for at, response in kept if now - at <= 1 + fault.size / 250]
        if not older:
            return self._forward(sent)
        self._stage.hit("F40")
        return httpx.Response(older[0].status_code, headers=older[0].headers, content=older[0].content)

    def _replay(self, sent: Sent, fault: Fault) -> httpx.Response:
        """An earlier reply to the same question, one of the last twenty, with its headers: a cache on the way."""
        same = self._stage.faults.answered.get(str(sent.request.url), [])
        if not same:
            return self._forward(sent)
        self._stage.hit("F40 replayed")
        older = same[fault.size % len(same)]
        return httpx.Response(older.status_code, headers=older.headers, content=older.content)

    def _cache(self, sent: Sent, fault: Fault) -> httpx.Response:
        """For some seconds the exchange is not reached: reads come from a cache that has them, everything else fails.

        The next requests of all programs meet the same (`Faults.take`).
        """
        faults, now = self._stage.faults, self._stage.timeline.seconds
        if now >= faults.cached_until:
            faults.cached_until = now + 3 + fault.size / 50
        same = self._stage.faults.answered.get(str(sent.request.url), [])
        if not same:
            return httpx.Response(503, content=b"<html>the origin is not reached</html>")
        self._stage.hit("F40 cached")
        return httpx.Response(same[-1].status_code, headers=same[-1].headers, content=same[-1].content)

    def _slow(self, sent: Sent, fault: Fault) -> httpx.Response:
        """A byte now and then, until the deadline of the whole call."""
        self._stage.hit("F42")
        left = float(sent.request.extensions["deadline"]) - self._stage.clock.monotonic()
        wait = 4 + fault.size / 100
        if wait >= left:
            self._pass(left)
            raise httpx.ReadTimeout("the deadline of the call is over", request=sent.request)
        self._pass(wait)
        return self._forward(sent)

    def _inactive(self, sent: Sent, fault: Fault) -> httpx.Response:
        self._stage.hit("F44")
        if sent.name:
            self._checker.refused(sent)
        body = b'{"error":{"code":"market_inactive","message":"market inactive"}}'
        return httpx.Response(409 if fault.size % 2 else 400, content=body)

    def _key(self, sent: Sent, fault: Fault) -> httpx.Response:
        self._stage.hit("F51")
        if sent.name:
            self._checker.refused(sent)
        body = b'{"error":{"code":"authentication_error","details":"NOT_FOUND","service":"authentication_error"}}'
        return httpx.Response(403 if fault.size % 4 == 0 else 401, content=body)

    def _field(self, sent: Sent, fault: Fault) -> httpx.Response:
        """A field is gone from what is read."""
        answer = self._give(sent)
        body = msgspec.json.decode(answer.body) if answer.status == 200 else None
        items = [item for value in body.values() if isinstance(value, list) for item in value] if body else []
        if items and isinstance(items[0], dict):
            names = sorted(name for name in items[0] if name.endswith(("_fp", "_dollars", "_id")))
            if names:
                del items[0][names[fault.size % len(names)]]
                self._stage.hit("F52")
                return httpx.Response(200, headers=answer.headers, content=msgspec.json.encode(body))
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


def _order_id(reply: httpx.Response) -> str:
    """The order that a reply tells of; empty where it tells of none."""
    return str(msgspec.json.decode(reply.content).get("order_id", ""))


def _without_times(request: httpx.Request) -> str:
    query = parse_qs(request.url.query.decode("ascii"))
    return repr(sorted((name, values) for name, values in query.items() if name not in ("min_ts", "limit")))
