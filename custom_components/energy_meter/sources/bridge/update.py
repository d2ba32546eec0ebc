"""Firmware over the link: `begin`, the files in pieces, `commit`."""

import base64
from collections.abc import Awaitable, Callable, Mapping
import hashlib
from typing import Any, Final

from ..base import SourceError

CHUNK: Final = 1024
"""Bytes of a file in one message."""
_STEP_TIMEOUT: Final = 15.0
_SLOW_STEP_TIMEOUT: Final = 60.0
"""Seconds for a step in which the bridge hashes or erases."""

type Call = Callable[[Mapping[str, Any], float], Awaitable[Any]]


async def send_update(
    call: Call, version: str, files: Mapping[str, bytes], progress: Callable[[float], None]
) -> None:
    """Bring new firmware to the bridge and let it start into it; files that it has are not sent.

    Args:
        call: sends a request (without its id) and returns the answer's value within so many seconds.
        version: what the new firmware calls itself.
        files: path on the bridge → content.
        progress: called with 0 to 1.

    Raises:
        SourceError: a step was refused or not answered; the bridge keeps what it runs.
    """
    begin = {
        "type": "update",
        "step": "begin",
        "version": version,
        "files": [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ],
    }
    answer = await call(begin, _SLOW_STEP_TIMEOUT)
    have = answer.get("have") if isinstance(answer, dict) else None
    present = {name for name in have if isinstance(name, str)} if isinstance(have, list) else set()
    wanted = {name: data for name, data in files.items() if name not in present}
    total, sent = sum(map(len, wanted.values())), 0
    progress(0.0)
    try:
        for name, data in wanted.items():
            # An empty file still needs one piece to come into being.
            for offset in range(0, max(len(data), 1), CHUNK):
                piece = data[offset : offset + CHUNK]
                await call(
                    {
                        "type": "update",
                        "step": "data",
                        "name": name,
                        "offset": offset,
                        "data": base64.b64encode(piece).decode("ascii"),
                    },
                    _STEP_TIMEOUT,
                )
                sent += len(piece)
                progress(sent / total if total else 1.0)
        await call({"type": "update", "step": "commit"}, _SLOW_STEP_TIMEOUT)
    except SourceError as err:
        if err.key != "bridge_away":
            await _abort(call)
        raise


async def _abort(call: Call) -> None:
    try:
        await call({"type": "update", "step": "abort"}, _STEP_TIMEOUT)
    except SourceError:
        return  # It gives up by itself; what went wrong first is what is told.
