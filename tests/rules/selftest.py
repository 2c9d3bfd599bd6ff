#!/usr/bin/env python3
"""Proof that the rules can fail. A small clean tree passes every rule; then one breach at a time is planted in it, and
the rule must refuse the tree and name the file. A rule that lets its own breach pass is worth nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

UNSAFE = "#ifdef KW_UNSAFE_TESTS\nconst char *%s_switch = \"KW_UNSAFE_NO_SYNC\";\n#endif\n"

CLEAN = {
    "CMakeLists.txt": ("project(fake)\nif(NOT KW_PROFILE STREQUAL \"release\")\n\tlist(APPEND defines KW_UNSAFE_TESTS=1)\n"
                       "endif()\n"),
    "README.md": ("# Fake\n`broker.yaml`:\n\n| key | meaning |\n|---|---|\n| hub | x |\n| clocks, room_mib | y |\n\n"
                  "`agent.yaml`:\n\n| key | meaning |\n|---|---|\n| state | x |\n\n| else | |\n|---|---|\n| other | |\n"),
    "deploy/man/kinward-broker.1.scd": ("# SETTINGS\n\n*hub* (required)\n\tX.\n\n*clocks*, *room_mib*\n\tacknowledged 1 h.\n\n"
                                        "# ELSE\n\n*other*\n\tX.\n"),
    "deploy/man/kinward-agent.1.scd": "# CONFIGURATION\n\n*state* (required)\n\tX.\n",
    "deploy/examples/broker.yaml": "# A hub.\nhub: x\n# room_mib: 5\n# clocks:\n#   acknowledged: {high: 1 h}\n",
    "deploy/examples/agent.yaml": "state: x\n",
    "broker/shell/config.c": ("CYAML_FIELD_STRING_PTR(\"hub\", 1),\nCYAML_FIELD_UINT_PTR(\n\t\"room_mib\", 1),\n"
                              "CYAML_FIELD_MAPPING_PTR(\"clocks\", 1),\n/* CYAML_FIELD_UINT(\"gone\") */\nCYAML_FIELD_END\n"),
    "broker/shell/config_clocks.c": "#define CLOCK(name) name\n\tCLOCK(\"acknowledged\", 1),\n",
    "agent/shell/settings.c": "CYAML_FIELD_STRING_PTR(\"state\", 1),\nCYAML_FIELD_END\n",
    "agent/cli/commands.c": '#include "agent/shell/spool.h"\n\t{.name = "send", .args = ""},\n\t{.name = "case", .args = "list|show THREAD"},\n',
    "deploy/man/kinward.1.scd": "# COMMANDS\n\n*send* _AGENCY_, *case list*, *case show*\n\tX.\n\n# ELSE\n\n*colour*\n\tX.\n",
    "agent/core/assess.h": "int assess(int a);\n",
    "agent/core/core.h": "int agt_core(int a);\n",
    "CONVENTIONS.md": "# Fake\n",
    "LICENSE": "fake\n",
    "deploy/run.sh": "exit 0\n",
    "proto/base/err.h": "#include <stdint.h>\nint kw_base(int a);\nint kw_alloc(int a);\nint kw_deep(int a);\n",
    "proto/base/err.c": ("#include \"proto/base/err.h\"\n#include <stdlib.h>\n"
                         "int kw_base(int a)\n{\n\treturn a; /* rand() in a comment, \"strcpy(\" in words */\n}\n"
                         "int kw_alloc(int a)\n{\n\treturn malloc((size_t)a) != NULL;\n}\n"
                         "static int deep(int a)\n{\n\treturn kw_alloc(a);\n}\n"
                         "int kw_deep(int a)\n{\n\treturn deep(a) + deep(a + 1);\n}\n"),
    "proto/wire/frame.h": "#include \"proto/base/err.h\"\nint kw_frame(int a);\n",
    "proto/wire/frame.c": ("#include \"proto/wire/frame.h\"\n#include <openssl/evp.h>\n#include \"kinward/v1/frame.pb-c.h\"\n"
                           "const char *kw_text = \"sprintf(\";\n"),
    "proto/base/clock.h": "#include <time.h>\n",
    "broker/core/route.c": ("#include \"proto/base/err.h\"\n#include <string.h>\n"
                            "int brk_route(int a)\n{\n\treturn kw_base(a);\n}\n"),
    "broker/shell/store.h": "int store(int a);\n",
    "broker/shell/store.c": "#include \"broker/shell/store.h\"\n#include <lmdb.h>\n#include <stdlib.h>\n" + UNSAFE % "store",
    "broker/main.c": "#include \"broker/shell/store.h\"\nint main(void)\n{\n\treturn 0;\n}\n" + UNSAFE % "main",
    "agent/core/step.c": "#include \"proto/wire/frame.h\"\nint agt_step(int a)\n{\n\treturn kw_base(a) + 1;\n}\n",
    "agent/shell/spool.h": "int spool(int a);\n",
    "agent/cli/main.c": "#include \"agent/shell/spool.h\"\n#include <stdio.h>\n",
    "tests/unit/test_route.c": "#include \"broker/shell/store.h\"\n#include \"agent/shell/spool.h\"\n#include <setjmp.h>\n",
}

LONG = "int kw_long(int a)\n{\n" + "\ta++;\n" * 68 + "\treturn a;\n}\n"  # 72 lines
JUST = "int kw_just(int a)\n{\n" + "\ta++;\n" * 66 + "\treturn a;\n}\n"  # 70 lines
CORE = "proto/base/err.h"


def append(name, text):
    return name, CLEAN.get(name, "") + text


# (rule, claim, (file, text)): the file is written over the clean one, and its name must appear in the refusal.
PLANTED = [
    ("layers", "core includes a clock", append("broker/core/route.c", "#include <time.h>\n")),
    ("layers", "core includes stdio", append("agent/core/step.c", "#include <stdio.h>\n")),
    ("layers", "core includes openssl", append("broker/core/route.c", "#include <openssl/evp.h>\n")),
    ("layers", "core includes its shell", append("broker/core/route.c", "#include \"broker/shell/store.h\"\n")),
    ("layers", "core includes proto/link", append("broker/core/route.c", "#include \"proto/link/tls.h\"\n")),
    ("layers", "core reaches a clock through base", append("broker/core/route.c", "#include \"proto/base/clock.h\"\n")),
    ("layers", "one core includes the other", append("agent/core/step.c", "#include \"broker/core/route.h\"\n")),
    ("layers", "base includes wire", append("proto/base/err.c", "#include \"proto/wire/frame.h\"\n")),
    ("layers", "base includes openssl", append("proto/base/err.c", "#include <openssl/evp.h>\n")),
    ("layers", "wire includes uv", append("proto/wire/frame.c", "#include <uv.h>\n")),
    ("layers", "wire includes a clock", append("proto/wire/frame.c", "#include <time.h>\n")),
    ("layers", "wire includes a daemon", append("proto/wire/frame.c", "#include \"broker/shell/store.h\"\n")),
    ("layers", "link includes the store", ("proto/link/tls.c", "#include <lmdb.h>\n")),
    ("layers", "broker shell includes the agent", append("broker/shell/store.c", "#include \"agent/shell/spool.h\"\n")),
    ("layers", "agent shell includes the broker", ("agent/shell/spool.c", "#include \"broker/shell/store.h\"\n")),
    ("layers", "shell uses the schema's own C", append("broker/shell/store.c", "#include \"kinward/v1/frame.pb-c.h\"\n")),
    ("layers", "cli includes the broker", append("agent/cli/main.c", "#include \"broker/shell/store.h\"\n")),
    ("layers", "cli includes what decides for the agent", append("agent/cli/main.c", "#include \"agent/core/core.h\"\n")),
    ("layers", "an include from beside", append("broker/shell/store.c", "#include \"store.h\"\n")),
    ("layers", "a folder nobody owns", ("broker/util/misc.c", "int x;\n")),
    ("banned", "strcpy", append("broker/shell/store.c", "void f(char *a)\n{\n\tstrcpy(a, \"b\");\n}\n")),
    ("banned", "localtime", append("broker/shell/store.c", "int f(void)\n{\n\treturn localtime (0) == 0;\n}\n")),
    ("banned", "assert", append("proto/base/err.c", "void f(void)\n{\n\tassert(1);\n}\n")),
    ("banned", "setjmp in a test", append("tests/unit/test_route.c", "int f(void)\n{\n\treturn setjmp(b);\n}\n")),
    ("banned", "unfinished without a reason", append("broker/main.c", "/* TODO tidy this */\n")),
    ("sizes", "a function of 72 lines", append("proto/base/err.c", LONG)),
    ("sizes", "a function of 72 lines in extern C", ("agent/clients/c/kw.c", "extern \"C\" {\n" + LONG + "}\n")),
    ("sizes", "a file of 501 lines", ("broker/core/big.c", "\n" * 501)),
    ("sizes", "a definition with 6 parameters",
     append("proto/base/err.c", "static int kw_six(int a, int b, int (*c)(int, int), int d, int e,\n\tint f)\n{\n\treturn a;\n}\n")),
    ("sizes", "a declaration with 6 parameters",
     append("proto/base/err.h", "KW_MUST_USE __attribute__((nonnull(1, 2))) int kw_six(int, int, int, int, int, int);\n")),
    ("sizes", "a test of 121 lines",
     ("tests/unit/test_long.c", "static void test_long(void **s)\n{\n" + "\tx();\n" * 118 + "}\n")),
    ("toplevel", "a missing README", ("README.md", None)),
    ("toplevel", "a stray file at the top", ("notes.txt", "hello\n")),
    ("toplevel", "a stray folder at the top", ("tools/x.py", "pass\n")),
    ("toplevel", "generated C", ("proto/wire/frame.pb-c.c", "int x;\n")),
    ("toplevel", "generated Python", ("agent/clients/python/frame_pb2.py", "x = 1\n")),
    ("toplevel", "somebody's home folder", ("deploy/run.sh", "cd /" + "home/alice/kinward\n")),
    ("toplevel", "the folder this tree lies in", ("deploy/run.sh", "cd @ROOT@/build\n")),
    ("settings", "a key that README lacks",
     ("README.md", "`broker.yaml`:\n\n| key |\n|---|\n| hub |\n| clocks |\n\n`agent.yaml`:\n\n| key |\n|---|\n| state |\n")),
    ("settings", "a key that README has and the program does not",
     ("README.md", CLEAN["README.md"].replace("| state |", "| state, colour |"))),
    ("settings", "a key that the manual lacks", ("deploy/man/kinward-agent.1.scd", "# CONFIGURATION\n\n# ELSE\n\n*state*\n\tX.\n")),
    ("settings", "a key that the manual has and the program does not",
     append("deploy/man/kinward-agent.1.scd", "\n*colour*\n\tX.\n")),
    ("settings", "a key that the example lacks", ("deploy/examples/broker.yaml", "hub: x\n# clocks: {acknowledged: {}}\n")),
    ("settings", "a key that the example has and the program does not", append("deploy/examples/agent.yaml", "# colour: 1\n")),
    ("settings", "a clock that the manual lacks",
     ("deploy/man/kinward-broker.1.scd", CLEAN["deploy/man/kinward-broker.1.scd"].replace("acknowledged", "decided"))),
    ("settings", "an example that is gone", ("deploy/examples/agent.yaml", None)),
    ("commands", "a command that the manual lacks",
     ("deploy/man/kinward.1.scd", "# COMMANDS\n\n*send*, *case list*\n\tX.\n\n# ELSE\n\n*case show*\n\tX.\n")),
    ("commands", "a command that the manual has and the program does not",
     ("deploy/man/kinward.1.scd", "# COMMANDS\n\n*send*, *case list*, *case show*, *colour*\n\tX.\n")),
    ("unsafe", "a release that knows the tests' switch",
     append("broker/shell/store.c", "const char *again = \"KW_UNSAFE_NO_SYNC\";\n")),
    ("unsafe", "a release that is built with it", ("CMakeLists.txt", "list(APPEND defines KW_UNSAFE_TESTS=1)\n")),
    ("schema_page", "a message that is not on the page",
     ("proto/kinward/v1/x.proto", "// X.\nmessage X {\n  // A.\n  uint32 a = 1;\n}\n")),
    ("purity", "core calls malloc",
     ("broker/core/route.c", "#include <stdlib.h>\nvoid *brk_route(int a)\n{\n\treturn malloc((size_t)a);\n}\n")),
    ("purity", "core calls time",
     ("agent/core/step.c", "#include <time.h>\nlong agt_step(void)\n{\n\treturn time(0);\n}\n")),
    ("purity", "core prints", ("broker/core/route.c", "#include <stdio.h>\nvoid brk_route(void)\n{\n\tputs(\"x\");\n}\n")),
    ("purity", "core calls the other core", ("broker/core/route.c", "int agt_step(int a);\nint brk_route(int a)\n{\n\treturn agt_step(a);\n}\n")),
    ("purity", "core allocates through proto",
     ("broker/core/route.c", "#include \"%s\"\nint brk_route(int a)\n{\n\treturn kw_deep(a);\n}\n" % CORE)),
    ("purity", "core allocates through a table of functions",
     ("broker/core/route.c", "#include \"%s\"\nstatic int (*const table[])(int) = {kw_base, kw_alloc};\n"
                             "int brk_route(int a)\n{\n\treturn table[a](a);\n}\n" % CORE)),
]

# What looks like a breach and is none.
INNOCENT = [
    ("layers", "cli includes a sum of the core", append("agent/cli/main.c", "#include \"agent/core/assess.h\"\n")),
    ("sizes", "a function of 70 lines", append("proto/base/err.c", JUST)),
    ("sizes", "a long table",
     append("proto/base/err.c", "static const struct kw_row rows[] = {\n" + "\t{1, f(2)},\n" * 90 + "};\n")),
    ("sizes", "brackets in literals", append("proto/base/err.c", "int kw_b(void)\n{\n\treturn '{' + \"{(\"[0];\n}\n" + JUST)),
    ("banned", "members and longer names", append("broker/shell/store.c", "int f(struct s *s)\n{\n\treturn s->rand(1) + my_strcpy(2) + strtok_r(3);\n}\n")),
    ("banned", "unfinished with a reason", append("broker/main.c", "/* TODO: drop this, because Debian 13 has it */\n")),
    ("toplevel", "a path that an installation has", ("deploy/run.sh", "exec /usr/bin/kinward-broker /etc/kinward/broker.yaml\n")),
]


def plant(root, tree):
    for name, text in tree.items():
        if text is None:
            continue  # planted as missing
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text.replace("@ROOT@", os.path.realpath(root)))


def build(root, out):
    """The three archives that purity looks at, made as the dev profile makes them."""
    os.makedirs(os.path.join(out, "lib"), exist_ok=True)
    for archive, source in (("kw_proto", "proto/base/err.c"), ("broker_core", "broker/core/route.c"),
                            ("agent_core", "agent/core/step.c")):
        obj = os.path.join(out, archive + ".o")
        subprocess.run([os.environ.get("CC", "cc"), "-Og", "-g", "-fPIC", "-ffunction-sections", "-fdata-sections", "-I", root, "-c",
                        os.path.join(root, source), "-o", obj], check=True)
        subprocess.run(["ar", "rcs", os.path.join(out, "lib", "lib%s.a" % archive), obj], check=True)


def commands(root, out):
    """How this build compiles the two files that the rule unsafe looks at, as CMake writes it down."""
    entries = []
    for name in ("broker/main.c", "broker/shell/store.c"):
        path = os.path.join(root, name)
        entries.append({"directory": out, "file": path, "command": "%s -DKW_UNSAFE_TESTS=1 -I%s -o x.o -c %s" % (
            os.environ.get("CC", "cc"), root, path)})
    with open(os.path.join(out, "compile_commands.json"), "w", encoding="utf-8") as handle:
        json.dump(entries, handle)


def verdict(rule, change, scratch):
    """(exit status, what the rule said) on the clean tree with one change."""
    root = tempfile.mkdtemp(prefix="tree-", dir=scratch)
    out = tempfile.mkdtemp(prefix="build-", dir=scratch)
    plant(root, {**CLEAN, **change})
    if rule == "purity":
        build(root, out)
    if rule == "unsafe":
        commands(root, out)
    result = subprocess.run([sys.executable, "-B", os.path.join(HERE, rule + ".py"), root, out], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, universal_newlines=True)
    shutil.rmtree(root)
    shutil.rmtree(out)
    return result.returncode, result.stdout


def main():
    failures = 0
    rules = sorted({row[0] for row in PLANTED})
    present = sorted(name[:-3] for name in os.listdir(HERE)
                     if name.endswith(".py") and not name.startswith("_")
                     and name not in ("selftest.py", "schema_faults.py"))  # these two plant their own
    for rule in sorted(set(present) - set(rules)):
        failures += 1
        print("%s.py: selftest: no planted breach; add one, so that it is known to be able to fail" % rule)
    with tempfile.TemporaryDirectory(prefix="kinward-rules-") as scratch:
        cases = [(rule, "the clean tree", (None, None), 0) for rule in rules]
        cases += [row + (0,) for row in INNOCENT] + [row + (1,) for row in PLANTED]
        for rule, claim, (name, text), wanted in cases:
            status, said = verdict(rule, {name: text} if name else {}, scratch)
            told = wanted == 0 or rule == "purity" or name in said
            if status != wanted or not told:
                failures += 1
                print("selftest: %s on %s: expected status %d, got %d:\n%s" % (rule, claim, wanted, status, said))
    print("selftest: %d case(s), %d failed" % (len(cases), failures))
    sys.exit(1 if failures else 0)


main()
