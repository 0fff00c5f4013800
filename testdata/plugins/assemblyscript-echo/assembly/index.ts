// Says what it has read and builds what it is told; see ../../README.md.
import {
  Attribute, Config, Failure, files, http, Item, kvGet, kvPut, Labels, Level, log, Message, NewItem, Note, now, Plugin,
  PollRequest, PollResult, readFile, ReceiveRequest, ReceiveResult, Request, use, ValueKind,
} from "../../../../sdk/assemblyscript";

export {
  cl_abi, cl_alloc, cl_configure, cl_categorize, cl_poll, cl_receive, cl_deliver,
} from "../../../../sdk/assemblyscript";

function digits(v: u64): string {
  return v.toString(16).padStart(16, "0");
}

function number(name: string, v: u64): string {
  return v == 0 ? "" : name + "=" + digits(v) + "\n";
}

function some(name: string, known: bool, v: f64): string {
  return known ? name + "=" + digits(reinterpret<u64>(v)) + "\n" : "";
}

function str(name: string, v: string): string {
  return v == "" ? "" : name + "=" + v + "\n";
}

function utf8(b: Uint8Array): string {
  return String.UTF8.decodeUnsafe(b.dataStart, b.length);
}

function bytes(s: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(s));
}

function attributes(owner: string, all: Attribute[]): string {
  let out = "";
  for (let i = 0; i < all.length; i++) {
    const v = all[i].value;
    if (v.kind == ValueKind.Absent) continue;
    out += owner + "." + all[i].name;
    if (v.kind == ValueKind.Text) out += "=1:" + v.text + "\n";
    else if (v.kind == ValueKind.Number) out += "=2:" + digits(reinterpret<u64>(v.number)) + "\n";
    else if (v.kind == ValueKind.Truth) out += "=3:" + digits(v.truth ? 1 : 0) + "\n";
    else out += "=4:" + digits(v.instant) + "\n";
  }
  return out;
}

function dump(it: Item): string {
  return "item\n" + number("version", it.version) + number("occurred_at", it.occurredAt) +
    number("received_at", it.receivedAt) + some("score", it.hasScore, it.score) +
    some("scale_min", it.hasScaleMin, it.scaleMin) + some("scale_max", it.hasScaleMax, it.scaleMax) +
    some("customer.arr", it.hasCustomerArr, it.customerArr) +
    some("customer.tenure_days", it.hasCustomerTenureDays, it.customerTenureDays) +
    some("contactable", it.hasContactable, it.contactable ? 1 : 0) +
    number("occurred_assumed", it.occurredAssumed ? 1 : 0) + str("id", it.id) + str("source", it.source) +
    str("external_id", it.externalId) + str("synthetic", it.synthetic) + str("batch", it.batch) +
    str("position", it.position) + str("survey", it.survey) + str("survey_id", it.surveyId) +
    str("channel", it.channel) + str("touchpoint", it.touchpoint) + str("stage", it.stage) +
    str("product", it.product) + str("location", it.location) + str("language", it.language) +
    str("title", it.title) + str("text", it.text) + str("url", it.url) +
    str("customer.id", it.customerId) + str("customer.key_kind", it.customerKeyKind) +
    str("customer.name", it.customerName) + str("customer.email", it.customerEmail) +
    str("customer.account", it.customerAccount) + str("customer.segment", it.customerSegment) +
    str("customer.tier", it.customerTier) + str("customer.region", it.customerRegion) +
    str("customer.country", it.customerCountry) + str("customer.language", it.customerLanguage) +
    str("customer.owner", it.customerOwner) + attributes("attributes", it.attributes) +
    attributes("customer.attributes", it.customerAttributes);
}

function hex(s: string): u64 {
  return U64.parseInt(s, 16);
}

function f64Of(s: string): f64 {
  return reinterpret<f64>(hex(s));
}

// Builds a result from lines of a verb, numbers in hexadecimal and text.
function script(text: string, labels: Labels): Failure | null {
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i], words = line.split(" "), verb = words[0];
    if (verb == "sentiment") labels.sentiment(f64Of(words[1]));
    else if (verb == "drop") labels.drop(line.substring(5));
    else if (verb == "theme") labels.theme(words.slice(2).join(" "), f64Of(words[1]));
    else if (verb == "towards") labels.towards(f64Of(words[1]));
    else if (verb == "span") labels.evidence(<i32>hex(words[1]), <i32>hex(words[2]));
    else if (verb == "fatal" || verb == "retry") {
      return new Failure(words.slice(3).join(" "), verb == "fatal").withCode(words[2]).after(hex(words[1]));
    } else if (verb != "") return Failure.fatal(line).withCode("bad_script");
  }
  return null;
}

// Calls a function of the host and says what came of it.
function host(text: string, labels: Labels): Failure | null {
  const words = text.split(" "), verb = words[0], rest = words.slice(1).join(" ");
  let said = "host\n";
  if (verb == "now") said += number("now", now());
  if (verb == "files" || verb == "read") {
    const all = files();
    if (all.failure) return all.failure;
    for (let i = 0; i < all.value.length; i++) {
      const f = all.value[i];
      if (verb == "files") said += str("file", f.name) + number("size", f.size);
      else if (f.name == rest) {
        const buf = new Uint8Array(7);
        let content = "", at: i64 = 0;
        while (true) {
          const got = readFile(f.id, at, buf);
          if (got.failure) return got.failure;
          if (got.value == 0) break;
          at += got.value;
          content += utf8(buf.subarray(0, got.value));
        }
        said += str("content", content);
      }
    }
  }
  if (verb == "http") {
    const q = new Request();
    q.method = "POST";
    q.url = rest;
    q.headers.set("x-test", "1");
    q.body = bytes("body");
    const r = http(q);
    if (r.failure) return r.failure;
    said += number("status", r.value.status) + str("body", r.value.text);
  }
  if (verb == "put") {
    const f = kvPut(words[1], bytes(words.slice(2).join(" ")));
    if (f) return f;
  }
  if (verb == "get") {
    const v = kvGet(rest);
    if (v.failure) return v.failure;
    said += str("value", v.value.length ? utf8(v.value) : "none");
  }
  labels.drop(said);
  return null;
}

class Echo extends Plugin {
  configure(c: Config): Failure | null {
    let said = number("now", c.now) + str("settings", c.settings.text) + str("instance", c.instance) +
      number("contract", c.contract) + number("grants", c.grants);
    for (let i = 0; i < c.files.length; i++) {
      const f = c.files[i];
      said += str("file", f.name) + number("size", f.size) + number("modified", f.modified) +
        number("identity", f.identity) + number("id", f.id);
    }
    log(Level.Info, said);
    const why = c.settings.get("refuse");
    return why.exists ? Failure.fatal(why.string()).withCode("refused") : null;
  }

  categorize(item: Item, labels: Labels): Failure | null {
    const source = item.source;
    if (source == "script") return script(item.text, labels);
    if (source == "host") return host(item.text, labels);
    if (source == "panic") throw new Error("told to");
    labels.drop(dump(item));
    return null;
  }

  poll(q: PollRequest, result: PollResult): Failure | null {
    const item = new NewItem();
    item.externalId = "1";
    item.text = number("now", q.now) + str("checkpoint", utf8(q.checkpoint)) + number("limit", q.limit);
    item.score = 3;
    result.items.push(item);
    result.next = bytes("next");
    return null;
  }

  receive(q: ReceiveRequest, result: ReceiveResult): Failure | null {
    let said = number("now", q.now);
    for (let i = 0; i < q.headers.names.length; i++) said += str(q.headers.names[i], q.headers.values[i]);
    result.rejects.push(new Note("", "said", said + str("body", utf8(q.body))));
    return null;
  }

  deliver(m: Message): Failure | null {
    const said = number("now", m.now) + str("key", m.key) + str("kind", m.kind) + str("body", utf8(m.body)) +
      number("at", m.at) + number("attempt", m.attempt);
    return Failure.retry(said).withCode("said").after(1500);
  }
}

use(new Echo());
