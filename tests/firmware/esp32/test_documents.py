"""The reference of the settings says what the firmware has."""

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

from tests.support.micropython import FIRMWARE, ROOT, run

_ASK = f"""
import json, sys
sys.path.insert(0, {str(FIRMWARE / "lib")!r})
from energy_meter import config
print(json.dumps(config.checked({{"relays": [{{}}], "meters": {{"m": {{}}}}}})))
"""


def _names(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _names(one, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        yield from _names(value[0], f"{path}[]")
    else:
        yield path


def test_every_setting_is_in_the_reference(tmp_path: Path) -> None:
    """Each row of the table names one setting, or several of one group; together they are all of them."""
    script = tmp_path / "ask.py"
    script.write_text(_ASK)
    settings, errors = json.loads(run(tmp_path, script).stdout)
    assert errors == []
    there = {name.replace("meters.m.", "meters.<id>.") for name in _names(settings)}
    said = set()
    for row in (ROOT / "docs" / "flashing.md").read_text().splitlines():
        if row.startswith("| `"):
            group = ""
            for word in row.split("|")[1].split("`")[1::2]:
                said.add(group + word if word.startswith(".") else word)
                group = group if word.startswith(".") else word.rpartition(".")[0]
    assert said == there
