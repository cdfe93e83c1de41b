"""The parts of the lab that need no network: python3 -m unittest lab_test"""

import types
import unittest

import contenders
import fleet
import network
import report
import scenario
import warm_memory


def parse(text):
    return scenario.parse("s.toml", text)


FILE = '[file]\nsize = "256MiB"\n'


class Bounds(unittest.TestCase):
    MB = 10**6

    def test_a_narrow_wan_decides(self):
        self.assertAlmostEqual(scenario.bound(100 * self.MB, 10 * self.MB, 100 * self.MB, [0] * 8),
                               10.0)

    def test_a_lan_slower_than_the_wan_decides(self):
        self.assertAlmostEqual(scenario.bound(100 * self.MB, 50 * self.MB, 10 * self.MB, [0] * 2),
                               10.0)

    def test_who_joins_last_needs_its_own_link(self):
        self.assertAlmostEqual(scenario.bound(100, 10, 100, [5, 7, 25]), 20 + 1)

    def test_it_counts_from_the_first_join(self):
        self.assertAlmostEqual(scenario.bound(100, 10, 100, [5, 5]), 10)


class Scenarios(unittest.TestCase):
    def refused(self, text, *parts):
        with self.assertRaises(scenario.ScenarioError) as caught:
            parse(text)
        for part in parts:
            self.assertIn(part, str(caught.exception))

    def test_defaults_need_only_a_size(self):
        read = parse(FILE)
        self.assertEqual((read.peers, read.size, read.wan, read.lan, read.seed),
                         (8, 256 << 20, 12_500_000, 125_000_000, 1))
        self.assertEqual(len(read.joins), 8)
        self.assertEqual((read.connection_rate, read.machine_rate, read.faults), (None, None, []))

    def test_units(self):
        self.assertEqual(scenario.size("1.5KiB"), 1536)
        self.assertEqual(scenario.size("2MB"), 2_000_000)
        self.assertEqual(scenario.rate("12MiB/s"), 12 << 20)
        self.assertEqual(scenario.rate("1Gbit"), 125_000_000)
        self.assertAlmostEqual(scenario.duration("500us"), 0.0005)
        self.assertAlmostEqual(scenario.duration("2min"), 120)
        self.assertAlmostEqual(scenario.share("2.5%"), 0.025)

    def test_every_key_of_the_format_is_read(self):
        read = parse('title = "t"\nseed = 3\n' + FILE + 'piece = "256KiB"\n'
                     '[site]\npeers = 4\nwan = "10Mbit"\nlan = "20Mbit"\nconnections = 80\n'
                     'latency = ["500us", "7ms"]\nloss = "1%"\nreorder = "0%"\n'
                     '[origin]\nrtt = "20ms"\nconnection_rate = "8Mbit"\nmachine_rate = "4Mbit"\n'
                     'slow_start = true\n[join]\nwithin = "1s"\nlate = "50%"\nlate_within = "5s"\n'
                     '[policy]\nhttp_delay = "2s"\n[[fault]]\nat = "3s"\nkind = "kill"\npeers = 2\n'
                     'who = "pullers"\n')
        self.assertEqual((read.connection_rate, read.machine_rate), (1_000_000, 500_000))
        self.assertEqual(read.faults, [scenario.Fault(3.0, "kill", 2, "pullers", 0.0)])
        self.assertEqual(read.without_effect,
                         ["site.connections", "site.latency", "site.loss", "site.reorder",
                          "origin.rtt", "origin.slow_start", "policy.http_delay"])

    def test_an_error_names_line_key_value_and_what_is_allowed(self):
        self.refused(FILE + '\n[site]\nwan = "fast"\n', "s.toml:5: site.wan: 'fast': ", "100Mbit")
        self.refused(FILE + "\n[site]\npeers = 0\n", "s.toml:5: site.peers: 0: ", "from 1 to")
        self.refused(FILE + 'piece = "3MiB"\n', "s.toml:3: file.piece: '3MiB': a power of two")
        self.refused('[file]\nsize = 5\n', "s.toml:2: file.size: 5: ", "256MiB")
        self.refused('[file]\nsize = "5XB"\n', "s.toml:2: file.size", "GiB")

    def test_what_is_unknown_is_an_error(self):
        self.refused(FILE + "speed = 1\n", "s.toml:3: file.speed: unknown key", "size, piece")
        self.refused("peer = 1\n" + FILE, "s.toml:1: peer: unknown")
        self.refused(FILE + "[sites]\n", "sites: unknown")

    def test_what_is_missing_is_an_error(self):
        self.refused("[site]\npeers = 2\n", "file.size", "missing")
        self.refused(FILE + '[[fault]]\nkind = "kill"\n', "s.toml:3: fault.at", "missing")

    def test_the_line_of_the_right_table_of_a_list_is_named(self):
        self.refused(FILE + '[[fault]]\nat = "1s"\nkind = "leave"\n[[fault]]\nat = "x"\n',
                     "s.toml:7: fault.at: 'x'")

    def test_a_syntax_error_names_its_line(self):
        self.refused("[file]\nsize = \n", "s.toml:2: ")

    def test_what_only_the_simulator_has_is_refused(self):
        self.refused(FILE + '[churn]\nrate = "10%"\n', "s.toml:3: churn: only lanward-sim")
        self.refused(FILE + '[[fault]]\nat = "1s"\nkind = "partition"\n', "s.toml:5", "lanward-sim")

    def test_somebody_must_stay(self):
        self.refused(FILE + '[[fault]]\nat = "1s"\nkind = "kill"\npeers = 8\n',
                     "s.toml:6: fault.peers: 8: ")

    def test_a_fault_cannot_name_a_peer_that_does_not_exist(self):
        self.refused(FILE + '[[fault]]\nat = "1s"\nkind = "kill"\nwho = [0, 8]\n', "0 to 7")

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(scenario.ScenarioError, "/nowhere.toml: No such file"):
            scenario.read("/nowhere.toml")


class Joins(unittest.TestCase):
    def test_they_fall_within_the_time_given_and_the_first_is_at_zero(self):
        times = scenario.join_times({"within": 2.0}, 50, 7)
        self.assertEqual(min(times), 0)
        self.assertLessEqual(max(times), 2.0)

    def test_equal_seeds_give_equal_times(self):
        self.assertEqual(scenario.join_times({}, 9, 5), scenario.join_times({}, 9, 5))
        self.assertNotEqual(scenario.join_times({}, 9, 5), scenario.join_times({}, 9, 6))

    def test_one_after_another(self):
        self.assertEqual(scenario.join_times({"every": 2.0}, 3, 1), [0, 2, 4])

    def test_late_ones_are_as_many_as_said(self):
        times = scenario.join_times({"within": 0.0, "late": 0.5, "late_within": 100.0}, 10, 1)
        self.assertEqual(sum(time > 0 for time in times), 5)


class Events(unittest.TestCase):
    SUMMARY = ('{"event":"summary","time":"2024-05-01T10:00:00.250Z","elapsed":3.0,"size":9,'
               '"bytes_from_origin":4,"bytes_from_peers":6,"wasted":1,"sources":[]}')

    def test_the_summary_tells_when_and_from_where(self):
        name, value = contenders.read_event(self.SUMMARY)
        self.assertEqual(name, "summary")
        self.assertAlmostEqual(value["at"], 1714557600.25)
        self.assertEqual((value["from_origin"], value["from_peers"], value["wasted"]), (4, 6, 1))

    def test_other_lines_are_passed_over(self):
        for text in ("", "no json", "7", '{"event":"progress"}',
                     '{"event":"state","state":"queued","time":"2024-05-01T10:00:00.250Z"}'):
            self.assertEqual(contenders.read_event(text), (None, None))

    def test_an_error_is_kept(self):
        self.assertEqual(contenders.read_event('{"event":"error","message":"gone"}'),
                         ("error", "gone"))


class Logs(unittest.TestCase):
    LOG = ("1.5 0.2 10.77.1.1 206 1300 1000 /file.bin bytes=0-999\n"
           "1.6 0.2 10.77.1.2 206 500 0 /file.bin -\n"
           "1.7 0.1 10.77.1.2 200 999 700 /other -\n"
           "garbage\n")

    def test_only_the_file_counts(self):
        self.assertEqual(report.read_log(self.LOG, "/file.bin"), (2, 1000, 1800))

    def test_figures_of_a_run(self):
        peers = [fleet.Peer(0, joined=1.0, finished=4.0, cpu=0.5, facts={"wasted": 100}),
                 fleet.Peer(1, joined=2.0, finished=6.0, cpu=1.5, facts={"wasted": 0}, rss=1 << 20),
                 fleet.Peer(2, joined=1.5, gone="kill", cpu=0.1)]
        result = report.measure(types.SimpleNamespace(bound=2.5), peers, self.LOG, 1100, 1000,
                                "/file.bin")
        self.assertAlmostEqual(result["makespan_s"], 5.0)
        self.assertAlmostEqual(result["ratio"], 2.0)
        self.assertAlmostEqual(result["egress"], 1.0)
        self.assertAlmostEqual(result["egress_wire"], 1.1)
        self.assertAlmostEqual(result["wasted"], 0.1)
        self.assertAlmostEqual(result["cpu_s_per_peer"], 0.7)
        self.assertAlmostEqual(result["rss_peak_mib"], 1.0)

    def test_medians_leave_failures_out(self):
        runs = [dict.fromkeys(report.MEASURES, 1.0) | {"error": None}, {"error": "no"},
                dict.fromkeys(report.MEASURES, 3.0) | {"error": None}]
        self.assertEqual(report.medians(runs)["ratio"], 2.0)
        self.assertIsNone(report.medians([{"error": "no"}]))

    def test_a_prediction_counts_from_the_first_join(self):
        peers = [{"joined_ns": 10**9, "took_ns": 2 * 10**9},
                 {"joined_ns": 2 * 10**9, "took_ns": 3 * 10**9},
                 {"joined_ns": 0, "took_ns": None}]
        one = {"egress_bytes": 11, "size_bytes": 10, "wasted_bytes": 1, "per_peer": peers}
        for raw in (one, {"runs": [one]}):
            foretold = report.prediction(raw, 2.0)
            self.assertEqual((foretold["makespan_s"], foretold["ratio"]), (4.0, 2.0))
            self.assertEqual((foretold["egress"], foretold["wasted"]), (1.1, 0.1))


class Torrents(unittest.TestCase):
    def test_bencoding_sorts_keys(self):
        self.assertEqual(contenders.bencode({b"b": 7, b"a": b"xy"}), b"d1:a2:xy1:bi7ee")


class WarmMemory(unittest.TestCase):
    def test_is_given_back_ahead_of_what_the_files_take(self):
        size = warm_memory.AHEAD + 4 * warm_memory.CHUNK
        self.assertEqual(warm_memory.held_after(size, 0), 4)
        self.assertEqual(warm_memory.held_after(size, 1), 4)
        self.assertEqual(warm_memory.held_after(size, 3 * warm_memory.CHUNK), 1)
        self.assertEqual(warm_memory.held_after(size, size), 0)

    def test_of_little_files_is_not_held_at_all(self):
        self.assertEqual(warm_memory.held_after(warm_memory.AHEAD, 0), 0)


class Faults(unittest.TestCase):
    """Whom a fault takes, with processes and a site that only take notes."""

    def setUp(self):
        self.signals = {}
        site = types.SimpleNamespace(
            scenario=types.SimpleNamespace(peers=4, seed=1),
            pullers=lambda: {network.peer_address(2), network.peer_address(3), "10.9.9.9"})
        self.fleet = fleet.Fleet(site, None, None, 60)
        self.fleet.begun = 0.0
        self.addCleanup(self.fleet.selector.close)
        for peer in self.fleet.peers:
            peer.process = types.SimpleNamespace(
                send_signal=lambda number, index=peer.index: self.signals.update({index: number}))

    def test_pullers_are_those_the_origin_serves(self):
        self.fleet.remove_peers(scenario.Fault(0, "kill", 2, "pullers"), 0)
        self.assertEqual(self.signals, {2: 9, 3: 9})

    def test_a_fault_waits_for_pullers(self):
        self.fleet.remove_peers(scenario.Fault(0, "kill", 3, "pullers"), 1)
        self.assertEqual(self.signals, {})
        self.assertEqual(len(self.fleet.timers), 1)

    def test_listed_peers_are_taken_as_listed(self):
        self.fleet.remove_peers(scenario.Fault(0, "leave", 2, [0, 2]), 0)
        self.assertEqual(self.signals, {0: 15, 2: 15})

    def test_any_takes_as_many_as_said_and_nobody_twice(self):
        for _ in range(2):
            self.fleet.remove_peers(scenario.Fault(0, "kill", 2, "any"), 0)
        self.assertEqual(len(self.signals), 4)
        self.assertTrue(all(peer.gone for peer in self.fleet.peers))


if __name__ == "__main__":
    unittest.main()
