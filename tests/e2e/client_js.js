"use strict";
/* Called by test_client_js.sh: the JavaScript client against the agents of agency-a and agency-b, and against a socket that
 * answers as no agent does. Arguments: the sockets of both, a folder for sockets of our own. */

const assert = require("node:assert/strict");
const net = require("node:net");
const path = require("node:path");
const kinward = require("../../agent/clients/js/kinward");

const [socketA, socketB, folder] = process.argv.slice(2);

function referral(caseRef) {
  return {
    caseRef,
    service: "SERVICE_TYPE_FOOD",
    risk: "RISK_LOW",
    reason: "Alone since Monday – مرحبا",
    children: [{ code: caseRef, sex: "SEX_FEMALE", age: { years: 9, asOf: { year: 2024, month: 5, day: 2 } } }],
    referrer: { name: "Jo Bol" },
    consent: { services: "CONSENT_ANSWER_GIVEN", shareOtherOrgs: "CONSENT_ANSWER_GIVEN", obtainedFrom: "CONSENT_SOURCE_CAREGIVER" },
  };
}

async function eventually(what, condition) {
  for (let i = 0; i < 300; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`never happened: ${what}`);
}

async function round_trip(a, b) {
  const seen = [];
  const items = b.subscribe();
  const messageId = kinward.newId();
  const sent = await a.send("agency-b", { messageId, referralRequest: referral("J-1") });
  assert.deepEqual(Buffer.from(sent.messageId), messageId);
  assert.equal(sent.repeatedRequest, false);
  for await (const item of items) {
    seen.push(item);
    assert.equal(await b.ack([item.messageId]), 1);
    assert.equal(await b.ack([item.messageId]), 0);
    break; // ends the subscription
  }
  assert.equal(seen[0].agency, "agency-a");
  assert.deepEqual(Buffer.from(seen[0].messageId), messageId);
  assert.equal(seen[0].content.referralRequest.reason, "Alone since Monday – مرحبا");
  assert.equal(seen[0].content.referralRequest.children[0].age.years, 9);
  assert.equal(seen[0].content.referralRequest.risk, "RISK_LOW");
  await eventually("opened", async () => (await a.show(messageId)).state === "OUT_STATE_OPENED");
  const item = await a.show(messageId);
  assert.ok(item.openedUnixMs > 1.6e12 && item.openedUnixMs <= Date.now() + 60000);
  /* The same again is a success and sends nothing; other content under the id is refused. */
  const again = await a.send("agency-b", { messageId, referralRequest: referral("J-1") });
  assert.equal(again.repeatedRequest, true);
  await assert.rejects(a.send("agency-b", { messageId, referralRequest: referral("J-2") }), { code: "exists", retryable: false });
}

async function refusals(a) {
  await assert.rejects(a.send("agency-zzz", { referralRequest: referral("J-3") }), (error) => {
    assert.ok(error instanceof kinward.Refused && error instanceof kinward.KinwardError);
    assert.equal(error.code, "no_such_agency");
    assert.equal(error.field, "send.agency");
    return true;
  });
  const bare = referral("J-4");
  delete bare.reason;
  await assert.rejects(a.send("agency-b", { referralRequest: bare }), (error) => error.code === "bad_field" && /reason/.test(error.field));
  await assert.rejects(a.show(kinward.newId()), { code: "not_found" });
  /* What protobufjs would drop in silence never leaves. */
  const wrong = (content, pattern) => assert.rejects(a.send("agency-b", content), (error) => {
    assert.ok(error instanceof kinward.KinwardError && !(error instanceof kinward.Refused), String(error));
    assert.match(error.message, pattern);
    return true;
  });
  await wrong({ referralRequest: { ...referral("J-5"), reasons: "x" } }, /send\.content\.referralRequest\.reasons/);
  await wrong({ referralRequest: { ...referral("J-5"), risk: "RISK_HUGE" } }, /risk/);
  await wrong({ referralRequest: { ...referral("J-5"), children: {} } }, /children is a list/);
  await wrong({ messageId: "00", referralRequest: referral("J-5") }, /messageId is bytes/);
  await wrong({ referralRequest: { ...referral("J-5"), children: [{ age: { years: -1 } }] } }, /children\.0\.age\.years is a number/);
  await wrong({ referralRequest: referral("J-5"), receipt: {} }, /only one/);
  await wrong({ referralRequest: { ...referral("J-5"), reason: "x".repeat(70000) } }, /at most 65536/);
}

async function many(a, b) {
  const ids = Array.from({ length: 300 }, kinward.newId);
  await Promise.all(ids.map((messageId, i) => a.send("agency-b", { messageId, referralRequest: referral(`M-${i}`) })));
  const wanted = new Set(ids.map((id) => id.toString("hex")));
  /* A reader that is slow at first, so that more is due than is taken. */
  for await (const item of b.subscribe()) {
    if (wanted.size === 300) await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(wanted.delete(Buffer.from(item.messageId).toString("hex")), "an item that was not sent, or twice");
    await b.ack([item.messageId]);
    if (wanted.size === 0) break;
  }
  let listed = 0;
  for await (const item of b.inbox({ all: true, limit: 37 })) {
    listed++;
    assert.equal(item.acked, true);
  }
  assert.equal(listed, 301);
  for await (const item of b.inbox()) assert.fail(`not acknowledged: ${item.number}`);
  const status = await a.status();
  assert.equal(status.agency, "agency-a");
  assert.equal(status.sent, 301);
  assert.equal(status.online, true);
  const keys = await a.keys();
  assert.deepEqual(keys.agencies.map((one) => one.agency).sort(), ["agency-a", "agency-b"]);
  assert.equal(keys.identityFingerprint.length, 32);
}

/* A socket on which `talk` decides what happens. */
function pretend(name, talk) {
  const server = net.createServer(talk);
  return new Promise((resolve) => server.listen(path.join(folder, name), () => resolve(server)));
}

async function strange_agents() {
  await assert.rejects(kinward.connect({ path: path.join(folder, "nobody") }), (error) => error instanceof kinward.Unreachable && /Start kinward-agent/.test(error.message));
  const silent = await pretend("silent", () => {});
  const asked = await kinward.connect({ path: path.join(folder, "silent"), timeoutMs: 200 });
  await assert.rejects(asked.status(), kinward.Timeout);
  asked.close();
  await assert.rejects(asked.status(), kinward.Unreachable);
  silent.close();

  /* Answers two questions in the wrong order, a byte at a time. Bodies: id, then an empty AckReply (field 14). */
  const dribble = await pretend("dribble", (socket) => {
    let got = 0;
    socket.on("data", async (chunk) => {
      got += chunk.length;
      if (got < 2 * (4 + 2 + 3)) return; // two requests: size, id, an empty status
      for (const byte of [0, 0, 0, 6, 8, 2, 114, 2, 8, 7, 0, 0, 0, 6, 8, 1, 114, 2, 8, 5]) {
        socket.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
    });
  });
  const slow = await kinward.connect({ path: path.join(folder, "dribble") });
  const [one, two] = await Promise.all([slow.ask({ status: {} }), slow.ask({ status: {} })]);
  assert.equal(one.count, 5);
  assert.equal(two.count, 7);
  slow.close();
  dribble.close();

  const rude = async (name, bytes, kind) => {
    const server = await pretend(name, (socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.write(Buffer.from(bytes)));
    });
    const agent = await kinward.connect({ path: path.join(folder, name) });
    await assert.rejects(agent.status(), kind);
    agent.close();
    server.close();
  };
  await rude("large", [255, 255, 255, 255], kinward.KinwardError);
  await rude("garbage", [0, 0, 0, 2, 255, 255], kinward.Unreachable);
  await rude("stranger", [0, 0, 0, 4, 8, 99, 114, 0], kinward.Unreachable);
  const gone = await pretend("gone", (socket) => socket.on("data", () => socket.destroy()));
  const left = await kinward.connect({ path: path.join(folder, "gone") });
  await assert.rejects(left.status(), kinward.Unreachable);
  const subscription = left.subscribe();
  await assert.rejects(subscription.next(), kinward.Unreachable);
  gone.close();
}

async function main() {
  const a = await kinward.connect({ path: socketA });
  const b = await kinward.connect({ path: socketB });
  await round_trip(a, b);
  await refusals(a);
  await many(a, b);
  await strange_agents();
  a.close();
  b.close();
  console.log("the JavaScript client: all good");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
