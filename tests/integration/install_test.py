"""What `cmake --install` leaves is enough to build programs with, in both documented ways."""

import os
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import DEADLINE, MIB, LanwardTest

SOURCE = Path(__file__).parents[2] / "docs" / "examples" / "fetch.cc"
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(lanward REQUIRED)
add_executable(fetch fetch.cc)
target_link_libraries(fetch PRIVATE lanward::lanward)
"""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=4 * DEADLINE, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class Installed(LanwardTest):
    compiler = os.environ.get("COMPILER", "c++")

    @classmethod
    def setUpClass(cls):
        cls.prefix = Path(tempfile.mkdtemp(prefix="lanward-prefix-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix, ignore_errors=True)
        run("cmake", "--install", os.environ["BUILD"], "--prefix", cls.prefix)

    def setUp(self):
        super().setUp()
        self.consumer = self.directory("consumer")
        shutil.copy(SOURCE, self.consumer)

    def check_that_it_fetches(self, program):
        published = self.publish(self.start_origin(), MIB)
        output = self.root / "copy.img"
        run(program, published.url, output, self.root / "cache")
        self.assertEqual(output.read_bytes(), published.path.read_bytes())

    def test_a_project_finds_the_package(self):
        (self.consumer / "CMakeLists.txt").write_text(PROJECT)
        build = self.consumer / "build"
        run("cmake", "-S", self.consumer, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={self.compiler}")
        run("cmake", "--build", build)
        self.check_that_it_fetches(build / "fetch")

    def test_a_compiler_gets_its_flags_from_pkg_config(self):
        places = [path.parent for path in self.prefix.rglob("lanward.pc")]
        self.assertEqual(len(places), 1)
        flags = run("pkg-config", "--cflags", "--libs", "lanward",
                    env={**os.environ, "PKG_CONFIG_PATH": str(places[0])})
        program = self.consumer / "fetch"
        run(self.compiler, self.consumer / "fetch.cc", "-o", program, *shlex.split(flags))
        self.check_that_it_fetches(program)

    def test_the_command_runs_from_where_it_was_installed(self):
        self.assertIn("0.", run(self.prefix / "bin" / "lanward", "--version"))

    def test_the_installed_command_accepts_peers(self):
        published = self.publish(self.start_origin(), MIB)
        output = self.root / "copy.img"
        told = run(self.prefix / "bin" / "lanward", "get", "--json", "--listen", "127.0.0.1:0",
                   published.url, "-o", output)
        self.assertIn('"event":"listening"', told)
        self.assertEqual(output.read_bytes(), published.path.read_bytes())


if __name__ == "__main__":
    unittest.main()
