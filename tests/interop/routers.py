"""Real router software as RTR clients: started against a cache, asked for what it holds."""

from __future__ import annotations

import contextlib
import getpass
import grp
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import rov
from tests.interop.processes import START_SECONDS, Process, parse_vrp, vrp_text
from tests.ports import free_port

Programs: TypeAlias = Callable[[str], str]
"""The fixture ``program``: the path of a program by its name."""

BIRD_CONFIG = """
log "{log}" all;
router id 192.0.2.1;
roa4 table rpki4;
roa6 table rpki6;
protocol rpki cache {{
  roa4 {{ table rpki4; }};
  roa6 {{ table rpki6; }};
  remote "127.0.0.1" port {port};
  transport {transport};
  retry keep 1;
  refresh keep {refresh};
  expire keep 600;
}}
"""

BIRD_ROA = re.compile(r"^(?:\d{4}-| )?([0-9a-f.:]+)/(\d+)-(\d+) AS(\d+) ", re.MULTILINE)
BIRD_LAST_LINE = re.compile(rb"(?:^|\n)(\d{4}) [^\n]*\n$")


class Bird(Process):
    """BIRD 2 as an RTR client, with its control socket."""

    def __init__(
        self, program: Programs, port: int, directory: Path, refresh: int = 1, transport: str = "tcp"
    ) -> None:
        config, self.control = directory / "bird.conf", directory / "bird.ctl"
        values = {"log": directory / "bird.log", "port": port, "refresh": refresh, "transport": transport}
        config.write_text(BIRD_CONFIG.format(**values))
        command = [program("bird"), "-f", "-c", str(config), "-s", str(self.control)]
        super().__init__([*command, "-P", str(directory / "bird.pid")], directory / "bird.log")
        self._socket: socket.socket | None = None

    def ready(self) -> bool:
        """Whether its control socket takes connections: the file is there a moment earlier."""
        self.running()
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.control))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def ask(self, command: str) -> str:
        """The answer to one command. One at a time: BIRD drops a socket with about eight in its queue."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(START_SECONDS)
            self._socket.connect(str(self.control))
            self._answer()
        self._socket.sendall(command.encode() + b"\n")
        return self._answer()

    def _answer(self) -> str:
        assert self._socket is not None
        chunks: list[bytes] = []
        tail = b""
        while not BIRD_LAST_LINE.search(tail):
            chunk = self._socket.recv(1 << 20)
            assert chunk, f"BIRD closed its control socket:\n{self.log_tail()}"
            chunks.append(chunk)
            tail = (tail + chunk)[-4096:]
        return b"".join(chunks).decode()

    def table(self) -> set[str]:
        """Both ROA tables as texts ADDRESS/LENGTH-MAX_LENGTH ASn."""
        return {vrp_text(*row) for name in ("rpki4", "rpki6") for row in self._rows(name)}

    def _rows(self, name: str) -> Iterator[tuple[str, str, str, str]]:
        for match in BIRD_ROA.finditer(self.ask(f"show route table {name}")):
            address, length, max_length, asn = match.groups()
            yield address, length, max_length, asn

    def count(self) -> int:
        """How many VRPs both tables hold."""
        answers = (self.ask(f"show route count table {name}") for name in ("rpki4", "rpki6"))
        return sum(int(answer.split("-", 1)[1].split()[0]) for answer in answers)

    def status(self, field: str) -> str:
        """A line of `show protocols all`, such as "Serial number"; empty where it is not shown."""
        found = re.search(rf"{field}:\s*(.*)", self.ask("show protocols all cache"))
        return found.group(1).strip() if found else ""

    def holds(self, texts: set[str]) -> bool:
        """Whether its tables are this set."""
        return self.count() == len(texts) and self.table() == texts

    def received(self) -> tuple[int, int]:
        """How many announcements and withdrawals it has received since it started, both families."""
        answer = self.ask("show protocols all cache")
        counted = [
            sum(map(int, re.findall(rf"Import {kind}:\s+(\d+)", answer))) for kind in ("updates", "withdraws")
        ]
        return counted[0], counted[1]

    def roa_check(self, prefix: str, asn: int) -> int:
        """BIRD's own verdict: 0 unknown, 1 valid, 2 invalid."""
        table = "rpki6" if ":" in prefix else "rpki4"
        answer = self.ask(f"eval roa_check({table}, {prefix}, {asn})")
        found = re.search(r"\(enum \w+\)(\d)", answer)
        assert found, f"roa_check({table}, {prefix}, {asn}): {answer}"
        return int(found.group(1))

    def stop(self) -> int:
        """Its exit code after SIGTERM, with the control socket closed before."""
        if self._socket is not None:
            self._socket.close()
        return super().stop()


FRR_CONFIG = """
log file {log} debugging
debug rpki
rpki
 rpki retry_interval 1
 rpki cache 127.0.0.1 {port} preference 1
exit
"""


FRR_COUNT = re.compile(r"Number of IPv[46] Prefixes: (\d+)")


class Frr(Process):
    """bgpd of FRR with rtrlib, without zebra; its vty socket is asked by vtysh."""

    def __init__(self, program: Programs, port: int, directory: Path) -> None:
        self.directory, self._vtysh = directory, program("vtysh")
        config = directory / "frr.conf"
        config.write_text(FRR_CONFIG.format(log=directory / "frr-bgpd.log", port=port))
        command = [program("bgpd of FRR"), "-f", str(config), "-n", "-S", "-M", "rpki", "-p", "0", "-P", "0"]
        command += ["-i", str(directory / "frr.pid"), "-z", str(directory / "zserv.api")]
        # FRR wants to drop to its own user; whoever runs the tests will do.
        command += ["-u", getpass.getuser(), "-g", grp.getgrgid(os.getgid()).gr_name]
        super().__init__([*command, "--vty_socket", str(directory)], directory / "frr.log")

    def ready(self) -> bool:
        """Whether its vty socket is there."""
        self.running()
        return (self.directory / "bgpd.vty").exists()

    def table(self) -> set[str]:
        """The prefix table as texts; a VRP that occurs twice is an error."""
        answer = self._ask("show rpki prefix-table json")
        rows = json.loads(answer)["prefixes"] if answer.startswith("{") else []
        found = [
            vrp_text(row["prefix"], row["prefixLenMin"], row["prefixLenMax"], row["asn"] % 2**32)
            for row in rows
        ]
        assert len(set(found)) == len(found), "a VRP is held twice"
        return set(found)

    def holds(self, texts: set[str]) -> bool:
        """Whether its table is this set."""
        return self.table() == texts

    def has(self, texts: set[str]) -> bool:
        """Whether so many VRPs are there, as its text output counts them."""
        answer = self._ask("show rpki prefix-table")
        return sum(map(int, FRR_COUNT.findall(answer))) == len(texts)

    def _ask(self, command: str) -> str:
        asked = [self._vtysh, "--vty_socket", str(self.directory), "-d", "bgpd", "-c", command]
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout


GOBGP_CONFIG = """
[global.config]
  as = 64499
  router-id = "192.0.2.1"
  port = -1
[[rpki-servers]]
  [rpki-servers.config]
    address = "127.0.0.1"
    port = {port}
"""

GOBGP_ROW = re.compile(r"^([0-9a-f.:]+)/(\d+) +(\d+) +(\d+) ", re.MULTILINE)

GOBGP_COUNTS = re.compile(r" (\d+)/(\d+)$", re.MULTILINE)


class GoBgp(Process):
    """GoBGP, which speaks version 0 and asks only after a Serial Notify; asked by its command.

    After a connection is lost it sends a Reset Query, but adds the answer to what it holds: unless the
    session id is another one, it keeps what was withdrawn meanwhile.
    """

    def __init__(self, program: Programs, port: int, directory: Path) -> None:
        config, self._command, self._api = directory / "gobgp.toml", program("gobgp"), free_port()
        config.write_text(GOBGP_CONFIG.format(port=port))
        command = [program("gobgpd"), "-f", str(config), "--api-hosts", f"127.0.0.1:{self._api}"]
        super().__init__([*command, "--pprof-disable"], directory / "gobgp.log")

    def ready(self) -> bool:
        """Whether it can be asked."""
        self.running()
        return self._ask("rpki", "server").returncode == 0

    def table(self) -> set[str]:
        """Both tables as texts."""
        answers = (self._ask("rpki", "table", "-a", family).stdout for family in ("ipv4", "ipv6"))
        return {vrp_text(*row) for answer in answers for row in GOBGP_ROW.findall(answer)}

    def holds(self, texts: set[str]) -> bool:
        """Whether its tables are this set."""
        return self.table() == texts

    def has(self, texts: set[str]) -> bool:
        """Whether so many VRPs are there."""
        found = GOBGP_COUNTS.findall(self._ask("rpki", "server").stdout)
        return sum(int(number) for row in found for number in row) == len(texts)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It does not notice an outage before that is over, since it retries only every 30 seconds."""
        self.popen.send_signal(signal.SIGSTOP)
        yield
        self.popen.send_signal(signal.SIGCONT)

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        asked = [self._command, "-p", str(self._api), *command]
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)


RTRCLIENT_LINE = re.compile(r"^([+-]) ([0-9a-f.:]+) +(\d+) - +(\d+) +(-?\d+)", re.MULTILINE)


class RtrClient(Process):
    """rtrclient of rtr-tools that stays connected; it prints each change."""

    def __init__(self, program: Programs, port: int, directory: Path) -> None:
        command = [program("stdbuf"), "-oL", program("rtrclient"), "-p", "tcp", "127.0.0.1", str(port)]
        super().__init__(command, directory / "rtrclient.log")

    def ready(self) -> bool:
        """Whether it runs."""
        return self.running()

    def table(self) -> set[str]:
        """What its changes add up to."""
        found: set[str] = set()
        for sign, *row, asn in RTRCLIENT_LINE.findall(self.log.read_text()):
            text = vrp_text(*row, int(asn) % 2**32)
            assert (text in found) == (sign == "-"), f"{sign} {text} does not follow"
            found = found - {text} if sign == "-" else found | {text}
        return found

    def holds(self, texts: set[str]) -> bool:
        """Whether they add up to this set."""
        return self.table() == texts


OPENBGPD_CONFIG = """
AS 64499
router-id 192.0.2.1
fib-update no
listen on 127.0.0.1 port {bgp}
socket "{socket}"
rtr 127.0.0.1 {{
  port {port}
}}
neighbor 127.0.0.1 {{
  remote-as 64500
  passive
  announce IPv4 unicast
  announce IPv6 unicast
}}
allow from any
"""

EXABGP_CONFIG = """
neighbor 127.0.0.1 {{
  router-id 192.0.2.9;
  local-address 127.0.0.1;
  local-as 64500;
  peer-as 64499;
  connect {bgp};
  family {{ ipv4 unicast; ipv6 unicast; }}
  static {{
{routes}
  }}
}}
"""

OTHER_ORIGIN = 64511

OPENBGPD_STATES = {"not-found": 0, "valid": 1, "invalid": 2}


class OpenBgpd(Process):
    """OpenBGPD, which shows no VRPs: it is judged by their number and by its verdicts on routes.

    ``routes``: prefix to origin; they are announced to it by ExaBGP.
    """

    def __init__(self, program: Programs, port: int, directory: Path, routes: dict[str, int]) -> None:
        self.control, self._bgpctl = directory / "openbgpd.sock", program("bgpctl")
        self._expected: dict[frozenset[str], tuple[tuple[int, int], dict[str, int]]] = {}
        self._routes, bgp, config = routes, free_port(), directory / "openbgpd.conf"
        config.write_text(OPENBGPD_CONFIG.format(bgp=bgp, socket=self.control, port=port))
        config.chmod(0o600)
        command = [program("bgpd of OpenBGPD"), "-d", "-f", str(config)]
        super().__init__(command, directory / "openbgpd.log")
        self._speaker = self._announce(program("exabgp"), bgp, directory)

    def _announce(self, executable: str, bgp: int, directory: Path) -> Process:
        config = directory / "exabgp.conf"
        lines = [
            f"    route {prefix} next-hop {'2001:db8::9' if ':' in prefix else '192.0.2.9'} "
            f"as-path [ 64500 {origin} ];"
            for prefix, origin in self._routes.items()
        ]
        config.write_text(EXABGP_CONFIG.format(bgp=bgp, routes="\n".join(lines)))
        settings = {
            "daemon.user": getpass.getuser(),
            "log.level": "WARNING",
            "api.cli": "false",
            "tcp.bind": "",
            "tcp.delay": "0",
        }
        environment = [f"exabgp.{name}={value}" for name, value in settings.items()]
        return Process(["env", *environment, executable, str(config)], directory / "exabgp.log")

    def ready(self) -> bool:
        """Whether it knows all routes."""
        self.running()
        self._speaker.running()
        return len(self.verdicts()) == len(self._routes)

    def counts(self) -> tuple[int, int]:
        """How many distinct prefixes its VRPs have, IPv4 and IPv6."""
        answer = self._ask("show", "sets")
        found = (
            [entry for entry in json.loads(answer).get("sets", []) if entry["type"] == "ROA"]
            if answer
            else []
        )
        return (found[0]["num_IPv4"], found[0]["num_IPv6"]) if found else (0, 0)

    def has(self, texts: set[str]) -> bool:
        """Whether it holds them: it counts prefixes, not VRPs, but shows its verdicts fast."""
        return self.holds(texts)

    def verdicts(self) -> dict[str, int]:
        """Each route and its state: 0 not found, 1 valid, 2 invalid."""
        answer = self._ask("show", "rib")
        rows = json.loads(answer).get("rib", []) if answer else []
        return {row["prefix"]: OPENBGPD_STATES[row["ovs"]] for row in rows}

    def holds(self, texts: set[str]) -> bool:
        """Whether number and verdicts are those of this set, as far as can be seen."""
        key = frozenset(texts)
        if key not in self._expected:
            self._expected[key] = self._expect(texts)
        return (self.counts(), self.verdicts()) == self._expected[key]

    def _expect(self, texts: set[str]) -> tuple[tuple[int, int], dict[str, int]]:
        prefixes = {text.split("-")[0] for text in texts}
        four = sum(":" not in prefix for prefix in prefixes)
        index = rov.VrpIndex(rov.Snapshot.from_vrps([parse_vrp(text) for text in texts]))
        verdicts = {prefix: int(index.validate(prefix, origin)) for prefix, origin in self._routes.items()}
        return (four, len(prefixes) - four), verdicts

    def _ask(self, *command: str) -> str:
        asked = [self._bgpctl, "-j", "-s", str(self.control), *command]
        ended = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        return ended.stdout if ended.returncode == 0 else ""

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        self._speaker.stop()
        return super().stop()


def routes_about(texts: set[str]) -> dict[str, int]:
    """Routes that tell the VRPs of a set: each at its own length, and one bit beyond its max length.

    Every other of the former has another origin. One origin for each prefix, as a neighbour has one path.
    AS 0 is no origin that a route can have, and an IPv6 /32 confuses ExaBGP about the /32 of its peer.
    """
    routes: dict[str, int] = {}
    for number, vrp in enumerate(sorted(map(parse_vrp, texts))):
        beyond = rov.Prefix(vrp.prefix.family, vrp.prefix.address, min(vrp.max_length + 1, vrp.prefix.bits))
        for prefix, origin in ((beyond, vrp.asn), (vrp.prefix, vrp.asn if number % 2 else OTHER_ORIGIN)):
            if (prefix.family, prefix.length) != (6, 32):
                routes[str(prefix)] = origin or OTHER_ORIGIN
    return routes


class Daemon(Process):
    """A BIRD under a configuration as text."""

    def __init__(self, name: str, config: str, directory: Path, program: Callable[[str], str]) -> None:
        self.control = directory / f"{name}.ctl"
        self._birdc = program("birdc")
        (directory / f"{name}.conf").write_text(config)
        command = [program("bird"), "-f", "-c", str(directory / f"{name}.conf"), "-s", str(self.control)]
        super().__init__([*command, "-P", str(directory / f"{name}.pid")], directory / f"{name}.log")

    def ask(self, command: str) -> str:
        """What birdc shows; empty as long as the daemon does not answer."""
        self.running()
        asked = [self._birdc, "-s", str(self.control), *command.split()]
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False).stdout

    def prefixes(self, what: str) -> set[str]:
        """The prefixes of `show route WHAT`, in both tables."""
        return set(re.findall(r"^([0-9a-f.:]+/\d+) ", self.ask(f"show route {what}"), re.MULTILINE))
