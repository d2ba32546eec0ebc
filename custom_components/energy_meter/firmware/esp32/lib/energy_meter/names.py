"""What the keys of a bare reading mean: `docs/bridge-protocol.md`, "The shortest message".

A name that is not in the table goes on as it is: Home Assistant knows the whole vocabulary and refuses what is not in it.
"""

_TABLE = (
    # quantity, factor to its unit as numerator and denominator, accepted names
    ("voltage", 1, 1, "voltage voltage_v volts volt v vrms v_rms u urms"),
    ("voltage", 1, 1000, "voltage_mv mv"),
    ("current", 1, 1, "current current_a current_i amps amp ampere amperes a i irms i_rms"),
    ("current", 1, 1000, "current_ma ma i_ma"),
    ("power", 1, 1, "power power_w watts watt w p active_power real_power"),
    ("power", 1000, 1, "power_kw kw active_power_kw"),
    ("apparent_power", 1, 1, "apparent_power apparent_power_va va s apparent"),
    ("apparent_power", 1000, 1, "apparent_power_kva kva"),
    ("reactive_power", 1, 1, "reactive_power reactive_power_var var vars q reactive"),
    ("reactive_power", 1000, 1, "reactive_power_kvar kvar"),
    ("power_factor", 1, 1, "power_factor powerfactor pf cos_phi cosphi"),
    ("frequency", 1, 1, "frequency frequency_hz freq hz f"),
    ("energy_import", 1, 1, "energy energy_kwh kwh energy_import energy_import_kwh import_kwh"),
    ("energy_import", 1, 1000, "energy_wh wh energy_import_wh import_wh"),
    ("energy_import", 1, 3600000, "energy_j joules joule"),
    ("energy_export", 1, 1, "energy_export energy_export_kwh export_kwh"),
    ("energy_export", 1, 1000, "energy_export_wh export_wh"),
    ("temperature", 1, 1, "temperature temperature_c temp temp_c"),
)
METER_KEYS = ("meter", "id", "node", "device", "channel")
_KNOWN = 64
_known = {}


def meaning(name):
    """(quantity, numerator, denominator) of a key of a bare reading, or None if it is no name at all."""
    found = _known.get(name)
    if found is None:
        found = _meaning(name)
        if len(_known) < _KNOWN:
            _known[name] = found
    return found or None


def normalised(name):
    """Lower case, with underscores for blanks, hyphens and dots."""
    return name.lower().replace(" ", "_").replace("-", "_").replace(".", "_")


def is_id(text):
    """Whether it can be the id of a meter or a bridge: 1 to 32 letters, digits, `-`, `_`."""
    return isinstance(text, str) and 0 < len(text) <= 32 and _all_of(text, "-_")


def _all_of(text, others):
    return all("a" <= c <= "z" or "A" <= c <= "Z" or "0" <= c <= "9" or c in others for c in text)


def _meaning(name):
    name = normalised(name)
    plain = _looked_up(name)
    if plain:
        return plain
    for phase in "123":
        if name.endswith(phase) and not name.endswith("_l" + phase):
            base = _looked_up(name[:-1].rstrip("_"))
        elif "_l" + phase + "_" in name + "_":
            base = _looked_up((name + "_").replace("_l" + phase + "_", "_", 1).strip("_"))
        else:
            continue
        if base:
            return ("%s_l%s" % (base[0], phase), base[1], base[2])
    if 0 < len(name) <= 40 and _all_of(name, "_"):
        return (name, 1, 1)
    return ()


def _looked_up(name):
    for quantity, numerator, denominator, names in _TABLE:
        if name in names.split():
            return (quantity, numerator, denominator)
    return None
