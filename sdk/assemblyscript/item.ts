import { Reader, textOf, u32At, u64At } from "./frame";

/**
 * Bytes of UTF-8 within the host's frame, gone when the call ends. They are outside of the collector's care, so that
 * looking at one costs no more than a load.
 */
// @ts-ignore: decorator
@unmanaged
export class Bytes {
  ptr: usize = 0;
  length: i32 = 0;

  /** The byte at i, which must be from 0 to before length. */
  // @ts-ignore: decorator
  @inline @operator("[]")
  get(i: i32): u8 {
    return load<u8>(this.ptr + i);
  }

  /** Whether the bytes at i are those of an ASCII string. */
  has(ascii: string, i: i32): bool {
    if (i + ascii.length > this.length) return false;
    for (let k = 0; k < ascii.length; k++) {
      if (<i32>load<u8>(this.ptr + i + k) != ascii.charCodeAt(k)) return false;
    }
    return true;
  }
}

/** The kinds of value that an attribute has. */
export enum ValueKind { Absent, Text, Number, Truth, Instant }

/** The value of an attribute; the member that its kind names holds it. */
export class Value {
  kind: ValueKind = ValueKind.Absent;
  text: string = "";
  number: f64 = 0;
  truth: bool = false;
  instant: i64 = 0;

  static text(v: string): Value {
    const out = new Value();
    out.kind = ValueKind.Text;
    out.text = v;
    return out;
  }
  static number(v: f64): Value {
    const out = new Value();
    out.kind = ValueKind.Number;
    out.number = v;
    return out;
  }
  static truth(v: bool): Value {
    const out = new Value();
    out.kind = ValueKind.Truth;
    out.truth = v;
    return out;
  }
  static instant(v: i64): Value {
    const out = new Value();
    out.kind = ValueKind.Instant;
    out.instant = v;
    return out;
  }
}

/** An attribute: its name and value. */
export class Attribute {
  constructor(public name: string, public value: Value) {}
}

/**
 * One piece of feedback, valid until categorize returns. Strings are empty and instants 0 when they are not given, and
 * made anew at each reading: keep what you read twice. Instants are milliseconds since 1970-01-01T00:00:00Z.
 */
export class Item {
  private frame: usize = 0;
  private at: usize = 0;
  private size: u32 = 0;
  private view: Bytes = new Bytes();

  /** Points to a record of a checked frame. */
  point(frame: usize, at: usize, size: u32): void {
    this.frame = frame;
    this.at = at;
    this.size = size;
  }

  private ref(at: u32): u64 { return u64At(this.at, this.size, at); }
  private string(at: u32): string { return textOf(this.frame, this.ref(at)); }
  private flag(bit: u64): bool { return (this.ref(0) & bit) != 0; }
  private number(at: u32): f64 { return reinterpret<f64>(this.ref(at)); }

  get id(): string { return this.string(88); }
  /** The id of the connector that brought it. */
  get source(): string { return this.string(96); }
  /** The source's own id. */
  get externalId(): string { return this.string(104); }
  /** Why the engine made that id up; empty when the source gave one. */
  get synthetic(): string { return this.string(112); }
  /** The import that it belongs to. */
  get batch(): string { return this.string(120); }
  /** Where in the import it stood, such as line 12. */
  get position(): string { return this.string(128); }
  /** nps, csat, ces or another. */
  get survey(): string { return this.string(136); }
  get surveyId(): string { return this.string(144); }
  get channel(): string { return this.string(152); }
  get touchpoint(): string { return this.string(160); }
  get stage(): string { return this.string(168); }
  get product(): string { return this.string(176); }
  get location(): string { return this.string(184); }
  get language(): string { return this.string(192); }
  get title(): string { return this.string(200); }
  /** What the customer wrote. */
  get text(): string { return this.string(208); }
  get url(): string { return this.string(216); }
  get customerId(): string { return this.string(224); }
  get customerKeyKind(): string { return this.string(232); }
  get customerName(): string { return this.string(240); }
  get customerEmail(): string { return this.string(248); }
  get customerAccount(): string { return this.string(256); }
  get customerSegment(): string { return this.string(264); }
  get customerTier(): string { return this.string(272); }
  get customerRegion(): string { return this.string(280); }
  get customerCountry(): string { return this.string(288); }
  get customerLanguage(): string { return this.string(296); }
  get customerOwner(): string { return this.string(304); }

  /** The text as bytes, which costs nothing. Evidence counts these. */
  get bytes(): Bytes {
    const ref = this.ref(208);
    this.view.ptr = this.frame + <usize>(<u32>ref);
    this.view.length = <i32>(ref >> 32);
    return this.view;
  }

  /** How many bytes of the text come before the character at i of the string text. */
  offset(text: string, i: i32): i32 {
    return String.UTF8.byteLength(text.substring(0, i));
  }

  /** Whether there is a score, which may be 0. */
  get hasScore(): bool { return this.flag(1); }
  get score(): f64 { return this.number(32); }
  get hasScaleMin(): bool { return this.flag(2); }
  get scaleMin(): f64 { return this.number(40); }
  get hasScaleMax(): bool { return this.flag(4); }
  get scaleMax(): f64 { return this.number(48); }
  /** Yearly revenue. */
  get hasCustomerArr(): bool { return this.flag(8); }
  get customerArr(): f64 { return this.number(56); }
  get hasCustomerTenureDays(): bool { return this.flag(16); }
  get customerTenureDays(): f64 { return this.number(64); }
  /** Whether it is known whether the customer may be contacted. */
  get hasContactable(): bool { return this.flag(32); }
  get contactable(): bool { return this.flag(64); }
  get occurredAssumed(): bool { return this.flag(128); }
  get version(): i64 { return this.ref(8); }
  get occurredAt(): i64 { return this.ref(16); }
  get receivedAt(): i64 { return this.ref(24); }

  get attributes(): Attribute[] { return this.list(72); }
  get customerAttributes(): Attribute[] { return this.list(80); }

  /** The attribute of that name; its kind is Absent when there is none. */
  attribute(name: string): Value { return find(this.attributes, name); }
  customerAttribute(name: string): Value { return find(this.customerAttributes, name); }

  private list(at: u32): Attribute[] {
    const ref = this.ref(at), count = <i32>(ref >> 32 & 0xffff), stride = <u32>(ref >> 48);
    const out: Attribute[] = [];
    for (let i = 0; i < count; i++) {
      const e = this.frame + <usize>(<u32>ref) + <usize>i * stride, bits = u64At(e, stride, 16);
      const v = new Value(), kind = <i32>u32At(e, stride, 8);
      if (kind < ValueKind.Text || kind > ValueKind.Instant) continue;
      v.kind = <ValueKind>kind;
      if (kind == ValueKind.Text) v.text = textOf(this.frame, bits);
      v.number = reinterpret<f64>(bits);
      v.truth = bits != 0;
      v.instant = bits;
      if (kind == ValueKind.Text && v.text == "" || kind == ValueKind.Instant && bits == 0) v.kind = ValueKind.Absent;
      out.push(new Attribute(textOf(this.frame, u64At(e, stride, 0)), v));
    }
    return out;
  }
}

function find(all: Attribute[], name: string): Value {
  for (let i = all.length - 1; i >= 0; i--) {
    if (all[i].name == name) return all[i].value;
  }
  return new Value();
}

/** Checks the records of an opened frame as items. */
export function checkItems(r: Reader): void {
  for (let i: u32 = 0; i < r.count; i++) {
    const p = r.record(i), n = r.stride, flags = u64At(p, n, 0);
    r.time(u64At(p, n, 16));
    r.time(u64At(p, n, 24));
    r.strings(p, n, 88, 312);
    for (let k: u32 = 0; k < 5; k++) {
      if ((flags >> k & 1) != 0) r.number(u64At(p, n, 32 + 8 * k));
    }
    checkAttributes(r, u64At(p, n, 72));
    checkAttributes(r, u64At(p, n, 80));
  }
}

function checkAttributes(r: Reader, ref: u64): void {
  if (!r.list(ref)) return;
  const count = <u32>(ref >> 32 & 0xffff), n = <u32>(ref >> 48);
  for (let i: u32 = 0; i < count; i++) {
    const e = r.frame + <usize>(<u32>ref) + <usize>i * n, kind = <i32>u32At(e, n, 8);
    r.strings(e, n, 0, 8);
    if (kind == ValueKind.Text) r.strings(e, n, 16, 24);
    if (kind == ValueKind.Number) r.number(u64At(e, n, 16));
    if (kind == ValueKind.Instant) r.time(u64At(e, n, 16));
  }
}
