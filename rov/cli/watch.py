"""``rov watch``: updates as they come, judged; alerts as lines of JSON, by HTTP or as texts for mail.

The sockets are here: the library takes octets and gives alerts.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import click
import msgspec

from rov import rib
from rov._mrt_peers import Peers
from rov.cli.dumps import OutputType
from rov.cli.shared import EXIT_ERROR, AsnType, PrefixType, read_index, strict_option
from rov.cli.webhook import Webhook, is_receiver
from rov.errors import ArgumentError, RibFileError, VrpFileError
from rov.live.bmp import Bmp, PeerDown
from rov.live.monitor import Alert, Monitor
from rov.live.ris import Lines, updates_of
from rov.rib.mrt import MrtReader
from rov.rib.table import named_peers
from rov.types import Prefix

OCTETS = 1 << 18
"""Read at a time from a session or a pipe."""

STATE_SECONDS = 60.0
"""Between two times that the state is kept: what a crash may cost."""

STALE_SECONDS = 300.0
"""After a restart: by then routers have come back with BMP and sent what they have."""

MAX_SESSIONS = 256
"""BMP sessions at once: more routers than one process should follow."""


def _mail(alerts: list[Alert]) -> str:
    """Alerts as a text that can be sent as it is."""
    first = alerts[0]
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    lines = [f"Subject: rov: {first.prefix} AS{first.origin} {first.event}{more}", ""]
    for alert in alerts:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(alert.time))
        lines.append(f"{moment}  {alert.prefix} AS{alert.origin}: {alert.event}, by {alert.cause}")
        lines.append(f"    is {alert.state} ({alert.reason}); peer {alert.peer or '-'} AS{alert.peer_as}")
        lines += [f"    VRP {vrp}" for vrp in alert.vrps]
    return "\n".join([*lines, "", ""])


class _Out:
    """Where alerts go, and which."""

    def __init__(self, form: str, webhook: str | None, asns: Iterable[int], within: Iterable[Prefix]) -> None:
        self._form, self._webhook = form, Webhook(webhook) if webhook else None
        self._asns, self._within = frozenset(asns), tuple(within)
        self.count = 0

    def _wanted(self, alert: Alert) -> bool:
        if not self._asns and not self._within:
            return True
        if alert.origin in self._asns or any(
            int(vrp.rpartition("AS")[2]) in self._asns for vrp in alert.vrps
        ):
            return True
        prefix = Prefix.parse(alert.prefix)
        return any(block.covers(prefix) for block in self._within)

    def give(self, alerts: list[Alert]) -> None:
        """Those that are wanted."""
        wanted = [alert for alert in alerts if self._wanted(alert)]
        if not wanted:
            return
        self.count += len(wanted)
        lines = [msgspec.json.encode(alert._asdict()) for alert in wanted]
        if self._form == "mail":
            sys.stdout.write(_mail(wanted))
        else:
            sys.stdout.write("".join(f"{line.decode()}\n" for line in lines))
        sys.stdout.flush()
        if self._webhook:
            self._webhook.give(lines)

    def close(self) -> None:
        """Wait for the receiver, if there is one."""
        if self._webhook:
            self._webhook.close()


class _Session:
    """A router that speaks BMP."""

    def __init__(self) -> None:
        self.bmp, self.peers = Bmp(), Peers()
        self.reader = MrtReader("BMP", self.peers)

    def take(self, monitor: Monitor, octets: bytes, now: int) -> list[Alert]:
        self.bmp.receive_data(octets)
        alerts: list[Alert] = []
        for said in self.bmp.take():
            if isinstance(said, PeerDown):
                alerts += monitor.drop(said.address, said.asn, now)
                continue
            for ipv4, ipv6 in self.reader.rows(iter([said])):
                peers = named_peers(self.peers)
                if len(ipv4.lengths):
                    alerts += monitor.take_batch((4, ipv4), peers, session=True)
                if len(ipv6.lengths):
                    alerts += monitor.take_batch((6, ipv6), peers, session=True)
        return alerts

    def end(self, monitor: Monitor, now: int) -> list[Alert]:
        """The session is over: nothing is known of its peers any more."""
        alerts: list[Alert] = []
        for peer in named_peers(self.peers)[1:]:
            address = "" if peer.address is None else str(peer.address).partition("/")[0]
            alerts += monitor.drop(address, peer.asn, now)
        return alerts


class _Watch:
    """The loop: VRPs, files, pipes and sessions, one after the other."""

    def __init__(self, monitor: Monitor, out: _Out, vrps: str, strict: bool) -> None:
        self.monitor, self.out, self.done = monitor, out, set[str]()
        self._vrps, self._strict = vrps, strict
        self._stamp = _stamp(vrps)
        self._selector = selectors.DefaultSelector()
        self._sessions = 0

    def reload(self) -> None:
        """Take the VRP file again, if it changed; one that cannot be read leaves the last set."""
        stamp = _stamp(self._vrps)
        if stamp in (self._stamp, None):
            return
        self._stamp = stamp
        try:
            index = read_index(self._vrps, self._strict)
        except (VrpFileError, OSError) as error:
            click.echo(f"rov: {error}; the last set stays", err=True)
            return
        self.out.give(self.monitor.replace(index, int(time.time())))

    def files(self, sources: Iterable[str]) -> None:
        """Files that were not read yet, those of directories by name."""
        for source in sources:
            path = Path(source)
            names = sorted(str(one) for one in path.iterdir() if one.is_file()) if path.is_dir() else [source]
            for name in names:
                if name not in self.done and not Path(name).name.startswith("."):
                    try:
                        self._file(name)
                    except RibFileError as error:
                        # what is named is expected to be sound; what appears must not end the watch
                        if not path.is_dir():
                            raise
                        click.echo(f"rov: {error}", err=True)
                    self.done.add(name)

    def _file(self, name: str) -> None:
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(name, "rb"))
                first = file.peek(1)[:1]
            except OSError as error:
                raise RibFileError(name, f"cannot be read: {error.strerror}") from error
            if first == b"{":
                self._lines(file)
                return
            if not file.seekable():
                raise RibFileError(
                    name, "expected lines of RIS Live: MRT is read from files, not from a pipe"
                )
        with rib.open(name) as dump:
            for alerts in self.monitor.take_dump(dump):
                self.out.give(alerts)
            for warning in dump.warnings:
                click.echo(f"rov: {warning}", err=True)

    def _lines(self, file: IO[bytes]) -> None:
        whole = Lines()
        while octets := file.read(OCTETS):
            self._json(whole.of(octets))
        self._json(whole.of(b"\n"))

    def _json(self, lines: list[bytes]) -> None:
        updates, bad = updates_of(lines)
        if bad:
            click.echo(f"rov: {bad} lines are no messages of RIS Live", err=True)
        self.out.give(self.monitor.take(updates))

    def pipe(self) -> None:
        """Standard input, as it comes."""
        whole = Lines()

        def ready() -> None:
            octets = os.read(0, OCTETS)
            self._json(whole.of(octets or b"\n"))
            if not octets:
                self._selector.unregister(0)

        try:
            self._selector.register(0, selectors.EVENT_READ, ready)
        except PermissionError:
            # a regular file, which is always ready: epoll takes none
            self._lines(sys.stdin.buffer)

    def listen(self, where: str) -> str:
        """Wait for routers that speak BMP; the address and port."""
        host, _, port = where.rpartition(":")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host.strip("[]"), int(port)), family=family)
        except (ValueError, OverflowError) as error:
            raise click.UsageError(f"--bmp {where}: expected ADDRESS:PORT") from error
        listener.setblocking(False)

        def ready() -> None:
            try:
                connection, _ = listener.accept()
            except OSError:
                # gone again before it was taken
                return
            if self._sessions >= MAX_SESSIONS:
                connection.close()
                return
            connection.setblocking(False)
            self._sessions += 1
            self._selector.register(connection, selectors.EVENT_READ, self._session(connection))

        self._selector.register(listener, selectors.EVENT_READ, ready)
        return "{}:{}".format(*listener.getsockname()[:2])

    def _session(self, connection: socket.socket) -> Callable[[], None]:
        session = _Session()

        def ready() -> None:
            now = int(time.time())
            try:
                octets = connection.recv(OCTETS)
                if octets:
                    self.out.give(session.take(self.monitor, octets, now))
                    return
            except (ArgumentError, RibFileError, OSError) as error:
                click.echo(f"rov: BMP session: {error}", err=True)
            self._selector.unregister(connection)
            connection.close()
            self._sessions -= 1
            self.out.give(session.end(self.monitor, now))

        return ready

    def wait(self, seconds: float) -> bool:
        """Handle what comes within that time; whether anything is open."""
        if not self._selector.get_map():
            return False
        for key, _ in self._selector.select(seconds):
            key.data()
        return bool(self._selector.get_map())


def _stamp(path: str) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


@click.command("watch")
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option("--vrps", required=True, metavar="FILE", help="The VRPs; read again when the file changes.")
@click.option("--bmp", metavar="ADDRESS:PORT", help="Wait here for routers that speak BMP (RFC 7854).")
@click.option(
    "--state",
    type=OutputType(rows=False),
    metavar="FILE",
    help="Keep routes and what was read over a restart.",
)
@click.option("--once", is_flag=True, help="End when all that is there was read.")
@click.option(
    "--poll",
    type=click.FloatRange(0.01),
    default=1.0,
    show_default=True,
    help="Seconds between looks at files.",
)
@click.option("--asn", "asns", type=AsnType(), multiple=True, metavar="AS", help="Alerts that touch this AS.")
@click.option(
    "--prefix", "within", type=PrefixType(), multiple=True, metavar="PREFIX", help="... this prefix."
)
@click.option("--format", "form", type=click.Choice(["json", "mail"]), default="json", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--webhook", metavar="URL", help="POST alerts as a JSON array.")
@click.option("--fail-on", type=click.Choice(["alert"]), help="Exit with 1 if there was an alert.")
@strict_option
def watch(
    sources: tuple[str, ...],
    vrps: str,
    bmp: str | None,
    state: str | None,
    once: bool,
    poll: float,
    asns: tuple[int, ...],
    within: tuple[Prefix, ...],
    form: str,
    as_json: bool,
    webhook: str | None,
    fail_on: str | None,
    strict: bool,
) -> int:
    """Judge updates as they come, and tell which routes become invalid or are so no more.

    SOURCE is a file of MRT updates, one of RIS Live JSON lines, a directory into which such files are put, or
    - for JSON lines on standard input.
    """
    if not sources and not bmp:
        raise click.UsageError("expected SOURCE or --bmp: where updates come from")
    if webhook and not is_receiver(webhook):
        raise click.UsageError(f"--webhook {webhook}: expected a URL of http or https")
    for source in sources:
        if source != "-" and not os.path.exists(source):
            raise click.UsageError(f"{source}: there is no such file or directory")
    monitor = Monitor(read_index(vrps, strict))
    loop = _Watch(monitor, _Out("json" if as_json else form, webhook, asns, within), vrps, strict)
    if state and os.path.exists(state):
        done, alerts = monitor.load(state, int(time.time()))
        loop.done.update(done)
        loop.out.give(alerts)
    if bmp:
        click.echo(f"rov: waiting for BMP on {loop.listen(bmp)}", err=True)
    if "-" in sources:
        loop.pipe()
    files = [source for source in sources if source != "-"]
    # ended by systemd as by a keyboard: what is known is kept
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kept = True
    try:
        _run(loop, files, once, poll, state)
    finally:
        if state:
            kept = _keep(loop, state)
        loop.out.close()
        click.echo(
            f"rov: {monitor.updates:,} updates, {len(monitor):,} routes, {monitor.invalid:,} invalid, "
            f"{loop.out.count:,} alerts",
            err=True,
        )
    if not kept:
        return EXIT_ERROR
    return 1 if fail_on and loop.out.count else 0


def _keep(loop: _Watch, state: str) -> bool:
    """Write the state; a disk that is full for a while must not end the watch."""
    try:
        loop.monitor.save(state, sorted(loop.done))
    except OSError as error:
        click.echo(f"rov: {state}: the state was not kept: {error.strerror or error}", err=True)
        return False
    return True


def _run(loop: _Watch, files: list[str], once: bool, poll: float, state: str | None) -> None:
    """Until nothing is left to come, or somebody ends it."""
    saved = begun = time.monotonic()
    while True:
        loop.reload()
        if loop.monitor.stale and time.monotonic() - begun > STALE_SECONDS:
            loop.out.give(loop.monitor.drop_stale(int(time.time())))
        loop.files(files)
        open_ones = loop.wait(poll)
        if not open_ones and (once or not any(os.path.isdir(name) for name in files)):
            return
        if not open_ones:
            time.sleep(poll)
        if state and time.monotonic() - saved > STATE_SECONDS:
            _keep(loop, state)
            saved = time.monotonic()
