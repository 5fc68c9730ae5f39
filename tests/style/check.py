"""What no compiler checks: the layers, where platforms are told apart, and that
the docs show code that is compiled."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Lowest first. A file includes its own layer and lower ones.
LAYERS = [
    {"error", "error_code", "clock", "list", "array", "allocated", "notify_stack", "address", "features",
     "inline_callable", "spawn"},
    {"assert", "operation", "completion", "sys/"},
    {"descriptor_table", "timer_heap", "backend", "backends", "readiness"},
    {"sim", "sim/", "thread_pool", "backend/"},
    {"async", "loop", "backend/best"},
    {"request", "frame_pool", "strand"},
    {"handle", "sleep", "this_task", "awaiter", "sync"},
    {"timer", "stream"},
    {"file", "pipe", "socket", "write_queue"},
    {"tcp", "udp", "unix", "process", "signal", "resolve"},
    # Tasks, which need no handles; programs put the two together.
    {"task", "channel"},
    {"ok", "scope", "run"},
    {"when", "timeout", "task_group", "run_on"},
    {"coroutines"},
]
# The only files that may ask which platform this is.
PLATFORM_FILES = ("src/sys/", "include/wev/features.hpp")
PLATFORM = re.compile(r"^\s*#\s*(?:el)?if.*\b(__wasm|__linux|__APPLE|_WIN32|__wasi|__unix)")

problems = []


def layer(name):
    """The layer of a header or source, by its path without directory prefix and suffix."""
    for number, names in reversed(list(enumerate(LAYERS))):
        if name in names:
            return number
    for number, names in enumerate(LAYERS):
        if any(each.endswith("/") and name.startswith(each) for each in names):
            return number
    return None


def name_of(path):
    path = re.sub(r"^(include/wev|src|wev)/", "", path)
    return re.sub(r"\.[ch]pp$", "", path)


def check_layers(path, text):
    mine = layer(name_of(path))
    if mine is None:
        problems.append(f"{path}: in no layer, see tests/style/check.py")
        return
    for number, line in enumerate(text.splitlines(), 1):
        included = re.match(r'#include "([^"]+)"', line)
        if not included:
            continue
        other = layer(name_of(included[1]))
        if other is None:
            problems.append(f"{path}:{number}: {included[1]} is in no layer")
        elif other > mine:
            problems.append(f"{path}:{number}: includes {included[1]} of a layer above")


def check_platform(path, text):
    if path.startswith(PLATFORM_FILES):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if PLATFORM.match(line):
            problems.append(f"{path}:{number}: a platform is told apart outside of src/sys/")


def check_docs(path, text):
    """A C++ block that follows `<!-- examples/x.cpp -->` is that file, or after
    `<!-- examples/x.cpp [part] -->` what stands there between `// [part]` and `// [end]`."""
    shown_from = r"<!-- (\S+\.\w+)(?: \[(\w+)\])? -->\n```\w*\n(.*?)```"
    for source, part, block in re.findall(shown_from, text, re.S):
        is_so = (ROOT / source).read_text()
        if part:
            found = re.search(rf"// \[{part}\]\n(.*?)// \[end\]\n", is_so, re.S)
            is_so = found[1] if found else ""
        if is_so.strip() != block.strip():
            problems.append(f"{path}: shows {source} {part} otherwise than it is")
    shown = len(re.findall(r"```(?:cpp|c\+\+)", text))
    from_files = len(re.findall(r"<!-- \S+\.cpp(?: \[\w+\])? -->\n```(?:cpp|c\+\+)", text))
    if shown != from_files:
        problems.append(f"{path}: shows C++ that is in no file that is compiled")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        if not (ROOT / path).parent.joinpath(link).exists():
            problems.append(f"{path}: links to {link}, which is not there")


for directory in ("include", "src"):
    for file in sorted((ROOT / directory).rglob("*.[ch]pp")):
        relative, contents = str(file.relative_to(ROOT)), file.read_text()
        check_layers(relative, contents)
        check_platform(relative, contents)
for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
    check_docs(str(file.relative_to(ROOT)), file.read_text())

print("\n".join(problems) or "layers, platforms and docs are in order")
sys.exit(bool(problems))
