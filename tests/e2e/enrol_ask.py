#!/usr/bin/env python3
"""Sends the EnrolAsk of a request file over TLS, as somebody would who has copied it: enrol_ask.py PORT FILE. Its proof is of no
connection, so a hub must refuse it. Prints the answer: "error CODE", "state PHASE" or "enrolled"."""

import socket
import ssl
import sys

ENROL, ENROLLED, ENROL_STATE, ERROR = 11, 12, 13, 5


def whole(link, size):
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            sys.exit("closed without an answer")
        data += part
    return data


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    head, _, body = open(path, "rb").read().partition(b"\n")
    assert head == b"kinward enrolment request 1", head
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is the thief who does not care whom it talks to
    context.set_alpn_protocols(["kinward-enrol/1"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as link:
        link.sendall(len(body).to_bytes(3, "big") + bytes([ENROL]) + body)
        size = whole(link, 4)
        answer = whole(link, int.from_bytes(size[:3], "big"))
        if size[3] == ENROLLED:
            print("enrolled")
        elif size[3] == ENROL_STATE:
            print("state", answer[1])
        elif size[3] == ERROR:
            print("error", answer[2:2 + answer[1]].decode())


main()
