#!/usr/bin/env python3
"""Every maximum of a public header is held to by a test that names it, at the maximum and one more; or it stands below with
the reason why no test can, or need, or does yet. A limit that nobody tests is a limit that nobody has."""

import re

from _rules import Report, blank, c_files, files, read, root_from_argv

FOLDERS = ("agent", "broker", "proto")
DEFINE = re.compile(r"^#define ([A-Z0-9_]+_MAX)\b", re.MULTILINE)
NAME = re.compile(r"\b[A-Z0-9_]+_MAX\b")

# What more never comes to: the program itself decides how many there are, and an assertion or a type holds it.
OURS = """AGENT_UPLOADS_MAX AGT_OUT_BYTES_MAX AGT_PLAN_MAX AGT_TAKEN_MAX BRK_PLAN_MAX CLI_OPTIONS_MAX HUB_EXPIRED_MAX
INDICATORS_DIGITS_MAX JSON_RULE_SIZE_MAX KINWARD_PROBLEM_SIZE_MAX KW_BLOBS_BEHIND_MAX KW_BLOB_ROUND_MS_MAX
KW_BLOBS_PLAN_MAX KW_FIELD_NUMBER_MAX KW_MERKLE_SMALL_LEAVES_MAX KW_PARTS_MAX KW_TLS_RECORD_SIZE_MAX KW_HPKE_ENC_SIZE_MAX KW_ROLES_CHANGES_MAX LINK_PLAIN_SIZE_MAX SPOOL_GONE_MAX
SPOOL_KEEP_NAME_SIZE_MAX SPOOL_RECEIPTS_MAX STORE_BYTES_MAX STORE_COMPACT_BYTES_MAX STORE_INDEX_SIZE_MAX STORE_OPS_MAX
STORE_PAGE_SIZE_MAX STORE_ROW_THREAD_SIZE_MAX STORE_SLOT_MAX STORE_THREAD_SIZE_MAX STORE_TRIM_ROWS_MAX SUPPRESS_COLUMNS_MAX
SUPPRESS_ROWS_MAX TABLE_STEPS_MAX""".split()

# Held to by a rule of the schema, whose messages at the limit and beyond are in tests/data/messages, or by the limit of a
# frame or a file around it that a test holds at its own maximum.
ELSEWHERE = """AGENT_FILE_NAME_SIZE_MAX AGENT_MEDIA_TYPE_SIZE_MAX AGENT_PHONES_MAX AGENT_PHONE_SIZE_MAX
AGT_SERVICE_LANGUAGES_MAX KW_SLOT_INFO_SIZE_MAX LETTER_CONTENT_SIZE_MAX LETTER_HOPS_MAX
SPOOL_CASE_REF_SIZE_MAX SPOOL_ERASE_NOTE_MAX SPOOL_LOCAL_ID_SIZE_MAX SURVEILLANCE_PCODE_SIZE_MAX""".split()

# By what e2e and shell tests do through the command line, which cannot name it: the number stands in the test.
BY_NUMBER = {
    "AGENT_BATCH_COUNT_MAX": "tests/e2e/test_story_file.sh takes 4096 and refuses 4097",
}

# Known debt: no test goes to the maximum. Take one out with its test; put none in.
DEBT = """AGENT_ALTERNATES_MAX AGENT_ALTERNATE_PHONES_MAX SPOOL_SAME_MAX AGENT_BATCH_SIZE_MAX AGENT_BLOBS_MAX AGENT_BLOBS_OWN_MAX AGENT_LIFETIME_HOURS_MAX AGENT_PART_SIZE_MAX
AGENT_SENDING_MAX AGT_OFFER_AGENCIES_MAX ASSESS_COMMUNITIES_MAX CLI_FILES_MAX CLI_FILE_SIZE_MAX CLI_PUBLISH_MAX CLI_TIMEOUT_S_MAX
COMPLETENESS_SITES_MAX COMPLETENESS_WEEKS_MAX 
IMPORT_CELL_SIZE_MAX IMPORT_COLUMNS_MAX IMPORT_ROWS_MAX JSON_DEPTH_MAX KINWARD_REPLY_SIZE_MAX KW_BLOB_FILE_PATH_MAX
KW_ENROL_CERTIFICATE_SIZE_MAX KW_ENROL_CSR_SIZE_MAX KW_MESSAGE_ARENA_MAX KW_PKI_CHAIN_MAX
KW_PKI_FILE_SIZE_MAX KW_SIGNED_SIZE_MAX KW_TLS_OUT_SIZE_MAX 
SOCKET_CALLS_MAX SOCKET_IDS_MAX SOCKET_LIST_BYTES_MAX SPOOL_ANSWERS_MAX SPOOL_ASIDE_MAX STORE_DAMAGED_MAX
STORE_DAMAGED_SIZE_MAX STORE_EARLY_MAX SURVEILLANCE_CASES_MAX TABLE_LANES_MAX""".split()


def main():
    root = root_from_argv()
    report = Report("limits")
    defined, tested = {}, set()
    for name in c_files(root, FOLDERS):
        if not name.endswith(".h"):
            continue
        report.looked_at += 1
        text = blank(read(root, name))
        for match in DEFINE.finditer(text):
            defined.setdefault(match.group(1), (name, text.count("\n", 0, match.start()) + 1))
    for name in files(root):
        if name.startswith("tests/") and not name.startswith(("tests/rules/", "tests/kit/")) and name.endswith((".c", ".h", ".py")):
            tested |= set(NAME.findall(blank(read(root, name))))
    excused = set(OURS) | set(ELSEWHERE) | set(BY_NUMBER) | set(DEBT)
    for limit in sorted(set(defined) - tested - excused):
        report.breach(*defined[limit], "no test names %s; test it at the maximum and one more" % limit)
    # Only in a tree that has limits at all: the small one of selftest.py has one.
    for limit in sorted(excused) if len(defined) > 20 else []:
        if limit not in defined:
            report.breach("tests/rules/limits.py", 1, "%s is excused and no header has it; take it out" % limit)
        elif limit in tested:
            report.breach("tests/rules/limits.py", 1, "%s is excused and a test names it; take it out" % limit)
    report.finish()


main()
