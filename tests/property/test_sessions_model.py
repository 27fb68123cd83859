"""Routers of all versions and one cache through a random life, both real ends, without input or output.

The model is one dictionary: what was served under which session ids and serial. Routers connect, ask, stall,
drop out; octets go over in pieces of any size; the set changes, back and forth; the cache restarts with its
history or without; the clock jumps. After each step, a router that has a set holds exactly what was served
under the session id and serial that it names, as far as its version can carry that.

What it is worth: test_model_mutations.py puts single faults into the code and has it find each.

    diffs      a withdrawal dropped; a step too few or too many; kept over an update; an ASPA withdrawn again
    serials    not advanced over an update; another one in End of Data than that of the payload
    full set   the first one for ever
    notifies   a change within a response not told after it; a change that the version sees never told; two
               in a minute
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History, Keep
from rtr_server.cache.mirror import Mirror
from rtr_server.protocol.client import RouterSession
from rtr_server.protocol.events import ErrorSent
from rtr_server.protocol.limits import Limits
from rtr_server.protocol.session import CacheSession

NOTIFY_INTERVAL = Limits().notify_interval

VRPS = [
    Vrp(Prefix.parse(prefix), length, asn)
    for prefix, length in (("10.0.0.0/8", 8), ("10.0.0.0/9", 24), ("0.0.0.0/0", 0), ("2001:db8::/32", 48))
    for asn in (1, 2)
]
KEYS = [RouterKey(asn, bytes(20), spki) for asn in (1, 2) for spki in (b"a", b"b")]
ASPAS = [Aspa(customer, providers) for customer in (1, 2) for providers in ((0,), (5,), (5, 6))]

snapshots = st.builds(
    Snapshot.from_vrps,
    st.lists(st.sampled_from(VRPS), max_size=8, unique=True),
    st.lists(st.sampled_from(ASPAS), max_size=2, unique_by=lambda aspa: aspa.customer),
    st.lists(st.sampled_from(KEYS), max_size=4, unique=True),
)
routers = st.integers(0, 5)
serials = st.sampled_from([0, 1, 7, 2**31 - 2, 2**32 - 2, 2**32 - 1])


def view(snapshot, version):
    """What a version can carry of a snapshot."""
    return Snapshot.build(
        snapshot.ipv4,
        snapshot.ipv6,
        aspas=snapshot.aspas if version >= 2 else (),
        router_keys=snapshot.router_keys if version >= 1 else (),
    )


class Router:
    """A router's end with its connection: octets on their way in both directions."""

    def __init__(self, version):
        self.version = version
        self.mirror = None
        self.cache_end = None
        self.to_cache = b""

    @property
    def connected(self):
        return self.cache_end is not None


class Sessions(RuleBasedStateMachine):
    """The rules; ``served`` is the model."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.lives = 0
        self.served = {}
        self.all = []
        self.silent = False
        self.history = self.new_history(None, 2**32 - 2)

    def new_history(self, snapshot, serial):
        """A life of its own: session ids that no other one had."""
        self.lives += 1
        ids = {version: self.lives * 3 + version for version in range(3)}
        history = History(ids, serial, snapshot=snapshot, keep=Keep(deltas=4))
        self.remember(history)
        return history

    def remember(self, history):
        if history.ready():
            for version, session_id in history.session_ids.items():
                told = view(history.snapshot, version)
                assert self.served.setdefault((session_id, history.serial), told) == told, "another set"

    # The cache

    @rule(snapshot=snapshots, noticed=st.booleans())
    def update(self, snapshot, noticed):
        changed = self.history.update(snapshot, self.now) is not None
        self.silent = not noticed and (changed or self.silent)
        self.remember(self.history)
        for router in self.all if noticed else ():
            if router.connected:
                router.cache_end.notify(self.now)

    @rule(snapshot=snapshots, serial=serials, forgets=st.sampled_from([False, False, False, True]))
    def crash(self, snapshot, serial, forgets):
        """With a state directory ids, serial, set and steps are there again; without, another life."""
        for router in self.all:
            self.drop(router)
        old = self.history
        if forgets:
            self.history = self.new_history(snapshot if serial else None, serial)
        elif old.ready():
            self.history = History(old.session_ids, old.serial, keep=Keep(deltas=4))
            steps = list(old.steps())
            self.history.resume(steps, old.snapshot, len(steps))
            assert self.history.serials == old.serials
            for router in self.all:
                self.connect(router)

    @rule(size=st.integers(1, 60))
    def a_minute_in_which_all_read(self, size):
        """No poll is needed: who is connected has heard of the last change, and has it."""
        for router in self.all:
            self.all_octets(router, size)
        self.time_passes(NOTIFY_INTERVAL + 1)
        for router in self.all:
            self.all_octets(router, size)
            if router.connected and self.history.ready() and not self.silent:
                assert router.mirror.snapshot == view(self.history.snapshot, router.version)

    @rule(number=routers, taken=st.integers(0, 40), snapshot=snapshots)
    def a_change_within_a_response(self, number, taken, snapshot):
        """It is told when the response is over, if not before."""
        router = self.all[number]
        self.conversation(number, 60)
        if router.connected:
            router.mirror.session.query(self.now)
            self.settle(router)
            self.octets_to_the_cache(router, 60)
            self.octets_from_the_cache(router, taken)
        self.update(snapshot, noticed=True)
        self.a_minute_in_which_all_read(60)

    @rule(several=st.lists(snapshots, min_size=2, max_size=4))
    def changes_in_a_row(self, several):
        """All routers read between them."""
        for snapshot in several:
            self.update(snapshot, noticed=True)
            for router in self.all:
                self.all_octets(router, 60)

    @rule(seconds=st.sampled_from([0.5, 30.0, 61.0, 3700.0]))
    def time_passes(self, seconds):
        """To each deadline that lies in between, as a loop with timers would."""
        until = self.now + seconds
        while True:
            due = [
                (deadline, number, end)
                for number, router in enumerate(self.all)
                if router.connected
                for end in (router.cache_end, router.mirror.session)
                if (deadline := end.deadline()) is not None and deadline <= until
            ]
            if not due:
                break
            deadline, number, end = min(due, key=lambda entry: entry[:2])
            self.now = max(self.now, deadline)
            end.tick(self.now)
            assert end.deadline() is None or end.deadline() > self.now, "a tick does what is due"
            self.settle(self.all[number])
        self.now = until

    # Routers

    @initialize(snapshot=snapshots)
    def begin(self, snapshot):
        """Two routers of each version, connected to a cache that has its first set."""
        self.all = [Router(version) for version in (0, 1, 2) for _ in range(2)]
        self.update(snapshot, noticed=True)
        for router in self.all:
            self.connect(router)

    def connect(self, router):
        """With a Serial Query, where it has a set."""
        old = router.mirror
        known = {}
        if old is not None and old.session.session_id is not None and old.snapshot is not None:
            known = {"session_id": old.session.session_id, "serial": old.session.serial}
        session = RouterSession(version=router.version, min_version=router.version, now=self.now, **known)
        router.mirror = Mirror(session, old.snapshot if known else None)
        router.cache_end = CacheSession(self.history, now=self.now)
        router.to_cache = session.data_to_send()

    @rule(number=routers, to_cache=st.integers(0, 30), to_router=st.integers(0, 200))
    def some_octets(self, number, to_cache, to_router):
        """A query cut anywhere, and part of an answer."""
        router = self.all[number]
        if not router.connected:
            self.connect(router)
        self.octets_to_the_cache(router, to_cache)
        self.octets_from_the_cache(router, to_router)

    @rule(number=routers, size=st.integers(1, 60))
    def conversation(self, number, size):
        """Whatever either end has to say, in pieces; who is not connected connects."""
        router = self.all[number]
        if not router.connected:
            self.connect(router)
        router.mirror.session.query(self.now)
        self.settle(router)
        self.all_octets(router, size)

    def octets_to_the_cache(self, router, size):
        if router.connected and router.to_cache and size and router.cache_end.wants_data:
            router.cache_end.receive_data(router.to_cache[:size], self.now)
            router.to_cache = router.to_cache[size:]
            self.settle(router)

    def octets_from_the_cache(self, router, size):
        if router.connected and size and (chunk := router.cache_end.next_chunk(size)) is not None:
            octets = bytes(chunk)
            router.cache_end.sent(len(octets), self.now)
            router.mirror.receive_data(octets, self.now)
            self.settle(router)

    def all_octets(self, router, size):
        while router.connected and (router.to_cache or router.cache_end.pending):
            self.octets_to_the_cache(router, size)
            self.octets_from_the_cache(router, size)

    @rule(number=routers)
    def connection_breaks(self, number):
        self.drop(self.all[number])

    def drop(self, router):
        if router.connected:
            router.cache_end.receive_eof(self.now)
            router.mirror.session.receive_eof(self.now)
            router.cache_end = None

    def settle(self, router):
        """Take what both ends have to say; end the connection where one of them wants that."""
        router.to_cache += router.mirror.session.data_to_send()
        for event in router.mirror.events():
            assert not isinstance(event, ErrorSent), f"the router finds fault with the cache: {event}"
        if (
            router.cache_end.closing and router.cache_end.next_chunk(1) is None
        ) or router.mirror.session.closing:
            self.drop(router)

    # What always holds

    @invariant()
    def c12_c15_every_router_holds_what_was_served_under_its_serial(self):
        for router in self.all:
            mirror = router.mirror
            if mirror is not None and mirror.snapshot is not None and mirror.session.session_id is not None:
                session = mirror.session
                assert mirror.snapshot == self.served[session.session_id, session.serial]

    @invariant()
    def c41_notifies_are_a_minute_apart(self):
        for router in self.all:
            if router.connected:
                age = self.now - router.cache_end.opened_at
                assert router.cache_end.notifies <= age / NOTIFY_INTERVAL + 1

    def teardown(self):
        """Whoever stays connected and reads is up to date after one more poll: nobody is stuck."""
        for router in self.all:
            self.drop(router)
            self.connect(router)
            self.all_octets(router, 1 << 16)
            if self.history.ready():
                session = router.mirror.session
                assert router.mirror.snapshot == view(self.history.snapshot, router.version)
                assert session.serial == self.history.serial
                assert session.session_id == self.history.session_ids[router.version]


class TestSessions(Sessions.TestCase):
    settings = settings(max_examples=min(settings().max_examples, 50), stateful_step_count=60)
