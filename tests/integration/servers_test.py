"""Servers and proxies that are not nginx, as Debian ships them, in throw-away configurations."""

import json
import os
import re
import shutil
import socket
import subprocess
import unittest

from support import MIB, NETWORK, START_TRIES, LanwardTest, Origin, sha256, start, stop, wait_until

SIZE = 6 * MIB + 12345


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class SecureOrigin(Origin):
    """nginx over TLS, for the name localhost."""

    def __init__(self, root, identity):
        self.identity = identity
        super().__init__(root)

    def config(self):
        certificate, key = self.identity
        return (super().config().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{self.port} ssl", 1)
                .replace("    root", f"    ssl_certificate {certificate};\n"
                                     f"    ssl_certificate_key {key};\n    root", 1))

    def url(self, name):
        return f"https://localhost:{self.port}/{name}"


class Servers(LanwardTest):
    def setUp(self):
        super().setUp()
        # Servers that were started by root run as somebody else.
        self.root.chmod(0o777)

    def identity(self):
        """Certificate and key of localhost, signed by itself."""
        key, certificate = self.root / "key.pem", self.root / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        key.chmod(0o644)
        return certificate, key

    def www(self):
        directory = self.directory("www")
        directory.chmod(0o755)
        return directory

    def launch(self, program, package, arguments, config=None):
        """Starts a server whose arguments, and configuration, depend on a free port; the port."""
        binary = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        self.assertIsNotNone(binary, f"{program} is not installed: apt-get install {package}")
        home = self.directory(program)
        home.chmod(0o777)
        log = home / "output"
        for _ in range(START_TRIES):
            port = free_port()
            if config is not None:
                (home / "config").write_text(config(port, home))
            with open(log, "wb") as output:
                process = start([binary, *arguments(port, home)], cwd=home, stdout=output,
                                stderr=output, env={**os.environ, "HOME": str(home),
                                                    "XDG_CONFIG_HOME": str(home),
                                                    "XDG_DATA_HOME": str(home)})
            self.addCleanup(stop, process)
            wait_until(lambda p=port, s=process: accepts(p) or s.poll() is not None,
                       f"{program} starts")
            if process.poll() is None:
                return port
        raise AssertionError(f"{program} did not start: {log.read_text()[-2000:]}")

    def fetch(self, www, url, *arguments):
        """Fetches one file with a manifest beside it and one without; both come in ranges."""
        for name, integrity in (("with.img", "manifest"), ("without.img", "transport")):
            path = self.make_file(www / name, SIZE)
            if integrity == "manifest":
                publish = self.start_lanward("publish", path, "--url", url(name), "--json")
                self.assertEqual(publish.wait(), 0, publish.story())
            output = self.root / f"copy-{name}"
            process = self.get(url(name), output, "--no-peers", *arguments)
            self.assertEqual(sha256(output), sha256(path), process.story())
            self.assertEqual(process.summary["integrity"], integrity)
            self.assertEqual(process.summary["bytes_from_origin"], SIZE)
            self.assertEqual(process.summary["wasted"], 0)
            for note in process.find("note"):
                self.assertNotIn("no ranges", note["message"])

    def assert_ranges(self, statuses):
        """Several parts were asked for besides the probes, and no whole file."""
        self.assertGreaterEqual(statuses.count("206"), 6, statuses)

    def test_apache(self):
        modules = "/usr/lib/apache2/modules"
        www = self.www()

        def config(port, home):
            load = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n"
                           for name in ("mpm_event", "authz_core"))
            return (f"ServerName localhost\n{load}Listen 127.0.0.1:{port}\nPidFile {home}/pid\n"
                    f"DefaultRuntimeDir {home}\nUser nobody\nGroup nogroup\n"
                    f"ErrorLog {home}/error\nDocumentRoot {www}\n"
                    f"GlobalLog {home}/access \"%>s\"\n")

        port = self.launch("apache2", "apache2-bin",
                           lambda port, home: ["-D", "FOREGROUND", "-d", home, "-f",
                                               home / "config"], config)
        self.fetch(www, lambda name: f"http://127.0.0.1:{port}/{name}")
        self.assert_ranges((self.root / "apache2" / "access").read_text().split())

    def caddy(self, www, scheme, tls=""):
        def config(port, home):
            return (f"{{\n  admin off\n  auto_https off\n}}\n{scheme}://localhost:{port} {{\n"
                    f"  bind 127.0.0.1\n  root * {www}\n  file_server\n{tls}"
                    f"  log {{\n    output file {home}/access\n    format json\n  }}\n}}\n")

        port = self.launch("caddy", "caddy",
                           lambda port, home: ["run", "--config", home / "config", "--adapter",
                                               "caddyfile"], config)
        return lambda name: f"{scheme}://localhost:{port}/{name}"

    def caddy_replies(self):
        lines = (self.root / "caddy" / "access").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if "status" in entry]

    def test_caddy(self):
        www = self.www()
        self.fetch(www, self.caddy(www, "http"))
        self.assert_ranges([str(reply["status"]) for reply in self.caddy_replies()])

    def test_caddy_over_http2(self):
        www, (certificate, key) = self.www(), self.identity()
        url = self.caddy(www, "https", f"  tls {certificate} {key}\n")
        self.fetch(www, url, "--ca-file", certificate, "--http2")
        self.assert_ranges([str(reply["status"]) for reply in self.caddy_replies()])
        self.assertEqual({reply["request"]["proto"] for reply in self.caddy_replies()},
                         {"HTTP/2.0"})

    def test_varnish_before_nginx(self):
        origin = self.start_origin()
        port = self.launch("varnishd", "varnish",
                           lambda port, home: ["-F", "-a", f"127.0.0.1:{port}", "-b",
                                               f"127.0.0.1:{origin.port}", "-n", home / "work",
                                               "-s", "malloc,64m", "-j", "none"])
        self.fetch(origin.www, lambda name: f"http://127.0.0.1:{port}/{name}")
        # It has fetched each file once and cut the ranges out itself.
        self.assertEqual([r.status for r in origin.requests("without.img")], [200])

    def squid(self, access="http_access allow all\n"):
        def config(port, home):
            return (f"http_port 127.0.0.1:{port}\n{access}cache deny all\n"
                    f"pid_filename none\nnetdb_filename none\ncoredump_dir none\n"
                    f"access_log stdio:{home}/access\ncache_log {home}/cache\n"
                    f"shutdown_lifetime 0 seconds\nforwarded_for delete\n"
                    f"cache_effective_user nobody\ncache_effective_group nogroup\n")

        port = self.launch("squid", "squid",
                           lambda port, home: ["-N", "-f", home / "config"], config)
        return f"127.0.0.1:{port}"

    def squid_that_wants_digest(self):
        users = self.root / "users"
        users.write_text("us:secret\n")
        return self.squid(
            f"auth_param digest program /usr/lib/squid/digest_file_auth {users}\n"
            "auth_param digest realm here\nauth_param digest children 1 startup=1\n"
            "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n")

    def squid_methods(self):
        access = (self.root / "squid" / "access").read_text()
        return set(re.findall(r" (GET|CONNECT) ", access))

    def test_squid_as_a_proxy(self):
        proxy, origin = self.squid(), self.start_origin()
        self.fetch(origin.www, origin.url, "--proxy", f"http://{proxy}")
        self.assert_ranges([str(r.status) for r in origin.requests()])
        wait_until(lambda: self.squid_methods() == {"GET"}, "squid tells what it passed on")

    def test_squid_as_a_tunnel(self):
        proxy, identity = self.squid(), self.identity()
        origin = SecureOrigin(self.root / "secure", identity)
        self.addCleanup(origin.stop)
        self.fetch(origin.www, origin.url, "--proxy", f"http://{proxy}", "--ca-file", identity[0])
        statuses = [line.split()[2] for line in origin.log.read_text().splitlines()]
        self.assert_ranges(statuses)
        wait_until(lambda: self.squid_methods() == {"CONNECT"}, "squid tells what it passed on")

    def test_squid_that_wants_digest(self):
        proxy, origin = self.squid_that_wants_digest(), self.start_origin()
        self.fetch(origin.www, origin.url, "--proxy", f"http://us:secret@{proxy}")
        refused = self.get_failing(NETWORK, origin.url("with.img"), self.root / "refused",
                                   "--no-peers", "--proxy", f"http://us:wrong@{proxy}")
        self.assertIn("407", refused.error["message"])

    def test_squid_that_wants_digest_for_a_tunnel(self):
        proxy, identity = self.squid_that_wants_digest(), self.identity()
        origin = SecureOrigin(self.root / "secure", identity)
        self.addCleanup(origin.stop)
        arguments = ["--ca-file", identity[0]]
        self.fetch(origin.www, origin.url, "--proxy", f"http://us:secret@{proxy}", *arguments)
        refused = self.get_failing(NETWORK, origin.url("with.img"), self.root / "refused",
                                   "--no-peers", "--proxy", f"http://us:wrong@{proxy}", *arguments)
        self.assertIn("407", refused.error["message"])


if __name__ == "__main__":
    unittest.main()
