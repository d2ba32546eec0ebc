"""Boards on UARTs: bare readings, the full form, damaged and stale lines, commands down to them."""

import asyncio
import json

from energy_meter.crc import with_crc
from energy_meter.desk import Refused
from energy_meter.node import Node
from support import FakeBridge, Moved


def _node(**settings):
    moved = Moved()
    bridge = FakeBridge(moved.clock)
    sent = []
    node = Node(dict({"port": 1, "meter": "main"}, **settings), moved.clock, bridge, sent.append)
    node.opened()
    node.feed(b"e torn line}\n")
    return moved, bridge, node, sent


def _shown(bridge):
    """(meter, values in units, flags, at) of what was shown."""
    found = []
    for told in bridge.told:
        if told[0] == "show":
            values = {key: None if value is None else value / 1e6 for key, value in told[4].items()}
            found.append((told[1], values, list(told[5]), told[6]))
    return found


async def _refusal(node):
    """(error, text) of a command that is refused."""
    try:
        await node.command(None, "relay", 0)
    except Refused as refused:
        return refused.error, refused.text
    raise AssertionError("nothing was raised")


def the_shortest_message_is_a_reading():
    moved, bridge, node, sent = _node()
    node.feed(b'{"Voltage": 227.5, "Current": 1.42}\r\n')
    assert _shown(bridge) == [("main", {"voltage": 227.5, "current": 1.42}, [], moved.clock.ms())]
    assert sent == [b'{"type":"hello?"}\n']


def units_and_meters_are_understood():
    _, bridge, node, _ = _node()
    node.feed(b'{"node":"oven","mV":230000,"Power_kW":1.5,"joules":3600000,"I": null}\n')
    expected = {"voltage": 230, "power": 1500, "energy_import": 1, "current": None}
    assert _shown(bridge)[0][:2] == ("oven", expected)


def values_that_are_none_are_left_out_and_counted():
    _, bridge, node, _ = _node()
    for line in (b'{"V":"230","I":true,"P":[1],"Hz":50}', b'{"V":"x"}', b"{}"):
        node.feed(line + b"\n")
    assert [shown[1] for shown in _shown(bridge)] == [{"frequency": 50}]
    assert node.bad == 6


def damaged_lines_cost_a_count_and_nothing_else():
    _, bridge, node, _ = _node()
    node.feed(b'{"V":23\n\xff\xfe\xfd\n{"V":\n' + b"x" * 4000 + b'\n{"V":230}\n')
    assert len(_shown(bridge)) == 1
    assert node.errors >= 4


def of_a_burst_only_the_last_of_each_meter_counts():
    _, bridge, node, _ = _node()
    node.feed(
        b'{"V":1}\n{"meter":"b","V":2}\n{"V":3}\n{"meter":"b","V":4}\n{"type":"reading","values":{"voltage":9}}\n'
    )
    assert [(shown[0], shown[1]["voltage"]) for shown in _shown(bridge)] == [
        ("main", 3),
        ("b", 4),
        ("main", 9),
    ]
    assert node.stale == 2


def a_crc_that_came_once_is_wanted_for_ever_and_used_for_answers():
    _, bridge, node, sent = _node()
    node.feed(with_crc(b'{"V":230}') + b"\n")
    node.feed(b'{"V":231}\n')
    assert len(_shown(bridge)) == 1 and node.bad == 1
    node.send(b'{"type":"hello?"}')
    assert sent[-1] == with_crc(b'{"type":"hello?"}') + b"\n"


def the_full_form_keeps_age_flags_and_names():
    moved, bridge, node, _ = _node()
    node.feed(
        b'{"type":"reading","meter":"oven","age":2500,"values":{"voltage":230.5,"energy_import":12345.678},"flags":["clipping","n\xc3\xb6"]}\n'
    )
    expected = {"voltage": 230.5, "energy_import": 12345.678}
    assert _shown(bridge) == [("oven", expected, ["clipping"], moved.clock.ms() - 2500)]
    node.feed(b'{"type":"reading","age":null,"values":{"energy_import":1}}\n')
    assert _shown(bridge)[1][3] is None


def rows_are_readings():
    moved, bridge, node, _ = _node()
    node.feed(
        b'{"type":"readings","columns":["meter","age","voltage","current"],"rows":[["a",2000,227.5,1.42],["b",0,"-",null],["c"],7]}\n'
    )
    assert _shown(bridge) == [
        ("a", {"voltage": 227.5, "current": 1.42}, [], moved.clock.ms() - 2000),
        ("b", {"current": None}, [], moved.clock.ms()),
    ]
    assert node.bad == 2


def hello_and_events_go_up():
    _, bridge, node, _ = _node()
    node.feed(
        b'{"type":"hello","v":1,"boot":1,"firmware":"1.0.0","hardware":"UNO","meters":[{"id":"main","rated_current":20.5,"controls":[{"key":"relay","kind":"switch","value":1},{"key":5}]},7]}\n'
    )
    (kind, meter, told) = bridge.told[-1]
    assert (kind, meter) == ("new", "main")
    assert [control["key"] for control in told["controls"]] == ["relay"]
    assert (told["firmware"], told["model"]) == ("1.0.0", "UNO")
    node.feed(b'{"type":"event","meter":"main","event":"relay","value":0,"reason":"button"}\n')
    assert bridge.told[-1] == ("event", "relay", "main", 0, "button", None)
    node.feed(b'{"type":"hello","v":1,"boot":2,"meters":[]}\n')
    assert bridge.told[-1] == ("interrupted", "main")


def a_board_that_invents_meters_is_bounded():
    _, bridge, node, _ = _node()
    for number in range(50):
        node.feed(b'{"meter":"m%d","V":230}\n' % number)
    assert len({shown[0] for shown in _shown(bridge)}) == 8
    node.feed(b'{"meter":"not a name!","V":230}\n')
    assert len(_shown(bridge)) == 8


async def a_command_is_carried_to_the_board_and_its_answer_back():
    _, _, node, sent = _node()

    async def answer():
        await asyncio.sleep_ms(5)
        request = json.loads(sent[-1])
        assert request == {
            "type": "command",
            "id": 1,
            "control": "voltage_gain",
            "meter": "oven",
            "value": 1.05,
        }
        node.feed(
            b'{"type":"ack","id":99,"ok":true}\n{"type":"ack","id":1,"ok":true,"value":1.05}\n'
        )

    asyncio.create_task(answer())
    assert await node.command("oven", "voltage_gain", 1_050_000) == "1.05"


async def a_refusal_of_the_board_is_passed_on():
    _, _, node, _ = _node()

    async def answer():
        await asyncio.sleep_ms(5)
        node.feed(b'{"type":"ack","id":1,"ok":false,"error":"busy","text":"later"}\n')

    asyncio.create_task(answer())
    assert await _refusal(node) == ("busy", "later")


async def a_board_that_does_not_answer_is_given_up():
    import simulated_time

    simulated_time.install()
    _, _, node, _ = _node()
    asyncio.create_task(simulated_time.passes(5000))
    assert (await _refusal(node))[0] == "no_answer"
