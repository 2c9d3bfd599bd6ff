"""Rows and counts for test_disk_full.sh and test_agent_full.sh; only what Python itself has.

rows FIRST COUNT SIZE   COUNT referrals as CSV for `kinward import --as referral`, with reasons of SIZE bytes
status KEY              one number or text of a `kinward status --json` reply on stdin; 0 when it is not there
ids NEXT                message id, state and agency of each item of a list reply on stdin, one a line; the number to ask
                        on from goes into the file NEXT
judge INBOX OUTBOX...   every item of the outboxes (files of `ids`) is opened and once in the inbox, and nothing else is
"""
import base64
import collections
import csv
import json
import sys


def rows(first, count, size):
    out = csv.writer(sys.stdout)
    out.writerow(["case_ref", "service", "risk", "reason", "code", "age", "sex", "registration_date", "referrer_name",
                  "consent_for_services", "disclosure_other_orgs", "consent_source"])
    for n in range(first, first + count):
        text = "Row %d " % n
        out.writerow(["F-%d" % n, "food", "low", text + "x" * (size - len(text)), "F-%d" % n, 7, "male", "2024-01-01", "Load",
                      "true", "true", "caregiver"])


def ids(page, next_file):
    with open(next_file, "w") as out:
        print(int(page.get("nextAfter", 0)), file=out)
    for item in page.get("items", []):
        print(base64.b64decode(item["messageId"]).hex(), item.get("state", "-"), item["agency"])


def judge(inbox, outboxes):
    arrived = collections.Counter(line.split()[0] for line in open(inbox))
    sent = {}
    for name in outboxes:
        for line in open(name):
            message, state, _ = line.split()
            sent[message] = state
    lost = [m for m in sent if arrived[m] != 1]
    unopened = [m for m, state in sent.items() if state != "OUT_STATE_OPENED"]
    strange = [m for m in arrived if m not in sent]
    print("sent %d, not once in the inbox %d, not opened %d, in the inbox and not sent %d" %
          (len(sent), len(lost), len(unopened), len(strange)))
    return 0 if sent and not lost and not unopened and not strange else 1


def main(what, *args):
    if what == "rows":
        return rows(*map(int, args))
    if what == "judge":
        return judge(args[0], args[1:])
    reply = json.load(sys.stdin)
    if what == "status":
        return print(reply.get(args[0], 0))
    return ids(reply, *args)


sys.exit(main(*sys.argv[1:]))
