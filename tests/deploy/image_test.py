#!/usr/bin/python3
"""The Dockerfile, without a Docker daemon: it copies what exists and is not ignored, it runs as nobody special, its
default flags are flags, and every library that a program loads comes from a package its image installs or a folder
its image copies.
"""

import fnmatch
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from service import BIN, SOURCE  # noqa: E402

PROGRAMS = {"server": "uaqf-server", "worker": "uaqf-worker", "client": "uaqf"}
# Where the build stage has its dependencies, and where this machine has them.
IMAGE_DEPS, DEPS = "/opt/uaqf/deps", os.environ.get("UAQF_DEPS") or os.path.expanduser("~/.cache/uaqf/deps")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def stages():
    """Each stage's name, parent and instructions, continuation lines joined."""
    text = re.sub(r"^#.*\n", "", (SOURCE / "Dockerfile").read_text(), flags=re.M)
    found = {}
    for line in filter(None, map(str.strip, re.sub(r"\\\n", " ", text).splitlines())):
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            parent, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            current = found.setdefault(name, {"parent": parent, "lines": []})
        else:
            current["lines"].append((instruction, rest))
    return found


def lineage(found, name):
    """Instructions of a stage, its parents' first."""
    if name not in found:
        assert name == "debian:12-slim", f"a base that the programs are not built for: {name}"
        return []
    return lineage(found, found[name]["parent"]) + found[name]["lines"]


def packages(lines):
    names = []
    for instruction, rest in lines:
        for words in re.findall(r"apt-get install ([^&]*)", rest if instruction == "RUN" else ""):
            names += [word for word in words.split() if not word.startswith("-")]
    return names


def closure(names):
    """The packages and all that they depend on, by the package index."""
    out = run("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
              "--no-replaces", "--no-enhances", *names)
    return set(names) | set(re.findall(r"^(\S+)$", out, flags=re.M))


def libraries(program):
    for line in run("ldd", str(program)).splitlines():
        assert "not found" not in line, f"{program}: {line.strip()}"
        if match := re.search(r"=> (/\S+)", line):
            yield match.group(1)


def spellings(library):
    """As ldd found it and as it is, with and without /usr: packages list either."""
    for path in (library, os.path.realpath(library)):
        bare = path.removeprefix("/usr")
        yield from (bare, "/usr" + bare)


def owners(found):
    """The package of each library; one call, since dpkg reads every list each time."""
    paths = {path: library for library in found for path in spellings(library)}
    done = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True)
    packages_of = {}
    for line in done.stdout.splitlines():
        names, path = line.rsplit(": ", 1)
        packages_of[paths[path]] = names.split(",")[0].split(":")[0]
    return packages_of


def copied_from_build(lines):
    """Where files and folders of the build stage come to lie."""
    for instruction, rest in lines:
        if instruction != "COPY" or "--from=build" not in rest:
            continue
        *sources, place = [word for word in rest.split() if not word.startswith("--")]
        for source in sources:
            yield place + source.rsplit("/", 1)[-1] if place.endswith("/") else place


def check_libraries(found, target, program):
    lines = lineage(found, target)
    installed = closure(packages(lines))
    copied = list(copied_from_build(lines))
    loaded = list(libraries(BIN / program))
    ours = [library for library in loaded if library.startswith(DEPS + "/")]
    for library in ours:
        place = IMAGE_DEPS + library.removeprefix(DEPS)
        assert any(place == path or place.startswith(path + "/") for path in copied), f"{target} lacks {place}"
    packages_of = owners(set(loaded) - set(ours))
    for library in sorted(set(loaded) - set(ours)):
        package = packages_of.get(library)
        assert package in installed, f"{target}: {program} loads {library} of {package}, which the image does not install"
    return len(loaded)


def check_copies(found):
    patterns = [line for line in (SOURCE / ".dockerignore").read_text().splitlines() if line]
    assert patterns[0] == "*", "expected .dockerignore to admit only what is named"
    admitted = [line[1:] for line in patterns[1:]]
    for stage in found.values():
        for instruction, rest in stage["lines"]:
            if instruction != "COPY" or "--from=" in rest:
                continue
            for source in rest.split()[:-1]:
                assert (SOURCE / source).exists(), f"COPY {source}: no such file"
                assert any(source == a or source.startswith(a + "/") or fnmatch.fnmatch(source, a) for a in admitted), \
                    f"COPY {source}: .dockerignore leaves it out"


def check_start(found, target, program):
    lines = lineage(found, target)
    last = {instruction: rest for instruction, rest in lines}
    assert last.get("USER") == "uaqf", f"{target} runs as {last.get('USER', 'root')}, expected uaqf"
    assert last["ENTRYPOINT"] == f'["{program}"]', last["ENTRYPOINT"]
    words = re.findall(r'"([^"]*)"', last["CMD"])
    subcommand = [word for word in words[:1] if not word.startswith("-")]
    known = run(str(BIN / program), *subcommand, "--help")
    for flag in filter(lambda word: word.startswith("--"), words):
        assert re.search(re.escape(flag) + r"\b", known), f"{program} {subcommand} has no {flag}"


def main():
    found = stages()
    check_copies(found)
    for target, program in PROGRAMS.items():
        check_start(found, target, program)
        count = check_libraries(found, target, program)
        print(f"{target}: {count} libraries of {program} are in the image")


if __name__ == "__main__":
    main()
