"""What several checks build their board of."""

from energy_meter.clock import Clock


class Moved:
    """A clock that stands still until a check moves it."""

    def __init__(self):
        self.now = 1000
        self.clock = Clock(lambda: self.now, lambda a, b: a - b)

    def passes(self, milliseconds):
        self.now += milliseconds
        self.clock.ms()


class FakeBridge:
    """Stands for the bridge where only one part of the firmware is looked at; remembers what it is told."""

    def __init__(self, clock, outbox=None):
        self.clock = clock
        self.outbox = outbox
        self.desk = self
        self.told = []

    def hello(self):
        return b'{"type":"hello","v":1}'

    def unsaid(self):
        return []

    def heard(self):
        pass

    def acked(self):
        self.told.append("acked")

    def set_time(self, unix_ms):
        self.told.append(("time", unix_ms))

    def ask(self, message, reply):
        self.told.append(message)
        reply(b'{"type":"ack"}')

    def show(self, *what):
        self.told.append(("show",) + what)

    def new(self, meter, _node, _node_id, told):
        self.told.append(("new", meter, told))

    def event(self, *what):
        self.told.append(("event",) + what)

    def interrupted(self, meter):
        self.told.append(("interrupted", meter))

    def log(self, *what):
        self.told.append(("log",) + what)

    def trouble(self, text):
        self.told.append(("trouble", text))


def raises(kind, function, *arguments):
    """The exception that a call raises; fails if it raises none."""
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError("nothing was raised")
