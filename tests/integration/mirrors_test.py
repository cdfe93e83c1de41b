"""Several HTTP servers of one file side by side: slow, dying and lying ones."""

import shutil
import unittest

from support import KIB, MIB, LanwardTest, bytes_on_disk, flip_byte, wait_until


class Mirrors(LanwardTest):
    def start_mirrors(self, size, rates):
        """The file at as many servers; a rate is that of each connection, of which there are up to
        four. The file takes seconds, so that every server has its turn however busy the machine."""
        origins = [self.start_origin(f"mirror{n}", rate=rate) for n, rate in enumerate(rates)]
        published = self.publish(origins[0], size)
        for origin in origins[1:]:
            shutil.copy(published.path, origin.www)
        return origins, published

    def start_download(self, origins, published, output):
        mirrors = [word for origin in origins[1:]
                   for word in ("--mirror", origin.url(published.name))]
        return self.start_get(published.url, output, "--no-peers", *mirrors)

    def sources(self, origins, published, get):
        """By number of the mirror; the account adds up, and nobody got more than was sent."""
        self.assertEqual(get.wait(), 0, get.story())
        summary = get.find("summary")[0]
        self.check_delivered(published, self.output, summary)
        sources = {source["name"]: source for source in summary["sources"]}
        self.assertEqual(len(sources), len(origins), summary)
        return [sources[origin.url(published.name)] for origin in origins], summary

    def setUp(self):
        super().setUp()
        self.output = self.directory("home") / "copy.img"

    def test_all_of_them_serve_and_the_account_adds_up(self):
        origins, published = self.start_mirrors(24 * MIB, [MIB, 512 * KIB, 256 * KIB])
        get = self.start_download(origins, published, self.output)
        sources, summary = self.sources(origins, published, get)
        for origin, source in zip(origins, sources):
            self.assertGreater(source["received"], 0, summary)
            self.assertLessEqual(source["received"], origin.sent(published.name), summary)
            self.assertFalse(source["banned"], summary)

    def test_one_that_dies_and_one_that_lies_cost_time_and_nothing_else(self):
        rates = [512 * KIB, 512 * KIB, MIB]
        origins, published = self.start_mirrors(8 * MIB, rates)
        _, dying, lying = origins
        for position in range(0, published.size, 16 * KIB):
            flip_byte(lying.www / published.name, position)
        get = self.start_download(origins, published, self.output)
        wait_until(lambda: bytes_on_disk(self.output.parent / ".copy.img.lanward") > MIB
                   or get.process.poll() is not None, "bytes move")
        dying.stop()
        (honest, dead, liar), summary = self.sources(origins, published, get)
        self.assertFalse(honest["banned"], summary)
        self.assertFalse(dead["banned"], summary)
        # Every piece of it is wrong, whoever else had a hand in it.
        self.assertTrue(liar["banned"], summary)
        self.assertGreater(liar["wasted"], 0, summary)
        self.assertGreaterEqual(honest["received"] + dead["received"], published.size)


if __name__ == "__main__":
    unittest.main()
