import { Failure } from "./failure";
import { bytesOf, Kind, Reader, textOf, u32At, u64At, Writer } from "./frame";

// @ts-ignore: decorator
@external("closedloop", "log")
declare function hostLog(level: u32, p: usize, n: u32): void;
// @ts-ignore: decorator
@external("closedloop", "now")
declare function hostNow(): i64;
// @ts-ignore: decorator
@external("closedloop", "file_stat")
declare function hostFileStat(id: i32, p: usize, cap: u32): i32;
// @ts-ignore: decorator
@external("closedloop", "file_read")
declare function hostFileRead(id: i32, offset: i64, p: usize, cap: u32): i32;
// @ts-ignore: decorator
@external("closedloop", "http")
declare function hostHttp(rp: usize, rn: u32, p: usize, cap: u32): i64;
// @ts-ignore: decorator
@external("closedloop", "kv_get")
declare function hostKvGet(kp: usize, kn: u32, p: usize, cap: u32): i32;
// @ts-ignore: decorator
@external("closedloop", "kv_put")
declare function hostKvPut(kp: usize, kn: u32, p: usize, n: u32): i32;

/** The levels of a log line. */
export enum Level { Debug, Info, Warn, Error }

/** Writes to the engine's log, if the program grants log. */
export function log(level: Level, message: string): void {
  const text = String.UTF8.encode(message);
  hostLog(level, changetype<usize>(text), text.byteLength);
}

/** The engine's time; that of the call, unless the program grants clock. */
export function now(): i64 {
  return hostNow();
}

/** Ends the instance: what an assertion or an error that is thrown comes to. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = message ? message : "aborted", where = file ? file : "";
  log(Level.Error, what + " at " + where + ":" + line.toString() + ":" + column.toString());
  unreachable();
}

/** What a host function gave, or why it gave nothing. */
export class Outcome<T> {
  constructor(public value: T, public failure: Failure | null = null) {}
}

/** A file that the program grants. */
export class File {
  /** The name, relative to the granted file or folder, with slashes. */
  name: string = "";
  size: i64 = 0;
  modified: i64 = 0;
  /** Changes when another file takes the name. */
  identity: u64 = 0;
  /** What readFile takes. */
  id: i32 = 0;
}

/** Checks and reads the records of an opened frame as files; what is wrong is with the reader. */
export function filesOf(r: Reader): File[] {
  const out: File[] = [];
  for (let i: u32 = 0; i < r.count; i++) {
    const p = r.record(i), n = r.stride, f = new File();
    r.strings(p, n, 0, 8);
    r.time(u64At(p, n, 16));
    if (<i64>u64At(p, n, 8) < 0) r.bad("found a negative size");
    if (r.wrong != "") break;
    f.name = textOf(r.frame, u64At(p, n, 0));
    f.size = u64At(p, n, 8);
    f.modified = u64At(p, n, 16);
    f.identity = u64At(p, n, 24);
    f.id = u32At(p, n, 32);
    out.push(f);
  }
  return out;
}

function fileFailure(code: i32): Failure {
  if (code == -2) return Failure.fatal('the program does not grant "file" to this plugin').withCode("not_granted");
  if (code == -3) return Failure.retry("the file is not among the granted files").withCode("gone");
  if (code == -4) return Failure.fatal("a file was asked for with a wrong argument").withCode("bad_argument");
  return Failure.retry("the file cannot be read").withCode("file");
}

/** The files that the program grants, as they are now. */
export function files(): Outcome<File[]> {
  let b = new Uint8Array(4096), n = hostFileStat(-1, b.dataStart, b.length);
  while (n > b.length) {
    b = new Uint8Array(n);
    n = hostFileStat(-1, b.dataStart, b.length);
  }
  if (n < 0) return new Outcome<File[]>([], fileFailure(n));
  const r = new Reader();
  if (!r.open(b.dataStart, n, Kind.files)) return new Outcome<File[]>([], r.refusal());
  const all = filesOf(r);
  return new Outcome(all, r.refusal());
}

/**
 * Reads bytes of a granted file from the offset into to, and gives their number: 0 at the end of the file. Fewer than
 * fit into to do not mean the end.
 */
export function readFile(id: i32, offset: i64, to: Uint8Array): Outcome<i32> {
  const n = hostFileRead(id, offset, to.dataStart, to.length);
  return n < 0 ? new Outcome(0, fileFailure(n)) : new Outcome(n);
}

function kvFailure(code: i32): Failure {
  if (code == -2) return Failure.fatal('the program does not grant "kv" to this plugin').withCode("not_granted");
  if (code == -4) return Failure.fatal("a key has 1 to 512 bytes, a value at most 65536").withCode("bad_argument");
  if (code == -5) return Failure.fatal("the plugin keeps as much as the program allows").withCode("kv_full");
  return Failure.retry("the store cannot be used").withCode("kv");
}

/** The value that the plugin keeps under a key of 1 to 512 bytes; an empty one is none. */
export function kvGet(key: string): Outcome<Uint8Array> {
  const k = String.UTF8.encode(key);
  let b = new Uint8Array(1024), n = hostKvGet(changetype<usize>(k), k.byteLength, b.dataStart, b.length);
  while (n > b.length) {
    b = new Uint8Array(n);
    n = hostKvGet(changetype<usize>(k), k.byteLength, b.dataStart, b.length);
  }
  if (n == -3) return new Outcome(new Uint8Array(0));
  return n < 0 ? new Outcome(new Uint8Array(0), kvFailure(n)) : new Outcome(b.subarray(0, n));
}

/** Keeps a value of at most 65536 bytes under a key; an empty one removes the key. It is kept when the call succeeds. */
export function kvPut(key: string, value: Uint8Array): Failure | null {
  const k = String.UTF8.encode(key);
  const n = hostKvPut(changetype<usize>(k), k.byteLength, value.dataStart, value.length);
  return n == 0 ? null : kvFailure(n);
}

/** Headers, their names in lower case when the host wrote them. */
export class Headers {
  names: string[] = [];
  values: string[] = [];

  /** Sets a header. */
  set(name: string, value: string): void {
    const i = this.names.indexOf(name);
    if (i >= 0) {
      this.values[i] = value;
      return;
    }
    this.names.push(name);
    this.values.push(value);
  }

  /** The value of a header, empty when there is none. */
  get(name: string): string {
    const i = this.names.indexOf(name);
    return i < 0 ? "" : this.values[i];
  }
}

/** Checks and reads the records of an opened frame as headers. */
export function headersOf(r: Reader): Headers {
  const out = new Headers();
  for (let i: u32 = 0; i < r.count; i++) {
    const p = r.record(i), n = r.stride;
    r.strings(p, n, 0, 16);
    if (r.wrong != "") break;
    out.set(textOf(r.frame, u64At(p, n, 0)), textOf(r.frame, u64At(p, n, 8)));
  }
  return out;
}

/** A request that the host makes. The host adds what needs a secret; the plugin never sees it. */
export class Request {
  method: string = "GET";
  url: string = "";
  headers: Headers = new Headers();
  body: Uint8Array = new Uint8Array(0);
  /** bearer, basic or url (then url is empty), and the name of the program's secret. */
  authScheme: string = "";
  authSecret: string = "";
  /** standard-webhooks, and the name of the program's secret. */
  signScheme: string = "";
  signSecret: string = "";
  /** The message's id, part of what is signed. */
  signId: string = "";
  /** Part of what is signed; 0 means the host's time. */
  signTimestamp: i64 = 0;
}

/** The answer to a request. */
export class Response {
  status: u32 = 0;
  headers: Headers = new Headers();
  body: Uint8Array = new Uint8Array(0);

  /** The body as text. */
  get text(): string { return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.length); }
}

/** Makes a request to a host that the program grants. A failure means that there is no response. */
export function http(q: Request): Outcome<Response> {
  const w = new Writer(), names = q.headers.names;
  w.begin(Kind.httpRequest, 96, names.length, 16);
  w.text(24, q.url);
  w.text(32, q.method);
  w.bytes(40, q.body);
  w.text(48, q.authScheme);
  w.text(56, q.authSecret);
  w.text(64, q.signScheme);
  w.text(72, q.signSecret);
  w.text(80, q.signId);
  w.put(88, q.signTimestamp);
  for (let i = 0; i < names.length && !w.full; i++) {
    w.text(96 + 16 * i, names[i]);
    w.text(104 + 16 * i, q.headers.values[i]);
  }
  w.end();
  let b = new Uint8Array(16384), n = <i32>hostHttp(w.data, w.size, b.dataStart, b.length);
  w.free();
  if (n > b.length) { // the host keeps the answer until it is fetched
    b = new Uint8Array(n);
    n = <i32>hostHttp(0, 0, b.dataStart, b.length);
  }
  const r = new Reader(), response = new Response();
  if (!r.open(b.dataStart, min(n, b.length), Kind.httpResponse)) return new Outcome(response, r.refusal());
  r.strings(r.frame, r.head, 32, 40);
  response.status = r.u32(24);
  response.headers = headersOf(r);
  if (r.wrong == "") response.body = bytesOf(r.frame, r.u64(32));
  return new Outcome(response, r.refusal());
}
