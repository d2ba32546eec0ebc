"""Home Assistant's own `modbus` YAML: one sensor per value, and its best form with hand-cut blocks."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from .near_end import Client, ClientFactory, Published
from .setting import Setting
from .states import note_states

_PREFIX: Final = "sensor.m"


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlOptions:
    """How the user has written the YAML."""

    blocks: bool = False
    """One sensor with `virtual_count` per block in place of one per value."""
    message_wait: int | None = None
    """`message_wait_milliseconds`; None for Home Assistant's default of 30 ms on a serial line."""
    scan_interval: int = 1
    """Seconds between the end of a reading and the next; 1 is the least."""
    timeout: int = 1
    """Seconds; 1 is the least, Home Assistant's default is 5."""


class YamlClient(Client):
    """Sets up `modbus:` and listens to the states of its sensors."""

    def __init__(self, setting: Setting, address: str | int, *, options: YamlOptions) -> None:
        """Plan the sensors."""
        self._setting = setting
        self._address = address
        self._options = options
        self._names: dict[str, tuple[int, str]] = {}
        """Entity id to (unit, quantity)."""

    def configuration(self) -> dict[str, Any]:
        """Return what a user would write into configuration.yaml."""
        options, setting = self._options, self._setting
        hub: dict[str, Any] = {"name": "line", "timeout": options.timeout}
        if setting.transport == "tcp":
            hub |= {"type": "tcp", "host": "127.0.0.1", "port": self._address}
        else:
            hub |= {
                "type": "serial",
                "port": self._address,
                "baudrate": setting.baudrate,
                "bytesize": 8,
                "method": "rtu",
                "parity": "N",
                "stopbits": 1 if setting.bits == 10 else 2,
            }
        if options.message_wait is not None:
            hub["message_wait_milliseconds"] = options.message_wait
        by_address = {address: key for key, address in setting.model.values.items()}
        blocks = (
            setting.least_sweep().blocks if options.blocks else tuple((a, 2) for a in by_address)
        )
        sensors = []
        for unit in setting.units:
            for address, count in blocks:
                name = f"m{unit} {address}"
                sensors.append(
                    {
                        "name": name,
                        "unique_id": name,
                        "slave": unit,
                        "address": address,
                        "input_type": "input",
                        "data_type": "float32",
                        "precision": 7,
                        "scan_interval": options.scan_interval,
                        **({"virtual_count": count // 2 - 1} if count > 2 else {}),
                    }
                )
                for place in range(count // 2):
                    if (key := by_address.get(address + 2 * place)) is not None:
                        suffix = f"_{place}" if place else ""
                        self._names[f"{_PREFIX}{unit}_{address}{suffix}"] = (unit, key)
        return {"modbus": [{**hub, "sensors": sensors}]}

    async def start(self, hass: HomeAssistant, published: Published) -> None:
        """Set up and begin to publish."""
        configuration = self.configuration()
        note_states(hass, self._names, published)
        if not await async_setup_component(hass, "modbus", configuration):
            raise RuntimeError("Home Assistant did not take the YAML")

    async def stop(self) -> None:
        """Nothing to stop: the instance ends its own."""


def yaml_client(**options: Any) -> ClientFactory:
    """Return a factory of clients with these `YamlOptions`."""
    return partial(YamlClient, options=YamlOptions(**options))
