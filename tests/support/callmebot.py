"""A local web server that takes messages and answers as the CallMeBot gateway does."""

from aiohttp import web

QUEUED = (200, "<p>Message queued. You will receive it in a few seconds.</p>")


class Gateway:
    """What was received, and what is answered next."""

    def __init__(self) -> None:
        """Answer that everything is queued until told otherwise."""
        self.received: list[tuple[str, str | None, str | None, str]] = []
        """(path, phone, key, text) of every request."""
        self.answers: list[tuple[int, str]] = []
        """(status, body) of the next answers; afterwards everything is queued."""
        self.keys: set[str] | None = None
        """Keys that are known; None: any."""
        self.url = ""
        self.app = web.Application()
        self.app.router.add_get("/whatsapp.php", self._take)
        self.app.router.add_get("/signal/send.php", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        query = request.query
        self.received.append(
            (request.path, query.get("phone"), query.get("apikey"), query.get("text", ""))
        )
        status, body = self.answers.pop(0) if self.answers else QUEUED
        if self.keys is not None and query.get("apikey") not in self.keys:
            status, body = 203, "APIKey is invalid. Please create a new one."
        return web.Response(status=status, text=body, content_type="text/html")
