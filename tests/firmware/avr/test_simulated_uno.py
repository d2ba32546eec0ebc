"""A simulated UNO on a serial port of this machine, for trying things out without one."""

import os
import subprocess
import sys
import time

from tests.support.avr_bench import ROOT


def test_it_says_where_it_is_speaks_there_and_takes_changes() -> None:
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "simulated_uno.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = process.stdout.readline().split(" is at ")[1].split(". ")[0]
        heard = b""
        cable = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        end = time.monotonic() + 30
        while b'"type":"hello"' not in heard and time.monotonic() < end:
            time.sleep(0.1)
            try:
                heard += os.read(cable, 4096)
            except BlockingIOError:
                continue
        os.close(cable)
        assert b'"type":"hello"' in heard
        process.stdin.write("irms=8 phi=60\nwatts=3\n")
        process.stdin.close()
        said = process.stdout.read()
        assert "power 920.000" in said
        assert "not understood" in said
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
