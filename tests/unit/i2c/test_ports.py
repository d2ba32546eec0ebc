"""The buses of this machine."""

from pathlib import Path

from custom_components.energy_meter.sources.i2c.ports import BusPort, list_buses


def test_buses_are_listed_with_their_adapters(tmp_path: Path) -> None:
    devices, sysfs = tmp_path / "dev", tmp_path / "sys"
    devices.mkdir()
    for number in (1, 20):
        (devices / f"i2c-{number}").touch()
    (devices / "i2c-odd").touch()
    (sysfs / "i2c-1").mkdir(parents=True)
    (sysfs / "i2c-1" / "name").write_text("bcm2835 (i2c@7e804000)\n")
    assert list_buses(devices, sysfs) == [
        BusPort(1, "bcm2835 (i2c@7e804000)", usable=True),
        BusPort(20, "", usable=True),
    ]
    assert list_buses(tmp_path / "nowhere", sysfs) == []
