"""Merkle trees as in RFC 9162 §2.1, and the small tree over the slots of an envelope."""

from crypto import h


def leaf(data):
    return h(b"\x00", data)


def node(left, right):
    return h(b"\x01", left, right)


def root(leaves):
    """Of leaf hashes, any number of them (§2.1.1)."""
    if not leaves:
        return h()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(root(leaves[:split]), root(leaves[split:]))


def climb(at, index, path):
    """The root of a full tree: bit i of index is 1 where path[i] stands to the left."""
    for level, beside in enumerate(path):
        at = node(beside, at) if index >> level & 1 else node(at, beside)
    return at


def inclusion(index, size, at, path):
    """§2.1.3.2: the root that leaf hash `at` leads to, None when the path has the wrong form."""
    if index >= size:
        return None
    fn, sn = index, size - 1
    for beside in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            at = node(beside, at)
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            at = node(at, beside)
        fn, sn = fn >> 1, sn >> 1
    return at if sn == 0 else None


def consistency(first, second, root_first, root_second, path):
    """§2.1.4.2: "ok", "form" when the proof has the wrong number of hashes, "roots" when it leads elsewhere."""
    if not 0 < first <= second:
        return "form"
    if first == second:
        return "form" if path else "ok" if root_first == root_second else "roots"
    if not path:
        return "form"
    path = list(path)
    if first & (first - 1) == 0:
        path.insert(0, root_first)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for beside in path[1:]:
        if sn == 0:
            return "form"
        if fn & 1 or fn == sn:
            old, new = node(beside, old), node(beside, new)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node(new, beside)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        return "form"
    return "ok" if (old, new) == (root_first, root_second) else "roots"
