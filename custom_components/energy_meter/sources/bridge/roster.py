"""Who is at a bridge: what its hello says, and what its readings show beyond that.

A board that never says hello gets one from what it shows. The first meter is believed at once, any further meter
and any further quantity when it has been seen twice: one damaged letter makes neither.
"""

from collections.abc import Iterable
from dataclasses import replace

from .protocol import MAX_METERS, Hello, MeterHello, phases_of


class Roster:
    """The meters of one bridge."""

    def __init__(self, name: str) -> None:
        """Begin with nobody; `name` is the bridge's until it says hello."""
        self._name = name
        self._said: Hello | None = None
        self._shown: dict[str, dict[str, None]] = {}
        """Quantities that readings showed beyond the hello, per meter, in order."""
        self._seen_once: dict[tuple[str, str | None], None] = {}
        self._known: dict[str, frozenset[str]] = {}
        self.hello: Hello | None = None

    def say(self, hello: Hello) -> None:
        """Take the bridge's own hello; what it no longer lists is gone."""
        self._said = hello
        listed = {meter.id for meter in hello.meters}
        self._shown = {meter: shown for meter, shown in self._shown.items() if meter in listed}
        self._rebuild()

    def knows(self, meter: str) -> bool:
        """Whether the meter is in the hello."""
        return meter in self._known

    def knows_all(self, meter: str, quantities: Iterable[str]) -> bool:
        """Whether the meter is in the hello with all these quantities."""
        known = self._known.get(meter)
        return known is not None and known.issuperset(quantities)

    def quantities(self, meter: str) -> frozenset[str]:
        """What the meter is known to deliver."""
        return self._known.get(meter, frozenset())

    def show(self, meter: str, quantities: Iterable[str]) -> bool:
        """Take what a reading shows; return whether the hello has grown."""
        if meter not in self._known:
            if len(self._known) >= MAX_METERS or (self._known and not self._again(meter, None)):
                return False
            self._shown[meter] = dict.fromkeys(quantities)
        else:
            # A meter that is listed without quantities is believed its first, like a board its first meter.
            known = self._known[meter]
            new = [
                key
                for key in quantities
                if key not in known and (not known or self._again(meter, key))
            ]
            if not new:
                return False
            self._shown.setdefault(meter, {}).update(dict.fromkeys(new))
        self._rebuild()
        return True

    @property
    def is_full(self) -> bool:
        """Whether no further meter is taken."""
        return len(self._known) >= MAX_METERS

    def _again(self, meter: str, key: str | None) -> bool:
        if (meter, key) in self._seen_once:
            del self._seen_once[meter, key]
            return True
        if len(self._seen_once) >= MAX_METERS:
            self._seen_once.clear()
        self._seen_once[meter, key] = None
        return False

    def _rebuild(self) -> None:
        said = self._said or Hello(bridge=self._name, synthesised=True)
        meters = []
        for meter in said.meters:
            more = [key for key in self._shown.get(meter.id, ()) if key not in meter.quantities]
            meters.append(replace(meter, quantities=(*meter.quantities, *more)) if more else meter)
        listed = {meter.id for meter in said.meters}
        meters += [
            MeterHello(id=meter, quantities=tuple(shown), phases=phases_of(shown))
            for meter, shown in self._shown.items()
            if meter not in listed
        ]
        self.hello = replace(said, meters=tuple(meters))
        self._known = {meter.id: frozenset(meter.quantities) for meter in meters}
