"""Counts for deploy/demo.sh: reads what `kinward … --json` prints.

status       sums the states of several status replies on stdin
tag A L      one line per item of a list reply on stdin, marked with agency and list
next         the number to ask on from
table DIR F  the table of DIR/items.jsonl and DIR/status.jsonl; JSON to F; exit 1 when something was lost or doubled
"""
import json
import os
import sys


def objects(stream):
    text, decoder, at = stream.read(), json.JSONDecoder(), 0
    while at < len(text):
        while at < len(text) and text[at].isspace():
            at += 1
        if at < len(text):
            value, at = decoder.raw_decode(text, at)
            yield value


def number(item, key):
    return int(item.get(key, 0))


def status():
    held = delivered = opened = sent = 0
    for reply in objects(sys.stdin):
        sent += number(reply, "sent")
        opened += number(reply, "opened")
        delivered += number(reply, "delivered") + number(reply, "opened")
        held += number(reply, "held") + number(reply, "delivered") + number(reply, "opened")
    print(sent, held, delivered, opened)


def pages(stream):
    return list(objects(stream))


def tag(agency, kind):
    for page in pages(sys.stdin):
        for item in page.get("items", []):
            item.pop("content", None)
            print(json.dumps({"owner": agency, "list": kind, **item}))


def next_after():
    last = 0
    for page in pages(sys.stdin):
        last = number(page, "nextAfter")
    print(last)


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0


def table(folder, summary):
    with open(os.path.join(folder, "items.jsonl"), encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    with open(os.path.join(folder, "status.jsonl"), encoding="utf-8") as file:
        replies = list(objects(file))
    out = [item for item in items if item["list"] == "outbox"]
    arrived = {}
    for item in items:
        if item["list"] == "inbox":
            arrived[item["messageId"]] = arrived.get(item["messageId"], 0) + 1
    times = sorted(number(i, "deliveredUnixMs") - number(i, "atUnixMs") for i in out if number(i, "deliveredUnixMs"))
    wire = sum(number(reply, "wireBytesOut") for reply in replies)
    result = {
        "sent": len(out),
        "held": sum(1 for i in out if number(i, "heldUnixMs") or number(i, "deliveredUnixMs")),
        "delivered": sum(1 for i in out if number(i, "deliveredUnixMs")),
        "opened": sum(1 for i in out if number(i, "openedUnixMs")),
        "duplicates": sum(count - 1 for count in arrived.values()),
        "lost": sum(1 for i in out if i["messageId"] not in arrived),
        "wire_bytes_per_referral": round(wire / max(1, len(out))),
        "deliver_ms_p50": percentile(times, 0.5),
        "deliver_ms_p99": percentile(times, 0.99),
    }
    for key, value in result.items():
        print(f"  {key.replace('_', ' '):26} {value:>8}")
    if summary:
        with open(summary, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    good = result["sent"] == result["delivered"] == result["opened"] and not result["lost"] and not result["duplicates"]
    sys.exit(0 if good and result["sent"] else 1)


def main(words):
    if words[:1] == ["status"]:
        status()
    elif words[:1] == ["tag"]:
        tag(words[1], words[2])
    elif words[:1] == ["next"]:
        next_after()
    elif words[:1] == ["table"]:
        table(words[1], words[2] if len(words) > 2 else None)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
