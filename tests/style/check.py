"""What no compiler checks: the layers, where platforms are told apart, and that
the docs show code that is compiled."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The house: what each folder of include/wev and src may include besides itself. What lies
# in include/wev itself are the doors, which show all of a layer.
MAY_INCLUDE = {
    "base": [],
    "sys": ["base", "loop"],
    "loop": ["base", "sys"],
    "backend": ["base", "sys", "loop"],
    "sim": ["base", "sys", "loop", "backend"],
    "io": ["base", "sys", "loop"],
    "task": ["base", "sys", "loop"],
    "adapters": ["base", "sys", "loop", "io", "task"],
}
# The only files that may ask which platform this is.
PLATFORM_FILES = ("src/sys/", "include/wev/base/features.hpp")
PLATFORM = re.compile(r"^\s*#\s*(?:el)?if.*\b(__wasm|__linux|__APPLE|_WIN32|__wasi|__unix)")

problems = []


def folder(path):
    """Of `io/tcp.hpp`, `wev/io/tcp.hpp` and `include/wev/io/tcp.hpp` it is io; of a door None."""
    parts = re.sub(r"^(include/wev|src|wev)/", "", path).split("/")
    return parts[0] if len(parts) > 1 else None


def check_layers(path, text):
    mine = folder(path)
    if mine is None:
        return
    for number, line in enumerate(text.splitlines(), 1):
        included = re.match(r'#include "([^"]+)"', line)
        if not included:
            continue
        other = folder(included[1])
        if other != mine and other not in MAY_INCLUDE[mine]:
            problems.append(f"{path}:{number}: {mine}/ may not include {included[1]}")


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
