// The frame: how calls and answers are laid out in memory. A frame is checked once, when it is opened; what reads it
// afterwards stays within it whatever the bytes, and takes a field that is not there as absent. Places in memory are
// usize.

import { Failure } from "./failure";

export namespace Kind {
  export const configure = 1, ok = 2, failure = 3, items = 4, results = 5, poll = 6, pollResult = 7, receive = 8,
    receiveResult = 9, deliver = 10, httpRequest = 11, httpResponse = 12, files = 13;
}

export const MAX_RECORDS: u32 = 65535;
export const MAX_FRAME: u32 = 256 << 20;

// The field at an offset of a structure at p, of which size bytes are there.
// @ts-ignore: decorator
@inline
export function u64At(p: usize, size: u32, at: u32): u64 {
  return at + 8 <= size ? load<u64>(p + at) : 0;
}

// @ts-ignore: decorator
@inline
export function u32At(p: usize, size: u32, at: u32): u32 {
  return at + 4 <= size ? load<u32>(p + at) : 0;
}

/** The string that a reference of a checked frame names. */
export function textOf(frame: usize, ref: u64): string {
  const n = <usize>(ref >> 32);
  return n == 0 ? "" : String.UTF8.decodeUnsafe(frame + <usize>(<u32>ref), n);
}

/** The bytes that a reference of a checked frame names. */
export function bytesOf(frame: usize, ref: u64): Uint8Array {
  const n = <i32>(ref >> 32);
  const out = new Uint8Array(n);
  memory.copy(out.dataStart, frame + <usize>(<u32>ref), n);
  return out;
}

/** Reads and checks one frame at a time. */
export class Reader {
  frame: usize = 0;
  total: u32 = 0;
  head: u32 = 0; // its size
  count: u32 = 0;
  stride: u32 = 0;
  wrong: string = ""; // the first thing that is wrong
  failed: Failure | null = null; // what a failure frame says
  private lists: i64 = 0; // bytes that lists may still take up
  private chars: i64 = 0; // bytes that strings may still take up

  /** Opens a frame of n bytes, which must be of the kind; a failure frame in place of another answer is put in failed. */
  open(p: usize, n: u32, kind: u32): bool {
    this.wrong = "";
    this.failed = null;
    this.count = 0;
    if (n < 24) return this.bad("found the end of the data, expected a header");
    if (load<u32>(p) != 0x31464c43) return this.bad("found another start than CLF1, expected a frame");
    if (load<u16>(p, 4) != 1) return this.bad("found a version other than 1");
    const total = load<u32>(p, 8), count = load<u32>(p, 12), stride = <u32>load<u16>(p, 16), head = <u32>load<u16>(p, 18);
    if (total < 24 || total > n || total > MAX_FRAME) return this.bad("found a size that is not the frame's");
    if (head < 24 || head > total || head % 8 != 0) return this.bad("found a head size that cannot be");
    if (count > MAX_RECORDS) return this.bad("found too many records");
    if (count > 0 && (stride < 8 || stride % 8 != 0 || <u64>count * stride > total - head)) {
      return this.bad("found a record size that cannot be");
    }
    this.frame = p;
    this.total = total;
    this.head = head;
    this.count = count;
    this.stride = stride;
    this.lists = total;
    this.chars = 4 * <i64>total + 65536;
    const found = <u32>load<u16>(p, 6);
    if (found == Kind.failure && kind != Kind.failure) {
      this.failed = this.failure();
      return false;
    }
    return found == kind || this.bad("found a frame of another kind than was expected");
  }

  private failure(): Failure | null {
    this.strings(this.frame, this.head, 32, 48);
    this.duration(this.u64(48));
    if (this.wrong != "") return null;
    return new Failure(this.text(40), (this.u64(24) & 1) != 0).withCode(this.text(32)).after(this.u64(48));
  }

  /** Notes what is wrong. */
  bad(reason: string): bool {
    if (this.wrong == "") this.wrong = reason;
    return false;
  }

  /** What is wrong, as an answer; null when nothing is. */
  refusal(): Failure | null {
    if (this.wrong != "") return Failure.fatal(this.wrong).withCode("malformed");
    return this.failed;
  }

  /** Where record i is. */
  record(i: u32): usize {
    return this.frame + this.head + <usize>i * this.stride;
  }

  /** A field of the head. */
  u64(at: u32): u64 {
    return u64At(this.frame, this.head, at);
  }
  u32(at: u32): u32 {
    return u32At(this.frame, this.head, at);
  }
  text(at: u32): string {
    return textOf(this.frame, this.u64(at));
  }
  bytes(at: u32): Uint8Array {
    return bytesOf(this.frame, this.u64(at));
  }

  /** Checks references from one offset to before another. */
  strings(p: usize, size: u32, from: u32, to: u32): void {
    const end = p + min(to, size);
    for (let at = p + from; at < end; at += 8) {
      // Most are absent, so it looks at four at once.
      if (at + 32 <= end && ((load<u64>(at) | load<u64>(at, 8) | load<u64>(at, 16) | load<u64>(at, 24)) >> 32) == 0) {
        at += 24;
        continue;
      }
      const ref = load<u64>(at), n = ref >> 32;
      if (n == 0) continue;
      if ((ref & 0xffffffff) + n > <u64>this.total) this.bad("found a string that leaves the frame");
      else if ((this.chars -= <i64>n) < 0) this.bad("found strings that add up to more than the frame can hold");
    }
  }

  /** Checks where a list lies; says whether there is one. */
  list(ref: u64): bool {
    const count = ref >> 32 & 0xffff, stride = ref >> 48, n = count * stride;
    if (count == 0) return false;
    if (stride < 8 || stride % 8 != 0 || (ref & 0xffffffff) + n > <u64>this.total) {
      return this.bad("found a list that leaves the frame or has elements of a size that cannot be");
    }
    if ((this.lists -= <i64>n) < 0) return this.bad("found lists that add up to more than the frame can hold");
    return true;
  }

  number(bits: u64): void {
    if ((bits >> 52 & 0x7ff) == 0x7ff) this.bad("found a number that is not finite");
  }
  time(ms: i64): void {
    if (ms < -62135596800000 || ms > 253402300799999) this.bad("found an instant outside the years 1 to 9999");
  }
  duration(ms: u64): void {
    if (ms > <u64>i64.MAX_VALUE / 1000000) this.bad("found a duration that is negative or too long");
  }
}

// The references of strings that came lately, by where they are, so that a string that comes again is written once. The
// strings are held, so that none of them can become another one at the same place.
const LATELY: usize = 32, SHARED: u32 = 128;
const lately = new StaticArray<string>(<i32>LATELY).fill("");
const refs = new StaticArray<u64>(<i32>LATELY);

/**
 * Writes one frame into memory that is used again. It is outside of the collector's care, so that its methods need not
 * tell the collector what they hold; free gives it back.
 */
// @ts-ignore: decorator
@unmanaged
export class Writer {
  data: usize = 0;
  size: u32 = 0;
  full: bool = false; // it cannot be carried
  private capacity: u32 = 0;

  /** Only one writer may remember strings. */
  constructor(private remembers: bool = false) {}

  /** Makes room for n bytes and returns where they are. */
  // @ts-ignore: decorator
  @inline
  room(n: u32): usize {
    if (n > this.capacity - this.size) this.grow(n);
    const at = this.data + this.size;
    this.size += n;
    return at;
  }

  private grow(n: u32): void {
    if (<u64>this.size + n > <u64>MAX_FRAME) {
      this.full = true;
      this.size = 0; // what follows goes nowhere
    }
    this.capacity = max(this.size + n, 2 * this.capacity);
    this.data = this.data ? heap.realloc(this.data, this.capacity) : heap.alloc(this.capacity);
  }

  /** Begins a frame: the header, and head and records of zeros. */
  begin(kind: u32, head: u32, count: u32, stride: u32): void {
    this.size = 0;
    this.full = count > MAX_RECORDS;
    if (this.full) count = 0;
    this.forget();
    const n = head + count * stride, p = this.room(n);
    memory.fill(p, 0, n);
    store<u32>(p, 0x31464c43);
    store<u16>(p, 1, 4);
    store<u16>(p, <u16>kind, 6);
    store<u32>(p, count, 12);
    store<u16>(p, <u16>stride, 16);
    store<u16>(p, <u16>head, 18);
  }

  private forget(): void {
    if (this.remembers) memory.fill(changetype<usize>(refs), 0, LATELY << alignof<u64>());
  }

  put(at: u32, v: u64): void {
    if (!this.full) store<u64>(this.data + at, v);
  }
  put32(at: u32, v: u32): void {
    if (!this.full) store<u32>(this.data + at, v);
  }
  f64(at: u32, v: f64): void {
    this.put(at, reinterpret<u64>(v));
  }

  /** Appends a string and returns its reference. */
  ref(s: string): u64 {
    if (s.length == 0) return 0;
    const i = <i32>(changetype<usize>(s) >> 4 & (LATELY - 1));
    if (this.remembers && load<usize>(changetype<usize>(lately) + (<usize>i << alignof<usize>())) == changetype<usize>(s)) {
      const ref = unchecked(refs[i]);
      if (ref != 0) return ref;
    }
    const n = <u32>String.UTF8.byteLength(s), at = this.size;
    const p = this.room(n);
    if (this.full) return 0;
    String.UTF8.encodeUnsafe(changetype<usize>(s), s.length, p);
    const ref = <u64>at | <u64>n << 32;
    if (this.remembers && n <= SHARED) {
      unchecked((lately[i] = s));
      unchecked((refs[i] = ref));
    }
    return ref;
  }

  text(at: u32, s: string): void {
    this.put(at, this.ref(s));
  }

  /** Appends a string cut to at most n bytes, between characters. */
  cut(at: u32, s: string, n: u32): void {
    const from = this.size;
    const ref = this.ref(s);
    let size = <u32>(ref >> 32);
    if (size > n) {
      size = n;
      while (size > 0 && (load<u8>(this.data + <u32>ref + size) & 0xc0) == 0x80) size--;
      if (<u32>ref == from) this.size = from + size;
      this.forget();
    }
    this.put(at, (ref & 0xffffffff) | <u64>size << 32);
  }

  bytes(at: u32, b: Uint8Array): void {
    if (b.length == 0) return;
    const start = this.size, p = this.room(b.length);
    if (this.full) return;
    memory.copy(p, b.dataStart, b.length);
    this.put(at, <u64>start | <u64>b.length << 32);
  }

  /** A list of zeros, its reference at an offset; returns where its elements start, 0 when there are none. */
  list(at: u32, count: i32, stride: u32): u32 {
    if (<u32>count > MAX_RECORDS) this.full = true;
    if (count == 0 || this.full) return 0;
    const start = this.size, n = <u32>count * stride;
    memory.fill(this.room(n), 0, n);
    this.put(at, <u64>start | <u64>count << 32 | <u64>stride << 48);
    return this.full ? 0 : start;
  }

  /** Completes the frame. One that breaks a limit becomes a failure frame that says so. */
  end(): void {
    if (this.full) {
      this.failure(Failure.fatal("the answer does not fit a frame: too many elements or too many bytes").withCode("too_large"));
      return;
    }
    store<u32>(this.data, this.size, 8);
  }

  /** Writes a whole failure frame. */
  failure(f: Failure): void {
    this.begin(Kind.failure, 56, 0, 0);
    this.put(24, f.fatal ? 1 : 0);
    this.cut(32, f.code, 64);
    this.cut(40, f.message, 4096);
    this.put(48, f.afterMs);
    store<u32>(this.data, this.size, 8);
  }

  /** Writes a whole ok frame. */
  ok(): void {
    this.begin(Kind.ok, 24, 0, 0);
    this.end();
  }

  /** Gives the memory back; the writer must not be used after it. */
  free(): void {
    if (this.data) heap.free(this.data);
    heap.free(changetype<usize>(this));
  }

  /** The answer to a call. */
  answer(): u64 {
    return <u64>this.data << 32 | this.size;
  }
}
