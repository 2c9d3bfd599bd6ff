"""Published vectors (tests/data/crypto) over what the decoder uses, and what the C programs have printed about the same files.

Each file gives a Row; the counts of C are added from the output of its test programs, so that one table says, file by file, how
many verdicts there are, how many were run and passed, and why the others were not."""

import base64
import json
import pathlib
import re
import subprocess

import crypto
import hpke_all
import tree
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "crypto"
PROGRAMS = ("test_hpke", "test_hpke_pq", "test_tree_vectors", "test_wycheproof")
NO_MLKEM = "no ML-KEM"


class Row:
    def __init__(self, name):
        self.name, self.total, self.passed, self.skipped = name, 0, 0, {}
        self.c_passed, self.c_skipped, self.c_lines = 0, {}, 0

    def check(self, what, good):
        if not good:
            raise AssertionError("%s: %s" % (self.name, what))
        self.total += 1
        self.passed += 1

    def skip(self, why, count=1):
        self.total += count
        self.skipped[why] = self.skipped.get(why, 0) + count


def _json(name):
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def _raw(test, name):
    return bytes.fromhex(test.get(name) or "")


def _merkle(row):
    for name, test in _json(row.name).items():
        path = [base64.b64decode(p) for p in test["proof"] or []]
        if any(len(p) != 32 for p in path):
            good = False
        elif "inclusion" in name:
            root, at = base64.b64decode(test["root"]), base64.b64decode(test["leafHash"])
            good = len(at) == 32 and tree.inclusion(test["leafIdx"], test["treeSize"], at, path) == root
        else:
            roots = [base64.b64decode(test[n] or "") for n in ("root1", "root2")]
            good = tree.consistency(test["size1"], test["size2"], *roots, path) == "ok"
        row.check(name, good != bool(test["wantErr"]))


def _shared(row, numbers, values):
    """Of a setup, as its receiver."""
    kem_id, enc = numbers["kem_id"], values["enc"] or values["pkEm"]
    if kem_id not in hpke_all.KEMS:
        return hpke_all.mlkem_decap(kem_id, enc, values["skRm"])
    kem = hpke_all.KEMS[kem_id]
    if hpke_all.derive_secret(kem_id, values["ikmR"]) != values["skRm"] or kem.public_of(values["skRm"]) != values["pkRm"]:
        raise AssertionError("%s: a key pair" % row.name)
    return hpke_all.decap(kem_id, enc, values["skRm"], values["pkSm"] if numbers["mode"] in (2, 3) else None)


def _why_not(numbers):
    if numbers["kdf_id"] not in hpke_all.HASHES:
        return "hashes that the protocol has not"
    if numbers["kem_id"] in hpke_all.KEMS or hpke_all.mlkem_able(numbers["kem_id"]):
        return None
    return NO_MLKEM if numbers["kem_id"] in (0x41, 0x42, crypto.KEM_HYBRID) else "KEMs that the protocol has not"


def _setup(row, setup):
    numbers = {n: setup[n] for n in ("mode", "kem_id", "kdf_id", "aead_id")}
    values = {n: _raw(setup, n) for n in ("info", "psk", "psk_id", "enc", "skRm", "pkRm", "pkSm", "ikmR", "pkEm")}
    why = _why_not(numbers)
    if why:
        row.skip(why, len(setup["encryptions"]) + len(setup["exports"]))
        return
    context = hpke_all.Context({**numbers, **values}, _shared(row, numbers, values))
    for i, one in enumerate(setup["encryptions"]):
        sequence = one.get("sequence_number", i)
        row.check("an encryption", context.open(sequence, _raw(one, "aad"), _raw(one, "ct")) == _raw(one, "pt"))
    for one in setup["exports"]:
        row.check("an export", context.export(_raw(one, "exporter_context"), int(one["L"])) == _raw(one, "exported_value"))


def _hpke(row):
    for setup in _json(row.name):
        _setup(row, setup)


def _boringssl(row):
    for block in (DATA / row.name).read_text(encoding="ascii").split("\n\n"):
        setup = at = {"encryptions": [], "exports": []}
        for line in block.strip().splitlines():
            if line.startswith("#"):
                at = {}
                setup["exports" if line.startswith("# exp") else "encryptions"].append(at)  # the file has misspelt ones
            else:
                name, _, value = line.partition(" =")
                number = name in ("mode", "kem_id", "kdf_id", "aead_id", "L")
                at[name] = int(value) if number else value.strip()
        if "mode" in setup:
            _setup(row, setup)


def _x25519(test, _):
    try:
        return crypto.x25519(_raw(test, "private"), _raw(test, "public")) == _raw(test, "shared")
    except crypto.OpenError:  # all zero
        return not any(_raw(test, "shared"))


def _ed25519(test, group):
    good = crypto.ed25519_ok(_raw(group["publicKey"], "pk"), _raw(test, "msg"), _raw(test, "sig"))
    return good == (test["result"] == "valid")


def _hkdf(test, _):
    if test["size"] > 255 * 32:
        return test["result"] == "invalid"
    key = crypto.hkdf_extract(_raw(test, "salt"), _raw(test, "ikm"))
    return crypto.hkdf_expand(key, _raw(test, "info"), test["size"]) == _raw(test, "okm") and test["result"] == "valid"


def _hmac(test, group):
    tag = hpke_all.hmac.new(_raw(test, "key"), _raw(test, "msg"), "sha256").digest()[:group["tagSize"] // 8]
    return (tag == _raw(test, "tag")) == (test["result"] == "valid")


def _aead(cipher):
    def run(test, _):
        try:
            plain = cipher(_raw(test, "key")).decrypt(_raw(test, "iv"), _raw(test, "ct") + _raw(test, "tag"),
                                                      _raw(test, "aad") or None)
        except (InvalidTag, ValueError):
            return test["result"] == "invalid"
        return plain == _raw(test, "msg") and test["result"] != "invalid"
    return run


def _mlkem(test, _):
    seed, enc = _raw(test, "seed"), _raw(test, "c")
    try:
        key = crypto.MLKEM768PrivateKey.from_seed_bytes(seed)
        if test.get("ek") and key.public_key().public_bytes_raw() != _raw(test, "ek"):
            return False
        return key.decapsulate(enc) == _raw(test, "K") and test["result"] == "valid"
    except ValueError:
        return test["result"] == "invalid"


def _wycheproof(run):
    def all_of(row):
        file = _json(row.name)
        for group in file["testGroups"]:
            for test in group["tests"]:
                why = _not_here(row.name, group)
                if why:
                    row.skip(why)
                else:
                    row.check("test %d" % test["tcId"], run(test, group))
        if row.total != file["numberOfTests"]:
            raise AssertionError("%s: %d tests of %d" % (row.name, row.total, file["numberOfTests"]))
    return all_of


def _not_here(name, group):
    if "mlkem" in name and crypto.MLKEM768PrivateKey is None:
        return NO_MLKEM
    if "aes_gcm" in name and not 64 <= group["ivSize"] <= 1024:
        return "nonces that the Python package does not take"
    return None


FILES = {
    "merkle-rfc6962-transparency-dev.json": _merkle,
    "rfc9180-appendix-a.json": _hpke,
    "rfc9180-boringssl-hpke_test_vectors.txt": _boringssl,
    "hpke-pq-test-vectors.json": _hpke,
    "wycheproof/x25519_test.json": _wycheproof(_x25519),
    "wycheproof/ed25519_test.json": _wycheproof(_ed25519),
    "wycheproof/hkdf_sha256_test.json": _wycheproof(_hkdf),
    "wycheproof/hmac_sha256_test.json": _wycheproof(_hmac),
    "wycheproof/aes_gcm_test.json": _wycheproof(_aead(AESGCM)),
    "wycheproof/chacha20_poly1305_test.json": _wycheproof(_aead(ChaCha20Poly1305)),
    "wycheproof/mlkem_768_test.json": _wycheproof(_mlkem),
}


def _numbers(line):
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", line)}


def _c_line(row, line):
    """What a C program has printed about a file, in the counts of this table."""
    row.c_lines += 1
    said = _numbers(line)
    if "skipped: no ML-KEM" in line:
        row.c_skipped[NO_MLKEM] = said.get("verdicts", row.total)
    elif "verdicts" in said or "accepted" in line:
        first = re.search(r": (\d+) of (\d+) accepted", line)
        row.c_passed += int(first[1]) + said["refused"] if first else said["accepted"] + said["refused"]
        if said.get("skipped"):
            row.c_skipped["sizes that Kinward has not"] = said["skipped"]
    else:
        row.c_passed += said["encryptions"] + said["exports"]
        rest = row.total - row.c_passed - sum(row.c_skipped.values())
        if rest:
            row.c_skipped["KEMs and hashes that Kinward has not"] = rest


def _programs(rows, build):
    for program in PROGRAMS:
        ran = subprocess.run([str(pathlib.Path(build) / "tests" / "unit" / program)], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise AssertionError("%s failed:\n%s%s" % (program, ran.stdout[-2000:], ran.stderr[-2000:]))
        for line in ran.stdout.splitlines():
            for row in rows:
                if line.startswith((row.name + ":", row.name + ",", pathlib.Path(row.name).name + ":")):
                    _c_line(row, line)
    for row in rows:
        if row.c_lines == 0 or row.c_passed + sum(row.c_skipped.values()) != row.total:
            raise AssertionError("%s: the C programs tell of %d passed and %s skipped, of %d" % (
                row.name, row.c_passed, row.c_skipped, row.total))


def _why(skipped):
    return "".join("; %d skipped: %s" % (count, why) for why, count in sorted(skipped.items()))


def run(build=None):
    there = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.is_file() and p.name != "SOURCES.md"}
    if there != set(FILES):
        raise AssertionError("files that nobody runs, or that are missing: %s" % sorted(there ^ set(FILES)))
    rows = []
    for name, check in FILES.items():
        row = Row(name)
        check(row)
        if row.total == 0:
            raise AssertionError("%s: nothing in it" % name)
        rows.append(row)
    if build:
        _programs(rows, build)
    for row in rows:
        c = "; C: %d passed%s" % (row.c_passed, _why(row.c_skipped)) if build else ""
        yield "%s: %d verdicts%s | Python: %d passed%s" % (row.name, row.total, c, row.passed, _why(row.skipped))
