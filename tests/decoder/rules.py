"""Refusals by the names that PROTOCOL.md gives to its rules, and the small checks that many readers share."""

import re

import schema

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


class Refused(Exception):
    def __init__(self, rule, why=""):
        super().__init__("%s: %s" % (rule, why))
        self.rule = rule


def need(condition, rule, why=""):
    if not condition:
        raise Refused(rule, why)


def exact(message, data, rule):
    try:
        return schema.exact(message, data)
    except schema.Malformed as error:
        raise Refused(rule, str(error)) from error


def is_name(text):
    return bool(NAME.match(text))


def size_in(value, low, high=None):
    return low <= len(value) <= (low if high is None else high)
