import { Message, PollRequest, PollResult, ReceiveRequest, ReceiveResult } from "./connect";
import { Failure } from "./failure";
import { Kind, Reader, Writer } from "./frame";
import { File, filesOf, headersOf } from "./host";
import { checkItems, Item } from "./item";
import { Json } from "./json";
import { Labels } from "./labels";

/** What a plugin is made from. */
export class Config {
  now: i64 = 0;
  /** The program's settings, checked against the manifest and completed with its defaults. */
  settings: Json = new Json("");
  /** The plugin's id in the program. */
  instance: string = "";
  /** What the host speaks: major<<16 | minor. */
  contract: u32 = 0;
  /** What the program grants: 1 log, 2 file, 4 http, 8 clock, 16 kv, 32 random. */
  grants: u32 = 0;
  files: File[] = [];
}

/** A plugin: it overrides configure and the abilities that it has. Null means done. */
export class Plugin {
  /** Gets the settings, once, before any other call. The engine may make several instances of a plugin. */
  configure(config: Config): Failure | null {
    return null;
  }

  /** Is called before the items of each call. A failure fails the call as a whole. */
  begin(now: i64): Failure | null {
    return null;
  }

  /**
   * Says what an item means. A failure is this item's alone. The answer must depend on the item alone, not on those
   * before it.
   */
  categorize(item: Item, labels: Labels): Failure | null {
    return null;
  }

  /** Puts into result what came after the checkpoint. It must not wait for feedback to arrive. */
  poll(request: PollRequest, result: PollResult): Failure | null {
    return null;
  }

  /** Puts into result what a request holds. */
  receive(request: ReceiveRequest, result: ReceiveResult): Failure | null {
    return null;
  }

  /** Returns null once the destination has the message. */
  deliver(message: Message): Failure | null {
    return null;
  }
}

let plugin: Plugin = new Plugin();
let ready = false;
let input: usize = 0;
let capacity: u32 = 0;
const reader = new Reader();
const writer = new Writer(true);
const item = new Item();
const labels = new Labels(writer);

/** Makes p the plugin of this module. */
export function use(p: Plugin): void {
  plugin = p;
}

/** The contract version that is spoken: 1.0. */
export function cl_abi(): u32 {
  return 1 << 16;
}

export function cl_alloc(n: u32): usize {
  if (n > capacity) {
    if (input) heap.free(input);
    capacity = max(n, 4096);
    input = heap.alloc(capacity);
  }
  return input;
}

/** Opens the frame of a call; the answer to one that cannot be served is null when it can be. */
function enter(n: u32, kind: u32): Failure | null {
  if (!ready && kind != Kind.configure) return Failure.fatal("the plugin was not configured").withCode("not_configured");
  if (!reader.open(input, min(n, capacity), kind)) {
    const f = reader.refusal();
    return f ? f : Failure.fatal("found a failure, expected a call").withCode("malformed");
  }
  reader.time(reader.u64(24));
  return null;
}

function leave(f: Failure | null): u64 {
  if (f) writer.failure(f);
  return writer.answer();
}

export function cl_configure(n: u32): u64 {
  let f = enter(n, Kind.configure);
  if (f) return leave(f);
  reader.strings(reader.frame, reader.head, 32, 48);
  const c = new Config();
  c.files = filesOf(reader);
  f = reader.refusal();
  if (f) return leave(f);
  c.now = reader.u64(24);
  c.settings = new Json(reader.text(32));
  c.instance = reader.text(40);
  c.contract = reader.u32(48);
  c.grants = reader.u32(52);
  f = plugin.configure(c);
  ready = f === null;
  writer.ok();
  return leave(f);
}

export function cl_categorize(n: u32): u64 {
  let f = enter(n, Kind.items);
  if (f) return leave(f);
  checkItems(reader);
  f = reader.refusal();
  if (!f) f = plugin.begin(reader.u64(24));
  if (f) return leave(f);
  const count = reader.count, stride = reader.stride, frame = reader.frame;
  labels.begin(count);
  for (let i: u32 = 0; i < count; i++) {
    item.point(frame, reader.record(i), stride);
    labels.beginItem(i);
    labels.endItem(plugin.categorize(item, labels));
  }
  writer.end();
  return leave(null);
}

export function cl_poll(n: u32): u64 {
  let f = enter(n, Kind.poll);
  if (f) return leave(f);
  reader.strings(reader.frame, reader.head, 32, 40);
  f = reader.refusal();
  if (f) return leave(f);
  const q = new PollRequest(), result = new PollResult();
  q.now = reader.u64(24);
  q.checkpoint = reader.bytes(32);
  q.limit = reader.u32(40);
  f = plugin.poll(q, result);
  if (!f) result.write(writer);
  return leave(f);
}

export function cl_receive(n: u32): u64 {
  let f = enter(n, Kind.receive);
  if (f) return leave(f);
  reader.strings(reader.frame, reader.head, 32, 40);
  const q = new ReceiveRequest(), result = new ReceiveResult();
  q.headers = headersOf(reader);
  f = reader.refusal();
  if (f) return leave(f);
  q.now = reader.u64(24);
  q.body = reader.bytes(32);
  f = plugin.receive(q, result);
  if (!f) result.write(writer);
  return leave(f);
}

export function cl_deliver(n: u32): u64 {
  let f = enter(n, Kind.deliver);
  if (f) return leave(f);
  reader.strings(reader.frame, reader.head, 32, 56);
  reader.time(reader.u64(56));
  f = reader.refusal();
  if (f) return leave(f);
  const m = new Message();
  m.now = reader.u64(24);
  m.key = reader.text(32);
  m.kind = reader.text(40);
  m.body = reader.bytes(48);
  m.at = reader.u64(56);
  m.attempt = reader.u32(64);
  f = plugin.deliver(m);
  writer.ok();
  return leave(f);
}
