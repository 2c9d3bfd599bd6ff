"use strict";
/* A client of kinward-agent's local socket.
 *
 *     const kinward = require("./kinward");
 *
 *     const agent = await kinward.connect();
 *     const sent = await agent.send("agency-b", { messageId: kinward.newId(), referralRequest: {...} });
 *     for await (const item of agent.subscribe()) {   // every item, again until it is acknowledged
 *       await store(item);
 *       await agent.ack([item.messageId]);
 *     }
 *
 * Needs Node 18 or later and protobufjs (npm ci, in this folder). Messages are plain objects with the names of
 * kinward/v1/*.proto in lowerCamelCase, as `kinward ... --json` prints them, but for two things: bytes are Buffers, and
 * 64-bit numbers are Numbers. Enum values are their names ("RISK_HIGH").
 *
 * The schema is read at run time: from options.protoDir, else KINWARD_PROTO_DIR in the environment, else the proto folder of
 * the source tree that this file lies in. The socket is options.path, else KINWARD_SOCKET, else /run/kinward/agent.sock.
 * Content is personal: do not log it. Requests of one connection may be under way side by side. */

const crypto = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const protobuf = require("protobufjs");

const SOCKET_DEFAULT = "/run/kinward/agent.sock";
const REQUEST_SIZE_MAX = 65536;
const REPLY_SIZE_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 10000;
/* Items of a subscription that wait for their reader; more are left with the agent. */
const WAITING_MAX = 64;

/* Something went wrong; the message says what to do. */
class KinwardError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = this.constructor.name;
  }
}

/* There is no agent to talk to, or the connection was lost. A request that was under way may have been carried out: send it
 * again with the same content.messageId, which the agent then recognises. */
class Unreachable extends KinwardError {}

/* No answer in time; as Unreachable. */
class Timeout extends KinwardError {}

/* The agent answered, and said no: code (such as "bad_field"), field (a path, may be empty), retryable. */
class Refused extends KinwardError {
  constructor(error) {
    super(error.field ? `${error.field}: ${error.text}` : error.text);
    this.code = error.code;
    this.field = error.field;
    this.retryable = error.retryable;
  }
}

/* A message id: choose it once and keep it over retries, so that the recipient gets the message once whatever breaks. */
function newId() {
  return crypto.randomBytes(16);
}

const schemas = new Map();

function schemaOf(protoDir) {
  const folder = protoDir || process.env.KINWARD_PROTO_DIR || path.join(__dirname, "..", "..", "..", "proto");
  if (!schemas.has(folder)) {
    const root = new protobuf.Root();
    /* What is not ours, such as google/protobuf/descriptor.proto, comes with protobufjs. */
    const theirs = path.dirname(require.resolve("protobufjs/package.json"));
    root.resolvePath = (_origin, target) => path.join(target.startsWith("google/") ? theirs : folder, target);
    if (!fs.existsSync(path.join(folder, "kinward", "v1", "local.proto")))
      throw new KinwardError(`There is no kinward/v1/local.proto in ${folder}; name the folder in KINWARD_PROTO_DIR.`);
    root.loadSync("kinward/v1/local.proto");
    root.resolveAll();
    schemas.set(folder, {
      request: root.lookupType("kinward.v1.LocalRequest"),
      reply: root.lookupType("kinward.v1.LocalReply"),
    });
  }
  return schemas.get(folder);
}

/* protobufjs drops a name or an enum value that it does not know. Of a case nothing may get lost in silence. */
function check(type, value, at) {
  if (value === null || typeof value !== "object" || Array.isArray(value) || Buffer.isBuffer(value))
    throw new KinwardError(`${at} is a ${type.name}: give an object.`);
  for (const [name, part] of Object.entries(value)) {
    const field = type.fields[name];
    if (!field) throw new KinwardError(`${at}.${name} is no field of ${type.name}; check the name.`);
    if (part === undefined || part === null) continue;
    if (field.repeated && !Array.isArray(part)) throw new KinwardError(`${at}.${name} is a list: give an array.`);
    (field.repeated ? part : [part]).forEach((one, i) => checkOne(field, one, field.repeated ? `${at}.${name}.${i}` : `${at}.${name}`));
  }
  for (const oneof of type.oneofsArray || []) {
    const set = oneof.fieldsArray.filter((field) => value[field.name] !== undefined && value[field.name] !== null);
    if (set.length > 1 && !oneof.name.startsWith("_"))
      throw new KinwardError(`${at} has ${set.map((field) => field.name).join(" and ")}; only one of them can be.`);
  }
}

function checkOne(field, value, at) {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) {
    if (typeof value === "string" ? !(value in type.values) : !(value in type.valuesById))
      throw new KinwardError(`${at}: ${type.name} has no value ${JSON.stringify(value)}.`);
  } else if (type) {
    check(type, value, at);
  } else if (field.type === "bytes") {
    if (!(value instanceof Uint8Array)) throw new KinwardError(`${at} is bytes: give a Buffer.`);
  } else if (field.type === "string" || field.type === "bool") {
    if (typeof value !== (field.type === "string" ? "string" : "boolean"))
      throw new KinwardError(`${at} is a ${field.type}.`);
  } else {
    const whole = field.type !== "double" && field.type !== "float";
    const signed = !/^(uint|fixed)/.test(field.type);
    const limit = /32$/.test(field.type) ? (signed ? 2 ** 31 : 2 ** 32) : 2 ** 53;
    if (typeof value !== "number" || (whole && (!Number.isInteger(value) || value >= limit || value < (signed ? -limit : 0))))
      throw new KinwardError(`${at} is a number of type ${field.type}.`);
  }
}

function advice(socketPath, error) {
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return `There is no agent socket at ${socketPath}. Start kinward-agent (systemctl start kinward-agent), or name the right path in KINWARD_SOCKET.`;
    case "ECONNREFUSED":
      return `Nobody listens at ${socketPath}: the agent has stopped. Start it (systemctl start kinward-agent) and look at its log (journalctl -u kinward-agent).`;
    case "EACCES":
    case "EPERM":
      return `You may not use ${socketPath}. Run as the user that the agent's configuration names, or ask its administrator to add you to allow_uids.`;
    default:
      return `Cannot connect to the agent at ${socketPath}: ${error.message}.`;
  }
}

/* One connection: frames in and out, replies to whom they are for. */
class Connection {
  constructor(options) {
    this.path = options.path || process.env.KINWARD_SOCKET || SOCKET_DEFAULT;
    this.schema = schemaOf(options.protoDir);
    this.chunks = [];
    this.size = 0;
    this.lastId = 0;
    this.calls = new Map(); // id → {resolve, reject, timer}, in the order of asking
    this.onItem = null;
    this.ended = null; // the error that ended it
  }

  open(timeoutMs) {
    return new Promise((resolve, reject) => {
      const socket = net.createConnection({ path: this.path });
      const fail = (error) => {
        socket.destroy();
        reject(error);
      };
      this.socket = socket;
      const timer = setTimeout(() => fail(new Timeout(`The agent at ${this.path} does not answer; look at its log (journalctl -u kinward-agent).`)), timeoutMs);
      socket.once("error", (error) => {
        clearTimeout(timer);
        fail(new Unreachable(advice(this.path, error), { cause: error }));
      });
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.removeAllListeners("error");
        socket.on("error", (error) => this.end(new Unreachable(`The agent closed the connection (${error.message}); try again.`, { cause: error })));
        socket.on("close", () => this.end(new Unreachable("The agent closed the connection; it may be restarting. Try again.")));
        socket.on("data", (chunk) => this.take(chunk));
        resolve(this);
      });
    });
  }

  end(error) {
    if (this.ended) return;
    this.ended = error;
    this.socket.destroy();
    for (const call of this.calls.values()) {
      clearTimeout(call.timer);
      call.reject(error);
    }
    this.calls.clear();
    if (this.onItem) this.onItem(error, null);
  }

  take(chunk) {
    this.chunks.push(chunk);
    this.size += chunk.length;
    while (!this.ended && this.size >= 4) {
      if (this.chunks[0].length < 4) this.chunks = [Buffer.concat(this.chunks)];
      const size = this.chunks[0].readUInt32BE(0);
      if (size > REPLY_SIZE_MAX) {
        this.end(new KinwardError(`The agent's reply has ${size} bytes; ask for fewer items.`));
        return;
      }
      if (this.size < 4 + size) return;
      const all = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
      this.chunks = all.length > 4 + size ? [all.subarray(4 + size)] : [];
      this.size -= 4 + size;
      this.reply(all.subarray(4, 4 + size));
    }
  }

  reply(bytes) {
    let reply;
    try {
      reply = this.schema.reply.toObject(this.schema.reply.decode(bytes), { longs: Number, enums: String, bytes: Buffer, defaults: true, oneofs: true });
    } catch (error) {
      this.end(new Unreachable("The agent's reply cannot be read; is it of another version?", { cause: error }));
      return;
    }
    /* A request that the agent could not even read has no id in its answer: it is the oldest. */
    const id = reply.id === 0 && reply.body === "error" ? this.calls.keys().next().value : reply.id;
    const call = this.calls.get(id);
    if (call) {
      this.calls.delete(id);
      clearTimeout(call.timer);
      if (reply.body === "error") call.reject(new Refused(reply.error));
      else if (reply.body) call.resolve(reply[reply.body]);
      else call.reject(new KinwardError("The agent's answer is of a kind that this client does not know; upgrade the client."));
    } else if (this.onItem && id === this.itemId) {
      if (reply.body === "error") this.end(new Refused(reply.error));
      else if (reply.body === "item") this.onItem(null, reply.item);
    } else if (!(id > 0 && id <= this.lastId)) {
      /* Else an earlier one that timed out here, and is let go. */
      this.end(new Unreachable("The agent answered a request that was not made; try again."));
    }
  }

  write(body) {
    if (this.ended) throw this.ended instanceof KinwardError ? this.ended : new Unreachable("The connection is closed.");
    for (const [name, part] of Object.entries(body)) check(this.schema.request.fields[name].resolvedType, part, name);
    const id = ++this.lastId;
    const bytes = this.schema.request.encode(this.schema.request.fromObject({ id, ...body })).finish();
    if (bytes.length > REQUEST_SIZE_MAX)
      throw new KinwardError(`The request has ${bytes.length} bytes, at most ${REQUEST_SIZE_MAX} go; send less at once.`);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(bytes.length);
    this.socket.write(Buffer.concat([head, bytes]));
    return id;
  }

  ask(body, timeoutMs) {
    return new Promise((resolve, reject) => {
      const id = this.write(body); // what it throws rejects
      const timer = setTimeout(() => {
        this.calls.delete(id);
        reject(new Timeout("The agent did not answer in time. Look at its log (journalctl -u kinward-agent), then try again."));
      }, timeoutMs);
      this.calls.set(id, { resolve, reject, timer });
    });
  }
}

class Agent {
  constructor(connection, options) {
    this.connection = connection;
    this.options = options;
    this.timeoutMs = options.timeoutMs || TIMEOUT_MS;
  }

  close() {
    this.connection.end(new Unreachable("The connection is closed; connect again."));
  }

  /* Sends one LocalRequest body, such as {status: {}}, and gives the body of the reply. Refused, Unreachable, Timeout. */
  ask(body) {
    return this.connection.ask(body, this.timeoutMs);
  }

  /* Gives a SendReply once the message is durable in the agent's outbox. options: threadId, lifetimeHours, class. */
  send(agency, content, options = {}) {
    return this.ask({ send: { agency, content, ...options } });
  }

  /* Every item of a list, page by page; {all: true} adds the acknowledged ones. */
  inbox(listRequest = {}) {
    return this.pages("inbox", listRequest);
  }

  outbox(listRequest = {}) {
    return this.pages("outbox", listRequest);
  }

  deadLetters(listRequest = {}) {
    return this.pages("deadLetters", listRequest);
  }

  async *pages(name, listRequest) {
    for (let after = listRequest.after || 0; ; ) {
      const page = await this.ask({ [name]: { ...listRequest, after } });
      yield* page.items;
      if (page.nextAfter === 0) return;
      after = page.nextAfter;
    }
  }

  show(messageId) {
    return this.ask({ show: { messageId } });
  }

  /* Gives how many were not acknowledged before. */
  async ack(messageIds) {
    return (await this.ask({ ack: { messageIds } })).count;
  }

  register(localId, registration) {
    return this.ask({ register: { localId, registration } });
  }

  status() {
    return this.ask({ status: {} });
  }

  keys() {
    return this.ask({ keys: {} });
  }

  /* Each new inbox item for as long as the connection lasts, those not acknowledged yet first; it ends with Unreachable when
   * the agent does. It has a connection of its own, which is not read from while its reader is slow. */
  async *subscribe({ after = 0 } = {}) {
    const connection = await new Connection(this.options).open(this.timeoutMs);
    const waiting = [];
    let ended = null;
    let wake = () => {};
    connection.onItem = (error, item) => {
      if (error) ended = error;
      else if (waiting.push(item) >= WAITING_MAX) connection.socket.pause();
      wake();
    };
    try {
      connection.itemId = connection.write({ subscribe: { after } });
      for (;;) {
        while (waiting.length > 0) {
          yield waiting.shift();
          if (waiting.length === 0 && !connection.ended) connection.socket.resume();
        }
        if (ended) throw ended;
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      connection.onItem = null;
      connection.end(new Unreachable("The subscription is over."));
    }
  }
}

/* options: path, timeoutMs (10000), protoDir. */
async function connect(options = {}) {
  return new Agent(await new Connection(options).open(options.timeoutMs || TIMEOUT_MS), options);
}

module.exports = { connect, newId, Agent, KinwardError, Unreachable, Timeout, Refused };
