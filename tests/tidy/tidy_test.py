"""Every rule of tidy.py fires on a bad sample and keeps quiet on a good one."""

import pathlib
import tempfile
import unittest

import tidy


def rules(path, text):
    return sorted({rule for _, rule, _ in tidy.check_text(path, text)})


class IncludeTable(unittest.TestCase):
    def test_each_folder_keeps_to_its_row(self):
        bad = [
            ("engine/include/lanward/x.h", '"engine/core/units.h"'),
            ("engine/include/lanward/x.h", "<boost/asio.hpp>"),
            ("engine/core/x.cc", "<lanward/engine.h>"),
            ("engine/core/x.cc", '"engine/ports/loop.h"'),
            ("engine/core/x.cc", "<unistd.h>"),
            ("engine/core/x.cc", "<openssl/evp.h>"),
            ("engine/ports/x.h", '"engine/store/sha256.h"'),
            ("engine/jobs/x.cc", '"engine/store/sha256.h"'),
            ("engine/jobs/x.cc", '"cdn/url.h"'),
            ("engine/jobs/x.cc", "<sys/stat.h>"),
            ("engine/store/x.cc", '"engine/jobs/job.h"'),
            ("engine/store/x.cc", "<curl/curl.h>"),
            ("peer/x.cc", '"cdn/url.h"'),
            ("peer/x.cc", "<sqlite3.h>"),
            ("cdn/x.cc", '"peer/swarm.h"'),
            ("cdn/x.cc", "<libtorrent/session.hpp>"),
            ("api/cli/x.cc", '"engine/core/units.h"'),
            ("simulator/x.cc", '"engine/store/sha256.h"'),
            ("simulator/x.cc", '"cdn/url.h"'),
            ("docs/examples/x.cc", '"engine/core/units.h"'),
        ]
        for path, name in bad:
            self.assertEqual(rules(path, f"#pragma once\n#include {name}\n"), ["include"],
                             f"{path} {name}")

    def test_what_the_row_allows_passes(self):
        good = [
            ("engine/include/lanward/x.h", "<tl/expected.hpp>"),
            ("engine/core/x.cc", "<lanward/error.h>"),
            ("engine/core/x.cc", "<vector>"),
            ("engine/store/x.cc", "<sqlite3.h>"),
            ("engine/store/x.cc", "<sys/stat.h>"),
            ("cdn/x.cc", "<curl/curl.h>"),
            ("peer/x.cc", "<libtorrent/session.hpp>"),
            ("api/host/x.cc", '"peer/swarm.h"'),
            ("api/cli/x.cc", "<lanward/engine.h>"),
            ("simulator/x.cc", '"engine/jobs/job.h"'),
            ("tests/peer/x.cc", "<libtorrent/session.hpp>"),
        ]
        for path, name in good:
            self.assertEqual(rules(path, f"#pragma once\n#include {name}\n"), [], f"{path} {name}")


class Purity(unittest.TestCase):
    def test_threads_devices_and_unordered_containers_are_refused(self):
        for name in ("thread", "mutex", "iostream", "unordered_map", "unordered_set", "random"):
            self.assertEqual(rules("engine/core/x.cc", f"#include <{name}>\n"), ["pure"], name)
            self.assertEqual(rules("engine/store/x.cc", f"#include <{name}>\n"), [], name)

    def test_clocks_and_chance_are_refused(self):
        for call in ("std::chrono::steady_clock::now()", "Clock::now()", "std::random_device d",
                     "rand()", "std::unordered_map<int, int> m"):
            self.assertEqual(rules("engine/core/x.cc", f"auto x = {call};\n"), ["pure"], call)
            self.assertEqual(rules("cdn/x.cc", f"auto x = {call};\n"), [], call)

    def test_floating_point_is_refused_but_for_a_reason(self):
        self.assertEqual(rules("engine/core/x.cc", "double x;\n"), ["float"])
        self.assertEqual(rules("engine/core/x.cc", "double x;  // tidy: allow float:\n"),
                         ["float"])
        self.assertEqual(
            rules("engine/core/x.cc", "double x;  // tidy: allow float: printed only\n"), [])
        self.assertEqual(rules("engine/core/x.cc", '// double\nauto x = "float";\n'), [])
        self.assertEqual(rules("engine/core/x.cc", "auto x = 1'000; double y; auto z = 2'0;\n"),
                         ["float"])


class Text(unittest.TestCase):
    def test_long_lines(self):
        self.assertEqual(rules("cdn/x.cc", "x" * 101), ["columns"])
        self.assertEqual(rules("cdn/CMakeLists.txt", "x" * 101), ["columns"])
        self.assertEqual(rules("cdn/x.cc", "\u00e4" * 100), [])

    def test_long_files(self):
        self.assertEqual(rules("cdn/x.cc", "\n" * 601), ["file"])
        self.assertEqual(rules("cdn/x.cc", "\n" * 600), [])

    def test_todo_needs_an_owner(self):
        for text in ("// TODO: x", "// TODO(): x", "// FIXME(me): x", "// XXX", "// TODO(me)"):
            self.assertEqual(rules("cdn/x.cc", text), ["todo"], text)
        self.assertEqual(rules("cdn/x.cc", "// TODO(ann): measure it"), [])

    def test_headers_need_pragma_once(self):
        self.assertEqual(rules("cdn/x.h", "int x;\n"), ["header"])

    def test_sleeps_in_tests(self):
        for call in ("std::this_thread::sleep_for(1s)", "usleep(1)", "sleep(1)"):
            self.assertEqual(rules("tests/cdn/x.cc", f"{call};\n"), ["sleep"], call)
            self.assertEqual(rules("cdn/x.cc", f"{call};\n"), [], call)


class Functions(unittest.TestCase):
    BODY = "  f();\n"

    def lengths(self, text):
        return [last - first + 1 for first, last in tidy.functions(text)]

    def test_long_functions_are_found_wherever_they_stand(self):
        openings = [
            "void f() {\n",
            "namespace a {\nint X::f(int a,\n      int b) const noexcept {\n",
            "class A {\n public:\n  int f() override {\n",
            "X::X(int a) : a_(a), b_{a} {\n",
            "X::X(int a) : b_{a}, c_{a, {1}} {\n",
            "X::X(int a) noexcept : b_{a}, c_(a) {\n",
            "TEST(A, B) {\n",
            "auto f() -> int {\n",
            "template <class T>\nrequires(A<T>)\nvoid f(T t) {\n",
        ]
        for opening in openings:
            text = opening + self.BODY * 70 + "}\n"
            self.assertIn("function", rules("cdn/x.cc", text), opening)
            text = opening + self.BODY * 60 + "}\n"
            self.assertEqual(rules("cdn/x.cc", text), [], opening)

    def test_what_is_no_function_has_no_length(self):
        for opening in ("namespace a {\n", "struct A {\n", "enum class E {\n",
                        "const int table[] = {\n", "const auto x = f({\n"):
            self.assertEqual(rules("cdn/x.cc", opening + "  1,\n" * 80 + "};\n"), [], opening)

    def test_a_lambda_counts_within_its_function(self):
        text = "void f() {\n  g([](int x) {\n    h(x);\n  });\n}\nint k() {\n}\n"
        self.assertEqual(self.lengths(text), [5, 2])

    def test_braces_in_literals_and_comments_do_not_count(self):
        text = 'void f() {\n  a("{", \'{\');  // {\n  /* { */ b(R"({{)");\n}\nvoid g() {\n}\n'
        self.assertEqual(self.lengths(text), [4, 2])


class Tree(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return [(path, rule) for path, _, rule, _ in tidy.check_tree(root)[0]]

    def test_a_source_that_is_not_built_is_found(self):
        files = {
            "CMakeLists.txt": "add_subdirectory(engine)\n",
            "engine/CMakeLists.txt": "add_library(a core/named.cc)  # core/comment.cc\n",
            "tests/cdn/CMakeLists.txt": "t(a.cc ../support/fake.cc"
                                        " ${CMAKE_CURRENT_SOURCE_DIR}/b.cc\n"
                                        " ${PROJECT_SOURCE_DIR}/docs/examples/get.cc)\n",
        }
        built = ("engine/core/named.cc", "tests/cdn/a.cc", "tests/cdn/b.cc",
                 "tests/support/fake.cc", "docs/examples/get.cc")
        lost = ("engine/core/comment.cc", "engine/core/unnamed.cc", "engine/named.cc")
        found = self.check(files | {path: "int x;\n" for path in built + lost})
        self.assertEqual(sorted(found), sorted((path, "build") for path in lost))


if __name__ == "__main__":
    unittest.main()
