"""Sockets: one connection out, with TLS if wanted; and what an address in the settings means."""

import asyncio

CONNECT_S = 10
_PIECE = 1024


class Connection:
    """A stream to a server that is closed however it ends."""

    def __init__(self, host, port, tls=None):
        """`tls`: None, or (verify, name of a file with the certificate of who signed the server's)."""
        self._host = host
        self._port = port
        self._tls = tls
        self.reader = None
        self.writer = None
        self._turn = asyncio.Lock()

    async def open(self):
        """Connect. Raises OSError, asyncio.TimeoutError."""
        context = None if self._tls is None else _context(*self._tls)
        self.reader, self.writer = await asyncio.wait_for(
            asyncio.open_connection(
                self._host,
                self._port,
                ssl=context,
                server_hostname=self._host if context else None,
            ),
            CONNECT_S,
        )

    async def send(self, *parts):
        """Write everything, nothing of anybody else between. Raises OSError, asyncio.TimeoutError."""
        async with self._turn:
            await write(self.writer, *parts, seconds=CONNECT_S)

    async def receive(self, most, seconds):
        """Some bytes, at most so many. Raises OSError at the end of the stream, asyncio.TimeoutError."""
        data = await asyncio.wait_for(self.reader.read(most), seconds)
        if not data:
            raise OSError("the other end closed the connection")
        return data

    async def close(self):
        """Close it; safe to call at any time."""
        writer, self.reader, self.writer = self.writer, None, None
        if writer is not None:
            await shut(writer)


async def write(writer, *parts, seconds=None):
    """Write parts one after the other, in pieces: what a stream cannot send at once it copies.

    Raises OSError, and asyncio.TimeoutError if a piece takes longer than so many seconds.
    """
    for part in parts:
        for at in range(0, len(part), _PIECE):
            writer.write(memoryview(part)[at : at + _PIECE] if len(part) > _PIECE else part)
            if seconds is None:
                await writer.drain()
            else:
                await asyncio.wait_for(writer.drain(), seconds)


async def shut(writer):
    """Close a stream: MicroPython's `close` does nothing, and its sockets are few."""
    try:
        writer.close()
        await writer.wait_closed()
    except OSError:
        pass  # It is gone, which is what we want.


def split_url(url):
    """(whether TLS, host, port, path) of an http or https address."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    tls = scheme == "https"
    host, colon, port = place.rpartition(":")
    if not colon or "]" in port:
        host, port = place, "443" if tls else "80"
    return tls, host.strip("[]"), int(port), slash + path if slash else "/"


def _context(verify, file):
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    if verify:
        with open(file, "rb") as opened:
            context.load_verify_locations(opened.read())
        context.verify_mode = tls.CERT_REQUIRED
    else:
        context.verify_mode = tls.CERT_NONE
    return context
