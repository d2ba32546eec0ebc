"""Links: one spelling for one line, clear errors, and the shared connection's own params."""

from homeassistant.components.modbus import connection as core
from hypothesis import given, strategies as st
from modbus_connection import ModbusSerialParams, ModbusTcpParams, ModbusTlsParams, ModbusUdpParams
import pytest

from custom_components.energy_meter.sources.modbus.link import (
    BAUDRATES,
    LinkError,
    LinkSettings,
    RtuOverTcpLink,
    SerialLink,
    SerialSettings,
    TcpLink,
    TlsLink,
    UdpLink,
    device_name,
    link_from_data,
    normalise_device,
    normalise_host,
)

hosts = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z][a-z0-9]{0,10}){0,3}\Z").filter(
    lambda host: not host.replace(".", "").isdigit()
)
addresses = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
ports = st.integers(1, 65535)
settings = st.builds(
    SerialSettings,
    baudrate=st.sampled_from(BAUDRATES),
    bytesize=st.sampled_from((7, 8)),
    parity=st.sampled_from(("N", "E", "O")),
    stopbits=st.sampled_from((1, 2)),
)
links: st.SearchStrategy[LinkSettings] = st.one_of(
    st.builds(
        SerialLink,
        device=st.sampled_from(
            (
                "/dev/ttyUSB0",
                "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0",
                "esphome-hass://esphome/01J0?port_name=RS485+Bus",
                "rfc2217://192.0.2.7:4000",
                "socket://[2001:db8::1]:4196",
            )
        ),
        settings=settings,
    ),
    st.builds(TcpLink, host=hosts | addresses, port=ports),
    st.builds(UdpLink, host=hosts | addresses, port=ports),
    st.builds(
        TlsLink,
        host=hosts | addresses,
        port=ports,
        verify_ssl=st.booleans(),
        authority_file=st.sampled_from(["", "/config/ca.pem"]),
        certificate_file=st.just("/config/own.pem"),
        key_file=st.sampled_from(["", "/config/own.key"]),
    ),
    st.builds(TlsLink, host=hosts | addresses, port=ports, verify_ssl=st.booleans()),
    st.builds(
        RtuOverTcpLink, host=hosts | addresses, port=ports, baudrate=st.sampled_from(BAUDRATES)
    ),
)


@given(links)
def test_a_link_survives_being_stored(link: LinkSettings) -> None:
    assert link_from_data(link.to_data()) == link


@given(links)
def test_the_shared_connection_takes_the_params_as_they_are(link: LinkSettings) -> None:
    assert core._canonical(link.params) == link.params
    assert link.endpoint == link.params.endpoint


@given(hosts | addresses, ports)
def test_a_bridge_is_shared_with_integrations_that_name_it_in_the_old_way(
    host: str, port: int
) -> None:
    with pytest.warns(DeprecationWarning, match="RTU frames a serial line"):
        theirs = ModbusTcpParams(host=host, port=port, framer="rtu")
    assert RtuOverTcpLink(host=host, port=port, baudrate=2400).params == core._canonical(theirs)


def test_params_say_what_the_user_set() -> None:
    serial = SerialSettings(baudrate=19200, bytesize=7, parity="E", stopbits=2)
    assert SerialLink(device="/dev/ttyS1", settings=serial).params == ModbusSerialParams(
        device="/dev/ttyS1", baudrate=19200, bytesize=7, parity="E", stopbits=2
    )
    assert TcpLink(host="192.0.2.7").params == ModbusTcpParams(host="192.0.2.7", port=502)
    assert UdpLink(host="192.0.2.7", port=1).params == ModbusUdpParams(host="192.0.2.7", port=1)
    assert TlsLink(host="gw.local", verify_ssl=False).params == ModbusTlsParams(
        host="gw.local", port=802, verify=False, check_hostname=False
    )


def test_a_socket_device_is_the_line_of_the_bridge_it_names() -> None:
    socket = SerialLink(device="socket://Bridge.Local:4196", settings=SerialSettings(baudrate=2400))
    assert socket.params == RtuOverTcpLink(host="bridge.local", port=4196).params
    assert socket.timing() == RtuOverTcpLink(host="x", port=1, baudrate=2400).timing()
    assert socket.serial_settings is None
    assert socket.with_settings(SerialSettings()) is socket


@pytest.mark.parametrize(
    ("given_host", "expected"),
    [
        ("Gateway.Local", "gateway.local"),
        (" gateway. ", "gateway"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("FE80::1%eth0", "fe80::1%eth0"),
        ("meter_1", "meter_1"),
    ],
)
def test_hosts_have_one_spelling(given_host: str, expected: str) -> None:
    assert normalise_host(given_host) == expected


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "999.1.1.1", "1.2.3", "-a", "a..b", "http://x", "x" * 300, "[::1", "a:b"],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(LinkError) as caught:
        normalise_host(host)
    assert (caught.value.field, caught.value.key) == ("host", "invalid_host")


@pytest.mark.parametrize(
    ("data", "field", "key"),
    [
        ({}, "transport", "invalid_transport"),
        ({"transport": "pigeon"}, "transport", "invalid_transport"),
        ({"transport": "serial"}, "device", "missing_value"),
        ({"transport": "serial", "device": "ttyUSB0"}, "device", "invalid_device"),
        ({"transport": "serial", "device": "ftp://x:1"}, "device", "invalid_device"),
        ({"transport": "serial", "device": "socket://bridge"}, "device", "invalid_device"),
        ({"transport": "serial", "device": "rfc2217://a:99999"}, "device", "invalid_device"),
        (
            {"transport": "serial", "device": "/dev/x", "baudrate": "fast"},
            "baudrate",
            "not_a_number",
        ),
        ({"transport": "serial", "device": "/dev/x", "baudrate": True}, "baudrate", "not_a_number"),
        ({"transport": "serial", "device": "/dev/x", "baudrate": 96.5}, "baudrate", "not_a_number"),
        (
            {"transport": "serial", "device": "/dev/x", "baudrate": 1},
            "baudrate",
            "invalid_baudrate",
        ),
        (
            {"transport": "serial", "device": "/dev/x", "bytesize": 9},
            "bytesize",
            "invalid_bytesize",
        ),
        ({"transport": "serial", "device": "/dev/x", "parity": "X"}, "parity", "invalid_parity"),
        (
            {"transport": "serial", "device": "/dev/x", "stopbits": 3},
            "stopbits",
            "invalid_stopbits",
        ),
        ({"transport": "tcp"}, "host", "missing_value"),
        ({"transport": "tcp", "host": "x", "port": 0}, "port", "invalid_port"),
        ({"transport": "udp", "host": "x", "port": float("inf")}, "port", "not_a_number"),
        ({"transport": "rtu_over_tcp", "host": "x", "baudrate": 0}, "baudrate", "invalid_baudrate"),
    ],
)
def test_wrong_data_names_the_field(data: dict[str, object], field: str, key: str) -> None:
    with pytest.raises(LinkError) as caught:
        link_from_data(data)
    assert (caught.value.field, caught.value.key) == (field, key)


def test_forms_may_give_numbers_as_text_and_parity_in_small_letters() -> None:
    link = link_from_data(
        {"transport": "serial", "device": "/dev/ttyUSB0", "baudrate": "2400", "parity": "e"}
    )
    assert link.describe() == "ttyUSB0 2400 8E1"


def test_only_local_paths_are_looked_up_by_id() -> None:
    asked: list[str] = []

    def by_id(path: str) -> str:
        asked.append(path)
        return "/dev/serial/by-id/usb-x"

    assert normalise_device("/dev/ttyUSB0", by_id) == "/dev/serial/by-id/usb-x"
    assert normalise_device("/dev/serial/by-id/usb-y", by_id) == "/dev/serial/by-id/usb-y"
    assert normalise_device("RFC2217://Host:1", by_id) == "rfc2217://host:1"
    assert asked == ["/dev/ttyUSB0"]


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("/dev/ttyUSB0", "ttyUSB0"),
        ("/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A10K-if00-port0", "FTDI FT232R USB UART A10K"),
        ("esphome-hass://esphome/01J0?port_name=RS485+Bus", "ESPHome RS485 Bus"),
        ("rfc2217://192.0.2.7:4000", "192.0.2.7:4000"),
    ],
)
def test_ports_have_names_for_people(device: str, name: str) -> None:
    assert device_name(device) == name


def test_titles() -> None:
    link = SerialLink(device="/dev/ttyUSB0")
    assert link.describe() == "ttyUSB0 9600 8N1"
    assert link.describe("USB adapter FTDI") == "USB adapter FTDI 9600 8N1"
    assert TcpLink(host="192.0.2.7").describe() == "192.0.2.7:502"
    assert TcpLink(host="2001:db8::1").describe() == "[2001:db8::1]:502"
