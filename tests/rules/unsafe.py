#!/usr/bin/env python3
"""What a release may not hold: the switch with which tests make a broker that does not sync.

    unsafe.py SOURCE BUILD

The broker's sources are compiled as a release compiles them, without KW_UNSAFE_TESTS, and as this build compiles them; the
switch's name has to be in the second and not in the first, or this test sees nothing.
"""
import json
import os
import subprocess
import sys
import tempfile

WORD = b"KW_UNSAFE"


def objects_with_word(commands, release):
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, entry in enumerate(commands):
            words = [w.replace('\\"', '"') for w in entry["command"].split(" ") if w]
            at = words.index("-o")
            out = os.path.join(folder, f"{number}.o")
            words[at + 1] = out
            if release:
                words = [w for w in words if not w.startswith("-DKW_UNSAFE_TESTS")]
            subprocess.run(words, cwd=entry["directory"], check=True, env={**os.environ, "CCACHE_DISABLE": "1"})
            with open(out, "rb") as file:
                if WORD in file.read():
                    found.append(os.path.relpath(entry["file"], sys.argv[1]))
    return found


def main():
    source, build = os.path.realpath(sys.argv[1]), sys.argv[2]
    with open(os.path.join(build, "compile_commands.json")) as file:
        commands = json.load(file)
    names = [os.path.join(source, "broker", "main.c"), os.path.join(source, "broker", "shell", "store.c")]
    commands = [entry for entry in commands if os.path.realpath(entry["file"]) in names]
    if len(commands) != len(names):
        sys.exit(f"{len(names)} sources wanted, {len(commands)} found in compile_commands.json")
    if len(objects_with_word(commands, release=False)) != len(names):
        sys.exit("a build for tests should know the switch, or this test sees nothing")
    found = objects_with_word(commands, release=True)
    for name in found:
        print(f"{name}: a release would know {WORD.decode()}; put it behind #ifdef KW_UNSAFE_TESTS")
    # The other half: a release does not define it.
    with open(os.path.join(source, "CMakeLists.txt")) as file:
        text = file.read()
    guarded = 'if(NOT KW_PROFILE STREQUAL "release")\n\tlist(APPEND defines KW_UNSAFE_TESTS=1)\nendif()'
    if text.count("KW_UNSAFE_TESTS") != 1 or guarded not in text:
        print("CMakeLists.txt: KW_UNSAFE_TESTS is for every profile but release")
        sys.exit(1)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
