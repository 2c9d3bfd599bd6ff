#!/usr/bin/env python3
"""Judges a trace of test_ack_after_sync.sh: was each answer written after a commit that began after its message was read?

    ack_after_sync.py TRACE [--without-commit]

--without-commit plants a fault: one commit that covered answers, in the middle of the trace, is left out, and four behind it.
Exit 0: every answer was covered, and there were enough of them to say so.
"""
import bisect
import re
import sys

ANSWERS_MIN = 1000  # below this it was no load
ANSWER_MAX = 100  # bytes of a write with an answer, 53 here; a checkpoint of the audit log has 160 and waits for no commit of ours
MESSAGE_MIN = 1000  # bytes of a read that holds (the rest of) a message of 1 KiB; all else on these sockets is smaller

LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")
CALL = re.compile(r"^(\w+)\((\w+)?")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>")
RESULT = re.compile(r"= (-?\d+).*?(?:<(\d+\.\d+)>)?$")

READS = {"read", "readv", "recvfrom", "recvmsg"}
WRITES = {"write", "writev", "sendto", "sendmsg"}
SYNCS = {"fdatasync", "fsync", "msync"}


def calls(path):
    """(name, fd, begin, end, result, text) of each finished call. Its begin and its end are both times of the tracer, which
    sees one after the other, so they order what different threads did."""
    pending = {}
    with open(path, errors="replace") as trace:
        for line in trace:
            found = LINE.match(line.rstrip("\n"))
            if not found:
                continue
            pid, at, text = found.group(1), float(found.group(2)), found.group(3)
            resumed = RESUMED.match(text)
            if resumed:
                name, fd, begin, head = pending.pop(pid, (None, None, None, None))
                if name is None:
                    continue
                text, end = head + text, at
            else:
                call = CALL.match(text)
                if not call:
                    continue
                name, begin = call.group(1), at
                fd = int(call.group(2)) if (call.group(2) or "").isdigit() else None
                if text.endswith("<unfinished ...>"):
                    pending[pid] = (name, fd, begin, text)
                    continue
                end = None
            result = RESULT.search(text)
            if not result:
                continue
            if end is None:
                end = begin + float(result.group(2) or 0)
            yield name, fd, begin, end, int(result.group(1)), text


def commits_of(trace):
    """Sockets, and (begin of the fdatasync, end of the meta page's write) of each commit."""
    synced, sockets, commits = set(), set(), []
    pages = None
    for name, fd, begin, end, result, text in trace:
        if name == "openat" and result >= 0:
            (synced.add if "O_DSYNC" in text else synced.discard)(result)
            sockets.discard(result)
        elif name in ("accept", "accept4") and result >= 0:
            sockets.add(result)
            synced.discard(result)
        elif name in SYNCS and result == 0:
            pages = (begin, end)
        elif name in ("pwrite64", "pwritev") and fd in synced and pages is not None and begin >= pages[1]:
            commits.append((pages[0], end))
            pages = None
    return sockets, commits


def judge(trace, sockets, commits):
    """How many answers there were, how many came before their commit, and which commits covered one."""
    begins = [begin for begin, _ in commits]
    answers = uncovered = others = 0
    covers = set()
    waiting = {}  # socket: when its message had been read
    greeted = set()  # the first is of the handshake: an agency's certificates, answered by TLS itself
    for name, fd, begin, end, result, _ in trace:
        if fd not in sockets:
            continue
        if name in WRITES and result > ANSWER_MAX and fd in greeted:
            others += 1  # it may have an answer in it, so what it answers is not judged
            waiting.pop(fd, None)
        elif name in READS and (result >= MESSAGE_MIN or (result > 0 and fd in waiting)):
            waiting[fd] = end  # a message, or the rest of one
        elif name in WRITES and fd in waiting:
            read_at = waiting.pop(fd)
            if fd not in greeted:
                greeted.add(fd)
                continue
            answers += 1
            first = bisect.bisect_left(begins, read_at)
            if first == len(commits) or commits[first][1] > begin:
                uncovered += 1
            else:
                covers.add(first)
    if others * 10 > answers:
        sys.exit(f"{others} writes of more than {ANSWER_MAX} bytes, {answers} answers: too little can be judged")
    return answers, uncovered, sorted(covers)


def main():
    path, plant = sys.argv[1], "--without-commit" in sys.argv[2:]
    # strace writes a call that another thread's cut in two when it ends: in order of their begin they are sorted here.
    trace = sorted(calls(path), key=lambda call: call[2])
    sockets, commits = commits_of(trace)
    answers, uncovered, covers = judge(trace, sockets, commits)
    if plant and covers:
        middle = covers[len(covers) // 2]
        del commits[middle:middle + 5]  # the one after it may have been over as well before the answers left
        answers, uncovered, covers = judge(trace, sockets, commits)
    print(f"answers {answers}, before their commit {uncovered}, commits that covered one {len(covers)}")
    if answers < ANSWERS_MIN or (uncovered == 0 and len(covers) * 4 > answers):
        sys.exit(f"fewer than {ANSWERS_MIN} answers, or fewer than four to a commit: this was no load")
    sys.exit(1 if uncovered else 0)


if __name__ == "__main__":
    main()
