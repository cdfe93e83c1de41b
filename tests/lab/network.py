"""A site in network namespaces: an origin behind a WAN link, a switch, and a machine per peer.

    origin --(WAN: tbf both ways)-- router + bridge --(LAN: tbf both ways)-- machine 0, 1, ...

The namespaces have no names: they are held by file descriptors and processes, and the kernel
removes them with their links when the last of these is gone, whatever ends the lab. Nothing outside
of them is changed.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
SYS_PIDFD_GETFD = 438
LIBC = ctypes.CDLL(None, use_errno=True)

ORIGIN, WAN_ROUTER = "10.78.0.2", "10.78.0.1"
ROUTER, TRACKER, CACHE = "10.77.0.1", "10.77.0.2", "10.77.0.3"
LAN_NET = "10.77.0.0"
LAN_PREFIX = 16
PEERS_PER_SUBNET = 200

# tbf: what may leave at once. A millisecond's worth, because the kernel's timers are that exact,
# but some full packets on slow links.
BURST_SECONDS = 0.001
BURST_MIN = 16 * 1024
# A machine's own link passes what its kernel sends at once as one packet, as a network card that
# splits it by itself would: 64 KiB, and the headers of the 45 packets on the wire, which the shaper
# counts. Split by the shaper, the packets of a whole site are carried one by one by this computer's
# processor, and that is what would be measured.
BURST_LAN_MIN = 72 * 1024
# tbf: how long a packet may queue before it is dropped; about what a home router buffers.
QUEUE = "50ms"

QUANTUM = 1514  # bytes of one machine before it is the next one's turn; a full packet
# What the origin's kernel keeps of a reply beyond what is in flight. nginx counts it as sent, so a
# request that is given up would count more bytes than it cost.
NOT_SENT_MAX = 128 * 1024

START_SECONDS = 5   # for a server to listen
STOP_SECONDS = 10   # for a server to end after SIGQUIT or SIGTERM
POLL = 0.01         # while waiting for a server to start, never during a measurement
HEADER_BYTES = 66   # Ethernet 14, IP 20, TCP 32 with timestamps

BACKLOG = 1024       # connections that a server has not accepted yet

ATTACH_FILTER = 26       # SO_ATTACH_FILTER
MAX_PACING_RATE = 47     # SO_MAX_PACING_RATE
TIMESTAMP_NS = 35        # SO_TIMESTAMPNS
ETH_P_IP = 0x0800
DATA_BYTES = 1000        # an IP packet this long carries file bytes, not messages


class SiteError(Exception):
    """The lab cannot be built here; the message says why."""


def call(function, *arguments):
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Namespace:
    def __init__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            call(LIBC.unshare, CLONE_NEWNET)
            try:
                self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                # Multicast and neighbours of IPv6 would be traffic that nobody asked for.
                with contextlib.suppress(OSError):
                    self.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
                    self.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
                self.batch("ip", ["link set lo up"])
            finally:
                call(LIBC.setns, home, CLONE_NEWNET)
        finally:
            os.close(home)

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self):
        """What this thread starts or opens meanwhile belongs to the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            call(LIBC.setns, self.fd, CLONE_NEWNET)
            try:
                yield
            finally:
                call(LIBC.setns, home, CLONE_NEWNET)
        finally:
            os.close(home)

    @staticmethod
    def sysctl(name, value):
        """Of the namespace that is entered."""
        with open("/proc/sys/" + name, "w", encoding="ascii") as file:
            file.write(str(value))

    @staticmethod
    def batch(tool, lines):
        """In the namespace that is entered."""
        done = subprocess.run([tool, "-batch", "-"], input="\n".join(lines) + "\n", text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise SiteError(f"{tool} failed: {done.stderr.strip()}")

    def configure(self, ip=(), tc=()):
        with self.entered():
            if ip:
                self.batch("ip", ip)
            if tc:
                self.batch("tc", tc)

    def run(self, *command):
        with self.entered():
            return subprocess.run(command, text=True, capture_output=True, check=True).stdout

    def close(self):
        os.close(self.fd)


def shaper(device, rate, least=BURST_MIN):
    burst = max(least, int(rate * BURST_SECONDS))
    return f"qdisc add dev {device} root tbf rate {rate * 8}bit burst {burst}b latency {QUEUE}"


def machine_shapers(device, wan, machine_rate, peers):
    """The WAN's rate for all together and `machine_rate` for what goes to each of the peers."""
    burst = max(BURST_MIN, int(wan * BURST_SECONDS))
    yield f"qdisc add dev {device} root handle 1: htb"
    yield (f"class add dev {device} parent 1: classid 1:1 htb rate {wan * 8}bit burst {burst}b "
           f"cburst {burst}b")
    for index in range(peers):
        minor = f"{index + 2:x}"
        cap = min(machine_rate, wan)
        yield (f"class add dev {device} parent 1:1 classid 1:{minor} htb "
               f"rate {min(cap, max(1, wan // peers)) * 8}bit ceil {cap * 8}bit "
               f"burst {BURST_MIN}b cburst {BURST_MIN}b quantum {QUANTUM}")
        yield f"qdisc add dev {device} parent 1:{minor} bfifo limit {max(burst, cap // 20)}b"
        yield (f"filter add dev {device} parent 1: protocol ip u32 match ip dst "
               f"{peer_address(index)}/32 flowid 1:{minor}")


def peer_address(index):
    return f"10.77.{1 + index // PEERS_PER_SUBNET}.{1 + index % PEERS_PER_SUBNET}"


def start(command, namespace, identity=(), **options):
    """A process in the namespace that the kernel kills should this one die first.

    identity: options of setpriv. A process that changes its user by itself would lose that.
    """
    with namespace.entered():
        return subprocess.Popen(["setpriv", *identity, "--pdeathsig", "KILL", *map(str, command)],
                                stdin=subprocess.DEVNULL, **options)


def stop(process, how):
    """Ends one process, by force if need be."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def nginx_binary():
    binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if binary is None:
        raise SiteError("nginx is not installed: apt-get install nginx-light")
    return binary


def wait_for_port(namespace, address, port, process, what, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with namespace.entered(), contextlib.suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return
        time.sleep(POLL)
    with contextlib.suppress(OSError):
        raise SiteError(f"{what} did not start: {log.read_text(errors='replace')[-500:].strip()}")
    raise SiteError(f"{what} did not start")


def pace_connections(process, rate):
    """What a server accepts from now on sends at most `rate` bytes per second per connection.

    Connections inherit it from the listening socket. nginx's own limit_rate lets a second's worth
    of bytes go at once with every request.
    """
    pidfd = os.pidfd_open(process.pid)
    try:
        for number in os.listdir(f"/proc/{process.pid}/fd"):
            copy = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, int(number), 0)
            if copy < 0:
                raise SiteError("the connections of nginx cannot be paced on this kernel")
            try:
                pace_if_listening(copy, rate)
            finally:
                os.close(copy)
    finally:
        os.close(pidfd)


def pace_if_listening(descriptor, rate):
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.setsockopt(socket.SOL_SOCKET, MAX_PACING_RATE, struct.pack("Q", rate))


class Nginx:
    """One process of nginx in a namespace, from a server block."""

    LOG = ("$msec $request_time $remote_addr $status $bytes_sent $body_bytes_sent $uri "
           "$http_range")

    def __init__(self, namespace, directory, address, server, extra="", connection_rate=None):
        directory.mkdir(parents=True)
        self.log = directory / "access.log"
        errors = directory / "error.log"
        temporary = "".join(f"  {kind}_temp_path {directory}/tmp-{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = directory / "nginx.conf"
        config.write_text(
            f"daemon off;\nmaster_process off;\nuser root;\npid {directory}/nginx.pid;\n"
            f"error_log {errors};\nevents {{ worker_connections 4096; }}\n"
            f"http {{\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000;\n"
            f"{temporary}{extra}  log_format account '{self.LOG}';\n"
            f"  access_log {self.log} account;\n"
            f"  server {{\n    listen {address}:80 backlog={BACKLOG};\n{server}  }}\n}}\n")
        command = [nginx_binary(), "-p", directory, "-c", config, "-e", errors]
        self.process = start(command, namespace, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        wait_for_port(namespace, address, 80, self.process, "nginx", errors)
        if connection_rate is not None:
            pace_connections(self.process, connection_rate)

    def finish(self):
        """Lets it end what it answers, so that every request is in the log; returns the log."""
        stop(self.process, signal.SIGQUIT)
        return self.log.read_text()


class Site:
    """Everything of one run. close() removes all of it."""

    def __init__(self, scenario, directory, congestion=None, multicast=False):
        self.scenario, self.directory, self.congestion = scenario, directory, congestion
        self.multicast = multicast
        self.stack = contextlib.ExitStack()
        self.refuse = directory / "refuse"  # while it exists the origin answers 429
        self.wan_mark = (0, 0)
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def close(self):
        self.stack.close()

    def namespace(self):
        made = Namespace()
        self.stack.callback(made.close)
        if self.congestion:
            try:
                with made.entered():
                    made.sysctl("net/ipv4/tcp_congestion_control", self.congestion)
            except OSError as error:
                raise SiteError(f"congestion control {self.congestion}: {error.strerror}; those "
                                "allowed are in net.ipv4.tcp_allowed_congestion_control") from None
        return made

    def build(self):
        scenario = self.scenario
        self.router = self.namespace()
        self.origin = self.namespace()
        with self.router.entered():
            Namespace.sysctl("net/ipv4/ip_forward", 1)
            if os.path.exists("/proc/sys/net/bridge"):  # a switch has no firewall
                Namespace.sysctl("net/bridge/bridge-nf-call-iptables", 0)
        self.router.configure(
            ["link add br0 type bridge mcast_snooping 0", f"addr add {ROUTER}/{LAN_PREFIX} dev br0",
             "link set br0 up",
             f"link add wan type veth peer name wan netns {self.origin.path}",
             f"addr add {WAN_ROUTER}/24 dev wan", "link set wan up"],
            [shaper("wan", scenario.wan)])
        self.origin.configure([f"addr add {ORIGIN}/24 dev wan", "link set wan up",
                               f"route add default via {WAN_ROUTER}"], self.origin_shapers())
        with self.origin.entered():
            Namespace.sysctl("net/ipv4/tcp_notsent_lowat", NOT_SENT_MAX)
        self.machines = [self.machine(f"p{i}", peer_address(i), scenario.lan)
                         for i in range(scenario.peers)]

    def origin_shapers(self):
        scenario = self.scenario
        if scenario.machine_rate is None:
            return [shaper("wan", scenario.wan)]
        return list(machine_shapers("wan", scenario.wan, scenario.machine_rate, scenario.peers))

    def machine(self, port, address, rate=None):
        """A namespace on the switch; `rate` limits its link each way."""
        made = self.namespace()
        # No multicast: machines know each other only in the way the run is about.
        flood = "on" if self.multicast else "off"
        self.router.configure(
            [f"link add {port} type veth peer name eth0 netns {made.path}",
             f"link set {port} master br0",
             f"link set {port} type bridge_slave mcast_flood {flood}", f"link set {port} up"],
            [shaper(port, rate, BURST_LAN_MIN)] if rate else [])
        made.configure([f"addr add {address}/{LAN_PREFIX} dev eth0", "link set eth0 up",
                        f"route add default via {ROUTER}"],
                       [shaper("eth0", rate, BURST_LAN_MIN)] if rate else [])
        return made

    def serve_origin(self, www):
        self.nginx = Nginx(self.origin, self.directory / "origin", ORIGIN,
                           f"    root {www};\n"
                           f"    if (-f {self.refuse}) {{ return 429; }}\n",
                           connection_rate=self.scenario.connection_rate)
        self.stack.callback(stop, self.nginx.process, signal.SIGKILL)
        self.wan_mark = self.wan_counters()

    def wan_counters(self):
        """Bytes and packets that the origin has sent over the WAN link."""
        links = json.loads(self.origin.run("ip", "-j", "-s", "link", "show", "dev", "wan"))
        sent = links[0]["stats64"]["tx"]
        return sent["bytes"], sent["packets"]

    def wan_payload(self):
        """Bytes over the WAN since the origin was started, without packet headers.

        The link counts a train of segments as one packet with one header, so this holds for it too.
        """
        size, packets = (now - then for now, then in zip(self.wan_counters(), self.wan_mark))
        return size - packets * HEADER_BYTES, size

    def set_wan(self, up):
        self.origin.configure([f"link set wan {'up' if up else 'down'}"]
                              + ([f"route add default via {WAN_ROUTER}"] if up else []))

    def set_refusing(self, refusing):
        if refusing:
            self.refuse.touch()
        else:
            self.refuse.unlink(missing_ok=True)

    def pullers(self):
        """Addresses that the origin has bytes under way to."""
        found = set()
        for line in self.origin.run("ss", "-Htn", "state", "established", "sport", "=",
                                    ":80").splitlines():
            _, queued, _, remote = line.split()[:4]
            if int(queued) > 0:
                found.add(remote.rsplit(":", 1)[0])
        return found

    def first_data(self, index, lan):
        """A socket that becomes readable when the first packet of data has reached a machine.

        lan: from a machine of the site; otherwise from the origin.
        """
        with self.machines[index].entered():
            watcher = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            attach_filter(watcher, *((LAN_NET, LAN_PREFIX) if lan else (ORIGIN, 32)))
            watcher.setsockopt(socket.SOL_SOCKET, TIMESTAMP_NS, 1)
            watcher.setblocking(False)
            watcher.bind(("eth0", ETH_P_IP))
        return watcher


def attach_filter(watcher, network, prefix):
    """Only TCP packets of some length from a network, decided in the kernel."""
    net = struct.unpack("!I", socket.inet_aton(network))[0]
    mask = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
    load_byte, load_half, load_word, jump_equal, jump_at_least, and_, reply = (
        0x30, 0x28, 0x20, 0x15, 0x35, 0x54, 0x06)
    program = [(load_byte, 0, 0, 9), (jump_equal, 0, 6, socket.IPPROTO_TCP),
               (load_half, 0, 0, 2), (jump_at_least, 0, 4, DATA_BYTES),
               (load_word, 0, 0, 12), (and_, 0, 0, mask), (jump_equal, 0, 1, net),
               (reply, 0, 0, 64), (reply, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    watcher.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER,
                       struct.pack("HL", len(program), ctypes.addressof(code)))


def arrival(watcher):
    """When the packet of first_data arrived, as seconds since the epoch."""
    _, ancillary, _, _ = watcher.recvmsg(64, 128)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == TIMESTAMP_NS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return seconds + nanoseconds / 1e9
    return time.time()
