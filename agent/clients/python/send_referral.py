#!/usr/bin/env python3
"""Sends one referral through this machine's agent and waits until the recipient's agent has it.

    send_referral.py AGENCY CASE_REF REASON     (see kinward.py for how to make the message classes)

An example to copy from: in a real system the fields come from its own records, consent above all.
"""

import datetime
import os
import sys
import time

import kinward
from kinward.v1 import content_pb2, local_pb2, referral_pb2, types_pb2

WAIT_S = 60


def referral(case_ref, reason):
    today = datetime.date.today()
    child = referral_pb2.ReferredChild(code=case_ref, sex=types_pb2.SEX_FEMALE)
    child.age.years = 9
    child.age.as_of.year, child.age.as_of.month, child.age.as_of.day = today.year, today.month, today.day
    return referral_pb2.ReferralRequest(
        case_ref=case_ref,
        service=types_pb2.SERVICE_TYPE_SHELTER,
        risk=types_pb2.RISK_HIGH,
        reason=reason,
        children=[child],
        referrer=types_pb2.Staff(name="Jo Bol", position="caseworker"),
        consent=types_pb2.Consent(
            services=types_pb2.CONSENT_ANSWER_GIVEN,
            share_other_orgs=types_pb2.CONSENT_ANSWER_GIVEN,
            obtained_from=types_pb2.CONSENT_SOURCE_CAREGIVER,
        ),
    )


def send(agency, content):
    """The id is ours and stays the same over retries, so that the recipient gets the message once whatever breaks."""
    for attempt in range(5):
        try:
            with kinward.Agent() as agent:
                return agent.send(agency, content)
        except kinward.Refused as refusal:
            if not refusal.retryable:
                raise
        except (kinward.Unreachable, kinward.Timeout) as error:
            if attempt == 4:
                raise
            print(error, file=sys.stderr)
        time.sleep(2 ** attempt)
    raise kinward.KinwardError("The agent is full; try again later.")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    agency, case_ref, reason = sys.argv[1:]
    content = content_pb2.Content(message_id=os.urandom(16), referral_request=referral(case_ref, reason))
    try:
        sent = send(agency, content)
        print("in the outbox: message %s" % sent.message_id.hex())
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with kinward.Agent() as agent:
                item = agent.show(sent.message_id)
            if item.state in (local_pb2.OUT_STATE_DELIVERED, local_pb2.OUT_STATE_OPENED, local_pb2.OUT_STATE_DEAD):
                print(local_pb2.OutState.Name(item.state), item.reason)
                return 0 if item.state != local_pb2.OUT_STATE_DEAD else 1
            time.sleep(1)
    except kinward.KinwardError as error:
        print(error, file=sys.stderr)
        return 1
    print("not delivered yet; the agent goes on by itself (kinward outbox)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
