"""The golden attachments, by PROTOCOL.md, "Attachments": each chunk checked by its path, and opened."""

import golden
from crypto import OpenError, aead_open, h, hkdf_expand
from envelope import CHUNK, bucket_of, chunk_nonce
from tree import inclusion, leaf, root

AES = 1  # the AEAD of suite 1


class Blob:
    def __init__(self, size, padded, key, commit, digest, file):
        self.size, self.padded = int(size), int(padded)
        self.key, self.commit, self.digest, self.file = (golden.raw(w) for w in (key, commit, digest, file))
        self.count = -(-self.padded // CHUNK)
        self.chunks = []
        _same("padded size", bucket_of(self.size), self.padded)
        _same("commit", hkdf_expand(self.key, b"kw1 blob commit"), self.commit)

    def name(self, top):
        return h(b"kw1 blob", self.padded.to_bytes(8, "big"), self.commit, top)

    def belongs(self, index, chunk, path):
        hashes = [path[i:i + 32] for i in range(0, len(path), 32)]
        top = inclusion(index, self.count, leaf(chunk), hashes)
        return top is not None and self.name(top) == self.digest

    def end(self):
        """All chunks are there."""
        _same("name", self.name(root([leaf(chunk) for chunk in self.chunks])), self.digest)
        key, padded = hkdf_expand(self.key, b"kw1 blob body"), b""
        for i, chunk in enumerate(self.chunks):
            padded += aead_open(AES, key, chunk_nonce(i, i == self.count - 1), b"", chunk)
        _same("zeros", padded[self.size:], bytes(self.padded - self.size))
        _same("file", h(padded[:self.size]), self.file)
        try:
            aead_open(AES, key, chunk_nonce(0, self.count != 1), b"", self.chunks[0])
        except OpenError:
            return
        raise AssertionError("blobs.txt: a chunk opens with another last flag")


def _same(what, got, wanted):
    if got != wanted:
        raise AssertionError("blobs.txt: %s: %r, not %r" % (what, got, wanted))


def run():
    blob, path, blobs, chunks, bad = None, b"", 0, 0, 0
    for word, rest in golden.lines("blobs.txt"):
        if word == "blob":
            if blob:
                blob.end()
            blob, blobs = Blob(*rest), blobs + 1
        elif word == "chunk":
            _same("index", int(rest[0]), len(blob.chunks))
            path = golden.raw(rest[2])
            blob.chunks.append(golden.raw(rest[1]))
            _same("chunk", blob.belongs(int(rest[0]), blob.chunks[-1], path), True)
            chunks += 1
        else:
            index, chunk = len(blob.chunks) - 1, blob.chunks[-1]
            for place, changed, wanted in golden.flips(chunk if rest[0] == "chunk" else path, int(rest[1]), rest[2:]):
                good = blob.belongs(index, *((changed, path) if rest[0] == "chunk" else (chunk, changed)))
                _same("%s with byte %d flipped" % (rest[0], place), "ok" if good else "not_authentic", wanted)
                _same("verdict", wanted, "not_authentic")
                bad += 1
    blob.end()
    yield "%d good, of %d chunks, %d bad refused" % (blobs, chunks, bad)
