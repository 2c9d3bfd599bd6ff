#!/usr/bin/env node
"use strict";
/* Sends one referral through this machine's agent and waits until the recipient's agent has it.
 *
 *     send_referral.js AGENCY CASE_REF REASON
 *
 * An example to copy from: in a real system the fields come from its own records, consent above all. */

const kinward = require("./kinward");

const WAIT_MS = 60000;
const TRIES = 5;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function referral(caseRef, reason) {
  const today = new Date();
  const asOf = { year: today.getUTCFullYear(), month: today.getUTCMonth() + 1, day: today.getUTCDate() };
  return {
    caseRef,
    service: "SERVICE_TYPE_SHELTER",
    risk: "RISK_HIGH",
    reason,
    children: [{ code: caseRef, sex: "SEX_FEMALE", age: { years: 9, asOf } }],
    referrer: { name: "Jo Bol", position: "caseworker" },
    consent: {
      services: "CONSENT_ANSWER_GIVEN",
      shareOtherOrgs: "CONSENT_ANSWER_GIVEN",
      obtainedFrom: "CONSENT_SOURCE_CAREGIVER",
    },
  };
}

/* The id in `content` stays the same over retries, so that the recipient gets the message once whatever breaks. */
async function send(agency, content) {
  for (let attempt = 0; ; attempt++) {
    let agent = null;
    try {
      agent = await kinward.connect();
      return await agent.send(agency, content);
    } catch (error) {
      const again = error instanceof kinward.Unreachable || error instanceof kinward.Timeout || error.retryable;
      if (!again || attempt === TRIES - 1) throw error;
      console.error(error.message);
    } finally {
      if (agent) agent.close();
    }
    await sleep(1000 * 2 ** attempt);
  }
}

async function main([agency, caseRef, reason, ...rest]) {
  if (!reason || rest.length > 0) {
    console.error("usage: send_referral.js AGENCY CASE_REF REASON");
    return 2;
  }
  const sent = await send(agency, { messageId: kinward.newId(), referralRequest: referral(caseRef, reason) });
  console.log(`in the outbox: message ${sent.messageId.toString("hex")}`);
  const agent = await kinward.connect();
  try {
    for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; await sleep(500)) {
      const item = await agent.show(sent.messageId);
      if (item.state === "OUT_STATE_DELIVERED" || item.state === "OUT_STATE_OPENED") {
        console.log(item.state);
        return 0;
      }
      if (item.state === "OUT_STATE_DEAD") {
        console.log(item.state, item.reason);
        return 1;
      }
    }
  } finally {
    agent.close();
  }
  console.log("not delivered yet; the agent goes on by itself (kinward outbox)");
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error instanceof kinward.KinwardError ? error.message : error);
    process.exitCode = 1;
  },
);
