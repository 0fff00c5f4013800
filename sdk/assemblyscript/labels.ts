import { Failure } from "./failure";
import { Kind, MAX_RECORDS, Writer } from "./frame";

/** What a categorizer says of one item, written into the answer as it is said. */
export class Labels {
  private at: u32 = 0;
  private flags: u64 = 0;
  private spans: u32 = 0; // of the theme that was added last
  private themes: Writer = new Writer(); // of the item, as they will be in the frame

  constructor(private w: Writer) {}

  /** Adds a theme such as packaging/opening, with a confidence from 0 to 1. */
  theme(path: string, confidence: f64): Labels {
    const ref = this.w.ref(path);
    const t = this.themes.room(40);
    store<u64>(t, 0);
    store<u64>(t, ref, 8);
    store<f64>(t, confidence, 16);
    store<f64>(t, 0, 24);
    store<u64>(t, 0, 32);
    this.spans = 0;
    return this;
  }

  /** Says where in the item's text the theme that was added last shows: bytes from start to before end. */
  evidence(start: i32, end: i32): Labels {
    const w = this.w;
    if (this.themes.size == 0) return this;
    if (this.spans == MAX_RECORDS) {
      w.full = true;
      return this;
    }
    const n = 8 * this.spans;
    let first = this.spans == 0 ? w.size : load<u32>(this.last(), 32);
    if (first + n != w.size) { // something else has been said since: the spans move behind it
      const to = w.size;
      w.room(n);
      memory.copy(w.data + to, w.data + first, n);
      first = to;
    }
    store<u64>(w.room(8), <u64>(<u32>start) | <u64>end << 32);
    this.spans++;
    store<u64>(this.last(), <u64>first | <u64>this.spans << 32 | <u64>8 << 48, 32);
    return this;
  }

  /** Says the sentiment towards the theme that was added last, from -1 to 1. */
  towards(sentiment: f64): Labels {
    if (this.themes.size == 0) return this;
    store<u64>(this.last(), 1);
    store<f64>(this.last(), sentiment, 24);
    return this;
  }

  /** Says the sentiment of the whole item, from -1 to 1. */
  sentiment(v: f64): void {
    this.flags |= 1;
    this.w.f64(this.at + 8, v);
  }

  /** Says that this is no feedback at all, and why. */
  drop(reason: string): void {
    this.w.text(this.at + 24, reason);
  }

  private last(): usize {
    return this.themes.data + this.themes.size - 40;
  }

  beginItem(i: u32): void {
    this.at = 24 + 56 * i;
    this.flags = 0;
    this.themes.size = 0;
  }

  endItem(f: Failure | null): void {
    const w = this.w;
    if (f) {
      this.flags |= f.fatal ? 6 : 2;
      w.cut(this.at + 32, f.code, 64);
      w.cut(this.at + 40, f.message, 4096);
      w.put(this.at + 48, f.afterMs);
    }
    w.put(this.at, this.flags);
    const n = this.themes.size, count = n / 40;
    if (count > MAX_RECORDS) {
      w.full = true;
    } else if (count > 0) {
      const start = w.size, to = w.room(n), from = this.themes.data;
      for (let i: u32 = 0; i < n; i += 8) store<u64>(to + i, load<u64>(from + i));
      w.put(this.at + 16, <u64>start | <u64>count << 32 | <u64>40 << 48);
    }
  }

  begin(count: u32): void {
    this.w.begin(Kind.results, 24, count, 56);
  }
}
