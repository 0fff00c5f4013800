// For a plugin's own tests: opens a built module in Node.js and categorizes with frames as the engine makes them.
//
//     const plugin = await open("build/shouting.wasm", { least: 3 });
//     const [answer] = plugin.categorize([{ text: "WHY SO LATE" }]);
//
// An answer has themes, sentiment, drop and error as far as something was said. Nothing is granted; log lines go to the
// console.
import { readFile } from "node:fs/promises";

const HEADER = 24, ITEM = 312;
const STRINGS = [
  "id", "source", "externalId", "synthetic", "batch", "position", "survey", "surveyId", "channel", "touchpoint", "stage",
  "product", "location", "language", "title", "text", "url", "customerId", "customerKeyKind", "customerName",
  "customerEmail", "customerAccount", "customerSegment", "customerTier", "customerRegion", "customerCountry",
  "customerLanguage", "customerOwner",
];
const NUMBERS = ["score", "scaleMin", "scaleMax", "customerArr", "customerTenureDays"];

/** Opens a module with settings: a complete object, nothing is filled in. */
export async function open(path, settings = {}) {
  let memory;
  const log = (level, p, n) => console.log(new TextDecoder().decode(new Uint8Array(memory.buffer, p, n)));
  const refuse = () => -2;
  const imports = { log, now: () => 0n, file_stat: refuse, file_read: refuse, kv_get: refuse, kv_put: refuse, http: () => 0n };
  const { instance } = await WebAssembly.instantiate(await readFile(path), { closedloop: imports });
  const { exports } = instance;
  memory = exports.memory;
  exports._initialize?.();
  const call = (name, frame) => {
    const at = exports.cl_alloc(frame.length) >>> 0;
    new Uint8Array(memory.buffer).set(frame, at);
    const answer = BigInt.asUintN(64, exports[name](frame.length));
    const start = Number(answer >> 32n);
    const found = new Frame(memory.buffer.slice(start, start + Number(answer & 0xffffffffn)));
    if (found.kind === 3) throw new Error(`${found.text(32)}: ${found.text(40)}`);
    return found;
  };
  const configure = new Writer(1, 56, 0, 0);
  configure.text(32, JSON.stringify(settings));
  configure.text(40, "test");
  configure.view.setUint32(48, 1 << 16, true);
  call("cl_configure", configure.end());
  return { categorize: (items) => call("cl_categorize", itemsFrame(items)).results() };
}

function itemsFrame(items) {
  const w = new Writer(4, 32, items.length, ITEM);
  items.forEach((item, i) => {
    const at = 32 + i * ITEM;
    let flags = 0;
    NUMBERS.forEach((name, k) => {
      if (item[name] === undefined) return;
      flags |= 1 << k;
      w.view.setFloat64(at + 32 + 8 * k, item[name], true);
    });
    w.view.setUint32(at, flags, true);
    STRINGS.forEach((name, k) => w.text(at + 88 + 8 * k, item[name] ?? ""));
  });
  return w.end();
}

class Writer {
  constructor(kind, head, count, stride) {
    this.parts = [];
    this.fixed = new Uint8Array(head + count * stride);
    this.size = this.fixed.length;
    this.view = new DataView(this.fixed.buffer);
    this.view.setUint32(0, 0x31464c43, true);
    this.view.setUint16(4, 1, true);
    this.view.setUint16(6, kind, true);
    this.view.setUint32(12, count, true);
    this.view.setUint16(16, stride, true);
    this.view.setUint16(18, head, true);
  }

  text(at, s) {
    const bytes = new TextEncoder().encode(s);
    if (!bytes.length) return;
    this.view.setUint32(at, this.size, true);
    this.view.setUint32(at + 4, bytes.length, true);
    this.parts.push(bytes);
    this.size += bytes.length;
  }

  end() {
    this.view.setUint32(8, this.size, true);
    const out = new Uint8Array(this.size);
    let at = 0;
    for (const part of [this.fixed, ...this.parts]) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

class Frame {
  constructor(buffer) {
    this.buffer = buffer;
    this.view = new DataView(buffer);
    this.kind = this.view.getUint16(6, true);
  }

  text(at) {
    return new TextDecoder().decode(new Uint8Array(this.buffer, this.view.getUint32(at, true), this.view.getUint32(at + 4, true)));
  }

  list(at) {
    const start = this.view.getUint32(at, true), count = this.view.getUint16(at + 4, true);
    return Array.from({ length: count }, (_, i) => start + i * this.view.getUint16(at + 6, true));
  }

  results() {
    const v = this.view;
    return Array.from({ length: v.getUint32(12, true) }, (_, i) => {
      const at = HEADER + i * v.getUint16(16, true), flags = v.getUint32(at, true);
      const out = { themes: this.list(at + 16).map((t) => this.theme(t)) };
      if (flags & 1) out.sentiment = v.getFloat64(at + 8, true);
      if (this.text(at + 24)) out.drop = this.text(at + 24);
      if (flags & 2) out.error = { fatal: (flags & 4) !== 0, code: this.text(at + 32), message: this.text(at + 40) };
      return out;
    });
  }

  theme(at) {
    const v = this.view;
    const out = { path: this.text(at + 8), confidence: v.getFloat64(at + 16, true) };
    if (v.getUint32(at, true) & 1) out.sentiment = v.getFloat64(at + 24, true);
    out.evidence = this.list(at + 32).map((s) => [v.getUint32(s, true), v.getUint32(s + 4, true)]);
    return out;
  }
}
