"""Rules of the house that a compiler does not check. Usage: tidy.py ROOT

Prints one line per finding, "path:line: rule: what is wrong", and ends with 1 if there is any.
A finding with a good reason is allowed on its line: // tidy: allow RULE: the reason
"""

import pathlib
import posixpath
import re
import sys

MAX_COLUMNS = 100
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600

SOURCE_FOLDERS = ("engine", "cdn", "peer", "api", "simulator", "tests", "docs/examples")

# Per folder: what of ours may be included, which packages, and whether system headers may be.
# The longest matching folder counts. It is the include table of the architecture document.
VALUES = ("lanward/error.h", "lanward/types.h")
CORE, PORTS = "engine/core/", "engine/ports/"
EVERYTHING = ("lanward/", "engine/", "cdn/", "peer/", "api/", "simulator/", "tests/")
INCLUDE_TABLE = {
    "engine/include": (("lanward/",), (), False),
    "engine/core": (VALUES + (CORE,), (), False),
    "engine/ports": (("lanward/", CORE, PORTS), (), False),
    "engine/jobs": (("lanward/", CORE, PORTS, "engine/jobs/"), (), False),
    "engine/store": (VALUES + (CORE, PORTS, "engine/store/"), ("sqlite3.h", "openssl/"), True),
    "peer": (VALUES + (CORE, PORTS, "peer/"), ("libtorrent/", "boost/", "openssl/"), True),
    "cdn": (VALUES + (CORE, PORTS, "cdn/"), ("curl/", "pugixml.hpp"), True),
    "api": (("lanward/", "api/"), ("CLI/", "fmt/", "nlohmann/", "boost/"), True),
    # Wires every part; with the simulator's main the only place that knows them.
    "api/host": (EVERYTHING[:4] + ("api/",), ("boost/", "fmt/"), True),
    "simulator": (("lanward/", CORE, PORTS, "engine/jobs/", "simulator/"),
                  ("CLI/", "fmt/", "nlohmann/"), False),
    "docs/examples": (("lanward/",), (), False),
    "tests": (EVERYTHING, None, True),  # None: any package
}
# tl/ is missing: the type of Result belongs to the language wherever error.h is used.
PACKAGES = ("boost/", "CLI/", "curl/", "fmt/", "google/", "gtest/", "gmock/", "benchmark/",
            "libtorrent/", "nlohmann/", "openssl/", "pugixml.hpp", "spdlog/", "sqlite3.h")

# What decides must not know: threads, clocks, chance, devices, and containers whose order differs
# from one platform to the next.
PURE_FOLDERS = ("engine/core/", "engine/ports/")
# Two threads settle a race by it.
PURE_EXCEPTIONS = {("engine/ports/delivery_ticket.h", "atomic")}
PURE_BANNED_INCLUDES = {
    "atomic", "barrier", "condition_variable", "csignal", "cstdio", "ctime", "execution",
    "filesystem", "fstream", "future", "iostream", "latch", "mutex", "random", "semaphore",
    "shared_mutex", "sstream", "stop_token", "thread", "unordered_map", "unordered_set"}
PURE_BANNED_CALLS = re.compile(
    r"\b\w*[Cc]lock::now\b|\brandom_device\b|\bs?rand\s*\(|\bgetenv\s*\(|\bstd::time\b"
    r"|\bunordered_(?:multi)?(?:map|set)\b|\bthis_thread\b")
FLOAT = re.compile(r"\b(?:float|double)\b")
SLEEP = re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(")
TODO = re.compile(r"\b(?:FIXME|XXX|HACK)\b|\bTODO\b(?!\([\w.@-]+\): \S)")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
# Comments, raw strings, strings and characters; a quote within a number separates digits.
OPAQUE = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def blank(text):
    """The code alone: comments and literals become spaces, line breaks stay."""
    return OPAQUE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def folder_of(path):
    matches = [f for f in INCLUDE_TABLE if path.startswith(f + "/")]
    return max(matches, key=len) if matches else None


def check_includes(path, text):
    folder = folder_of(path)
    if folder is None:
        return
    ours, packages, system = INCLUDE_TABLE[folder]
    for match in INCLUDE.finditer(text):
        quoted, name = match.group(1) == '"', match.group(2)
        line = line_of(text, match.start(2))
        if quoted or name.startswith("lanward/"):
            if not name.startswith(ours):
                yield line, "include", f"{folder} must not include {name}"
        elif name.startswith(PACKAGES):
            if packages is not None and not name.startswith(packages):
                yield line, "include", f"{folder} must not include {name}"
        elif ("/" in name or name.endswith(".h")) and not system and not name.startswith("tl/"):
            yield line, "include", f"{folder} must not include the system header {name}"
        elif ((path, name) not in PURE_EXCEPTIONS and name in PURE_BANNED_INCLUDES
              and path.startswith(PURE_FOLDERS)):
            yield line, "pure", f"{folder} must not use <{name}>"


def check_purity(path, text):
    if not path.startswith(PURE_FOLDERS):
        return
    code = blank(text)
    for match in PURE_BANNED_CALLS.finditer(code):
        yield line_of(code, match.start()), "pure", f"{match.group()} does not belong here"
    for match in FLOAT.finditer(code):
        yield (line_of(code, match.start()), "float",
               f"{match.group()} differs between platforms; decide with integers")


def check_lines(path, text):
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            yield number, "columns", f"{len(line)} columns, at most {MAX_COLUMNS}"
        # Every line of this file and its test that speaks of the rule would break it.
        if TODO.search(line) and not path.startswith("tests/tidy/"):
            yield number, "todo", "write TODO(owner): what is to be done"
    if len(lines) > MAX_FILE_LINES:
        yield len(lines), "file", f"{len(lines)} lines, at most {MAX_FILE_LINES}"


def check_header(path, text):
    if path.endswith(".h") and "#pragma once" not in text:
        yield 1, "header", "#pragma once is missing"


def check_sleeps(path, text):
    # A measurement looks at what it measures in intervals.
    if path.startswith("tests/") and not path.startswith("tests/bench/"):
        code = blank(text)
        for match in SLEEP.finditer(code):
            yield line_of(code, match.start()), "sleep", "wait for a condition instead"


# The code before a brace that initialises a member: X::X(int a) : a_(a), b_
MEMBER_INITIALIZER = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:).*[,:]\s*[\w:<>]+\s*$|"
                                r"\)\s*(?:noexcept\s*)?:\s*[\w:<>]+\s*$", re.DOTALL)
ACCESS = re.compile(r"^\s*(?:(?:public|private|protected)\s*:\s*)+")


def opens_function(header):
    """Whether the code between the last ';', '{' or '}' and a '{' begins a function's body."""
    if "(" not in header or re.search(r"[=,(]\s*$", header):
        return False
    return not re.match(r"\s*(?:namespace|extern|enum)\b", header)


def functions(text):
    """(first line, last line) of every outermost function body with its header."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()),
                  blank(text), flags=re.MULTILINE)
    depth, header_at, begin = 0, 0, 0
    body = initializer = None  # depths at which they began
    for match in re.finditer(r"[{};]", code):
        mark, at = match.group(), match.start()
        if mark == "{":
            header = ACCESS.sub(lambda m: " " * len(m.group()), code[header_at:at])
            if body is None and initializer is None:
                if MEMBER_INITIALIZER.search(header):
                    initializer = depth
                elif opens_function(header):
                    body = depth
                    begin = header_at + len(header) - len(header.lstrip())
            depth += 1
        elif mark == "}":
            depth -= 1
            if body == depth:
                body = None
                yield line_of(code, begin), line_of(code, at)
        if initializer is None:
            header_at = at + 1
        elif initializer == depth:
            initializer = None  # the header of the constructor goes on


def check_functions(path, text):
    for first, last in functions(text):
        if last - first + 1 > MAX_FUNCTION_LINES:
            yield (first, "function",
                   f"{last - first + 1} lines, at most {MAX_FUNCTION_LINES}")


CPP_CHECKS = (check_includes, check_purity, check_lines, check_header, check_sleeps,
              check_functions)


def check_text(path, text):
    """Findings of one file: (line, rule, message). `path` is relative, with slashes."""
    checks = CPP_CHECKS if path.endswith((".cc", ".h")) else (check_lines,)
    lines = text.splitlines()
    for check in checks:
        for line, rule, message in check(path, text):
            if not re.search(rf"// tidy: allow {rule}: \S", lines[line - 1] if lines else ""):
                yield line, rule, message


def named_sources(folder, cmake_text):
    """The source files, relative to the root, that the CMakeLists.txt of a folder names."""
    for token in re.findall(r"[^\s\"()]+\.cc\b", re.sub(r"#[^\n]*", "", cmake_text)):
        if token.startswith("${PROJECT_SOURCE_DIR}/"):
            yield posixpath.normpath(token.split("/", 1)[1])
        else:
            token = token.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
            yield posixpath.normpath(posixpath.join(folder, token))


def sources(root):
    for folder in SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and (path.suffix in (".cc", ".h", ".py", ".sh", ".cmake")
                                   or path.name == "CMakeLists.txt"):
                yield path
    yield root / "CMakeLists.txt"


def check_tree(root):
    """(path, line, rule, message) of every finding, and the number of files looked at."""
    texts = {p.relative_to(root).as_posix(): p.read_text(encoding="utf-8") for p in sources(root)}
    named = set()
    for path, text in texts.items():
        if posixpath.basename(path) == "CMakeLists.txt":
            named.update(named_sources(posixpath.dirname(path), text))
    findings = [(path, *finding) for path, text in texts.items()
                for finding in check_text(path, text)]
    findings += [(path, 1, "build", "no CMakeLists.txt names this file")
                 for path in texts if path.endswith(".cc") and path not in named]
    return findings, len(texts)


def main(root):
    findings, files = check_tree(root)
    for path, line, rule, message in findings:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"{files} files, {len(findings)} findings")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
