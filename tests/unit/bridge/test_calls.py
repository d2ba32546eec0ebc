"""Commands, configuration and firmware: what a bridge is asked, and how it ends."""

import asyncio
from collections.abc import Coroutine
import json
from typing import Any

import pytest

from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.bridge import BridgeSession
from tests.support.bridge import SimulatedBridge, SimulatedMeter, gain, relay
from tests.support.bridge_listener import RecordingListener
from tests.support.virtual_time import run_virtual


class Ends:
    """A session and a bridge in virtual time, with a link in between that can lose what it carries."""

    def __init__(self, **bridge: Any) -> None:
        loop = asyncio.get_running_loop()
        self.bridge = SimulatedBridge(
            meters=[
                SimulatedMeter(
                    controls=[relay(), gain(), {"key": "reset_energy", "kind": "button"}]
                )
            ],
            clock=lambda: 1.8e9 + loop.time(),
            **bridge,
        )
        self.listener = RecordingListener()
        self.deaf = False
        self.session = BridgeSession(
            self.listener, self._carry, clock=lambda: (loop.time(), 1.8e9 + loop.time())
        )
        self.session.connected()
        self.bridge.attach(self._answer)

    def _answer(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self.session.feed, data)

    def _carry(self, line: bytes) -> None:
        if not self.deaf:
            asyncio.get_running_loop().call_soon(self.bridge.hear, line + b"\n")

    async def settle(self) -> None:
        await asyncio.sleep(0.01)


def failure(coroutine: Coroutine[Any, Any, object]) -> SourceError:
    """The error that it ends with."""
    with pytest.raises(SourceError) as caught:
        run_virtual(coroutine)
    return caught.value


def test_a_relay_is_switched_and_read_back() -> None:
    async def switch() -> Any:
        ends = Ends()
        return await ends.session.command("relay", 0, "oven"), ends.bridge.carried_out

    value, ((command),) = run_virtual(switch())
    assert value == 0
    assert (command["meter"], command["control"], command["value"]) == ("oven", "relay", 0)


def test_a_button_has_no_value() -> None:
    async def press() -> Any:
        ends = Ends()
        value = await ends.session.command("reset_energy", None, "oven")
        own = await ends.session.command("identify", None)
        return value, own, ends.bridge.carried_out

    value, own, (reset, identify) = run_virtual(press())
    assert (value, own) == (None, None)
    assert "value" not in reset
    assert "meter" not in identify


@pytest.mark.parametrize(
    ("error", "key"),
    [
        ("minimum_off_time", "bridge_minimum_off_time"),
        ("busy", "bridge_busy"),
        ("mismatch", "bridge_mismatch"),
        ("on_fire", "bridge_refused"),
        (None, "bridge_refused"),
        (5, "bridge_refused"),
    ],
)
def test_a_refusal_says_why(error: Any, key: str) -> None:
    async def switch() -> None:
        ends = Ends()
        ends.bridge.refuse["relay"] = (error, "17 s to go")
        await ends.session.command("relay", 0, "oven")

    err = failure(switch())
    assert err.key == key
    assert err.placeholders == {"control": "relay", "meter": "oven", "text": "17 s to go"}


def test_what_the_bridge_does_not_know_is_said() -> None:
    async def switch(meter: str, control: str) -> None:
        await Ends().session.command(control, 0, meter)

    assert failure(switch("pump", "relay")).key == "bridge_unknown_meter"
    assert failure(switch("oven", "lever")).key == "bridge_unknown_control"


def test_a_lost_command_is_said_again_and_carried_out_once() -> None:
    async def switch() -> Any:
        ends = Ends()
        await ends.settle()
        ends.deaf = True
        asyncio.get_running_loop().call_later(4, setattr, ends, "deaf", False)
        value = await ends.session.command("relay", 0, "oven")
        return value, ends.bridge.carried_out

    value, carried_out = run_virtual(switch())
    assert value == 0
    assert len(carried_out) == 1


def test_a_lost_answer_does_not_switch_twice() -> None:
    async def switch() -> Any:
        ends = Ends()
        await ends.settle()
        ends.bridge.mute = True
        asyncio.get_running_loop().call_later(4, setattr, ends.bridge, "mute", False)
        await ends.session.command("relay", 0, "oven")
        said = [message for message in ends.bridge.heard if message["type"] == "command"]
        return said, ends.bridge.carried_out

    said, carried_out = run_virtual(switch())
    assert len(said) == 3
    assert len({message["id"] for message in said}) == 1
    assert len(carried_out) == 1


def test_without_an_answer_it_ends_after_the_time_given() -> None:
    took = []

    async def switch() -> None:
        ends = Ends()
        ends.bridge.mute = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await ends.session.command("relay", 0, "oven", timeout=10)
        finally:
            took.append(loop.time() - began)

    assert failure(switch()).key == "bridge_no_answer"
    assert took == [pytest.approx(10, abs=0.01)]


def test_without_a_link_it_fails_at_once() -> None:
    async def switch() -> None:
        ends = Ends()
        ends.session.disconnected()
        await ends.session.command("relay", 0, "oven")

    assert failure(switch()).key == "bridge_away"


def test_a_link_that_fails_meanwhile_is_not_waited_for() -> None:
    async def switch() -> None:
        ends = Ends()
        ends.bridge.mute = True
        asyncio.get_running_loop().call_later(1, ends.session.disconnected)
        await ends.session.command("relay", 0, "oven", timeout=1000)

    err = failure(switch())
    assert err.key == "bridge_away"
    assert err.placeholders["control"] == "relay"


def test_answers_find_their_questions() -> None:
    async def many() -> Any:
        ends = Ends()
        gains = [0.9 + number / 1000 for number in range(30)]
        return gains, await asyncio.gather(
            *(ends.session.command("voltage_gain", value, "oven") for value in gains)
        )

    gains, answers = run_virtual(many())
    assert answers == gains


def test_an_answer_to_nothing_is_dropped() -> None:
    async def answer() -> Any:
        ends = Ends()
        ends.bridge.say({"type": "ack", "id": 4711, "ok": True})
        await ends.settle()
        return ends.session.counters.bad

    assert run_virtual(answer()) == 0


def test_the_configuration_is_read_and_merged() -> None:
    async def configure() -> Any:
        ends = Ends()
        before = await ends.session.config()
        after = await ends.session.config({"name": "Cellar", "wifi": None})
        return before, after

    before, after = run_virtual(configure())
    assert before["wifi"] == {"ssid": "home", "password": "***"}
    assert after == {"name": "Cellar"}


def test_a_configuration_that_does_not_fit_into_a_line_is_refused_here() -> None:
    async def configure() -> None:
        await Ends().session.config({"x": "y" * 40_000})

    assert failure(configure()).key == "bridge_bad_config"


FILES = {
    "bridge/app.py": b"print(1)\n" * 500,
    "bridge/empty.py": b"",
    "bridge/exact.py": b"x" * 2048,
    "boot.py": b"import bridge\n",
}


def test_firmware_is_installed_and_runs() -> None:
    async def install() -> Any:
        ends = Ends()
        await ends.settle()
        ends.bridge.files["boot.py"] = FILES["boot.py"]
        progress: list[float] = []
        await ends.session.update("1.1.0", FILES, progress.append)
        return ends, progress

    ends, progress = run_virtual(install())
    assert ends.bridge.files == FILES
    assert ends.session.hello.firmware == "1.1.0"
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    sent = {message["name"] for message in ends.bridge.heard if message.get("step") == "data"}
    assert "boot.py" not in sent


def test_firmware_that_does_not_start_is_said_to_have_been_rolled_back() -> None:
    async def install() -> None:
        ends = Ends()
        await ends.settle()
        ends.bridge.rolls_back = True
        await ends.session.update("1.1.0", FILES, lambda share: None)

    assert failure(install()).key == "bridge_rolled_back"


def test_a_refused_step_aborts() -> None:
    heard: list[dict[str, Any]] = []

    async def install() -> None:
        ends = Ends()
        await ends.settle()
        ends.bridge._update = lambda message: (  # type: ignore[method-assign]
            {"ok": message["step"] != "commit", "error": "bad_update", "text": "hash"}
        )
        heard.append(ends.bridge.heard)  # type: ignore[arg-type]
        await ends.session.update("1.1.0", FILES, lambda share: None)

    err = failure(install())
    assert (err.key, err.placeholders["text"]) == ("bridge_bad_update", "hash")
    assert json.loads(json.dumps(heard[0]))[-1]["step"] == "abort"


def test_an_abort_that_is_refused_too_hides_nothing() -> None:
    async def install() -> None:
        ends = Ends()
        await ends.settle()
        ends.bridge._update = lambda message: (  # type: ignore[method-assign]
            {"ok": message["step"] == "begin", "error": f"{message['step']}"}
        )
        await ends.session.update("1.1.0", FILES, lambda share: None)

    err = failure(install())
    assert (err.key, err.placeholders["text"]) == ("bridge_refused", "data")


def test_firmware_that_is_there_already_is_only_started() -> None:
    async def install() -> Any:
        ends = Ends()
        await ends.settle()
        ends.bridge.files = dict(FILES)
        progress: list[float] = []
        await ends.session.update("1.1.0", FILES, progress.append)
        return ends.session.hello, progress, ends.bridge.heard

    hello, progress, heard = run_virtual(install())
    assert hello.firmware == "1.1.0"
    assert progress == [0.0]
    assert "data" not in {message.get("step") for message in heard}


def test_a_link_lost_between_two_pieces_ends_it_at_once() -> None:
    async def install() -> None:
        ends = Ends()
        await ends.settle()
        await ends.session.update(
            "1.1.0", FILES, lambda share: ends.session.disconnected() if share > 0.3 else None
        )

    assert failure(install()).key == "bridge_away"


def test_a_bridge_that_does_not_come_back_is_not_waited_for_without_end() -> None:
    async def install() -> None:
        ends = Ends()
        await ends.settle()
        ends.bridge.greet = lambda: None  # type: ignore[method-assign]
        await ends.session.update("1.1.0", FILES, lambda share: None)

    assert failure(install()).key == "bridge_no_answer"


def test_one_update_at_a_time() -> None:
    async def install() -> None:
        ends = Ends()
        await ends.settle()
        first = asyncio.create_task(ends.session.update("1.1.0", FILES, lambda share: None))
        await asyncio.sleep(0)
        try:
            await ends.session.update("1.2.0", FILES, lambda share: None)
        finally:
            await first

    assert failure(install()).key == "bridge_busy"


def test_a_bridge_that_takes_no_firmware_says_so() -> None:
    async def install() -> None:
        ends = Ends(capabilities=["buffer"])
        await ends.settle()
        await ends.session.update("1.1.0", FILES, lambda share: None)

    assert failure(install()).key == "bridge_unsupported"


def test_a_restart_before_the_commit_is_not_taken_for_the_new_firmware() -> None:
    async def install() -> Any:
        ends = Ends()
        await ends.settle()
        asyncio.get_running_loop().call_soon(ends.bridge.restart)
        await ends.session.update("1.1.0", FILES, lambda share: None)
        return ends.session.hello

    assert run_virtual(install()).firmware == "1.1.0"


def test_a_link_lost_during_the_restart_is_part_of_it() -> None:
    async def install() -> Any:
        ends = Ends()
        await ends.settle()
        greet = ends.bridge.greet

        def slowly() -> None:
            ends.session.disconnected()
            asyncio.get_running_loop().call_later(20, greet)

        ends.bridge.greet = slowly  # type: ignore[method-assign]
        await ends.session.update("1.1.0", FILES, lambda share: None)
        return ends.session.hello

    assert run_virtual(install()).firmware == "1.1.0"
