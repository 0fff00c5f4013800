import { Failure } from "./failure";
import { Kind, Writer } from "./frame";
import { Headers } from "./host";
import { Attribute, Value, ValueKind } from "./item";

/** An item as a connector makes it; see Item for what the fields mean. What is not given stays empty, NaN or 0. */
export class NewItem {
  id: string = "";
  source: string = "";
  externalId: string = "";
  synthetic: string = "";
  batch: string = "";
  position: string = "";
  survey: string = "";
  surveyId: string = "";
  channel: string = "";
  touchpoint: string = "";
  stage: string = "";
  product: string = "";
  location: string = "";
  language: string = "";
  title: string = "";
  text: string = "";
  url: string = "";
  customerId: string = "";
  customerKeyKind: string = "";
  customerName: string = "";
  customerEmail: string = "";
  customerAccount: string = "";
  customerSegment: string = "";
  customerTier: string = "";
  customerRegion: string = "";
  customerCountry: string = "";
  customerLanguage: string = "";
  customerOwner: string = "";
  version: i64 = 0;
  occurredAt: i64 = 0;
  occurredAssumed: bool = false;
  receivedAt: i64 = 0;
  score: f64 = NaN;
  scaleMin: f64 = NaN;
  scaleMax: f64 = NaN;
  customerArr: f64 = NaN;
  customerTenureDays: f64 = NaN;
  /** 1 when the customer may be contacted, 0 when not, -1 when it is not known. */
  contactable: i32 = -1;
  attributes: Attribute[] = [];
  customerAttributes: Attribute[] = [];

  write(w: Writer, at: u32): void {
    const numbers: StaticArray<f64> = [this.score, this.scaleMin, this.scaleMax, this.customerArr, this.customerTenureDays];
    let flags: u64 = this.occurredAssumed ? 128 : 0;
    for (let i = 0; i < 5; i++) {
      if (isNaN(numbers[i])) continue;
      flags |= 1 << i;
      w.f64(at + 32 + 8 * i, numbers[i]);
    }
    if (this.contactable >= 0) flags |= this.contactable ? 96 : 32;
    w.put(at, flags);
    w.put(at + 8, this.version);
    w.put(at + 16, this.occurredAt);
    w.put(at + 24, this.receivedAt);
    const strings: StaticArray<string> = [
      this.id, this.source, this.externalId, this.synthetic, this.batch, this.position, this.survey, this.surveyId,
      this.channel, this.touchpoint, this.stage, this.product, this.location, this.language, this.title, this.text,
      this.url, this.customerId, this.customerKeyKind, this.customerName, this.customerEmail, this.customerAccount,
      this.customerSegment, this.customerTier, this.customerRegion, this.customerCountry, this.customerLanguage,
      this.customerOwner,
    ];
    for (let i = 0; i < strings.length; i++) w.text(at + 88 + 8 * i, strings[i]);
    writeAttributes(w, at + 72, this.attributes);
    writeAttributes(w, at + 80, this.customerAttributes);
  }
}

function writeAttributes(w: Writer, at: u32, all: Attribute[]): void {
  const sorted = all.slice(0).sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  let to = w.list(at, sorted.length, 24);
  for (let i = 0; to != 0 && i < sorted.length; i++, to += 24) {
    const v = sorted[i].value;
    w.text(to, sorted[i].name);
    w.put32(to + 8, v.kind);
    w.put(to + 16, bitsOf(w, v));
  }
}

function bitsOf(w: Writer, v: Value): u64 {
  switch (v.kind) {
    case ValueKind.Text: return w.ref(v.text);
    case ValueKind.Number: return reinterpret<u64>(v.number);
    case ValueKind.Truth: return v.truth ? 1 : 0;
    default: return v.instant;
  }
}

function writeItems(w: Writer, head: u32, items: NewItem[]): void {
  for (let i = 0; i < items.length && !w.full; i++) items[i].write(w, head + 312 * i);
}

/** Something that is no valid item, or, without raw, something worth telling. */
export class Note {
  constructor(public position: string, public code: string, public message: string, public raw: string = "") {}
}

function writeNotes(w: Writer, at: u32, all: Note[], size: u32): void {
  let to = w.list(at, all.length, size);
  for (let i = 0; to != 0 && i < all.length; i++, to += size) {
    w.text(to, all[i].position);
    w.text(to + 8, all[i].code);
    w.text(to + 16, all[i].message);
    if (size > 24) w.text(to + 24, all[i].raw);
  }
}

/** Asks for what came after the checkpoint: the next of the last poll whose items are all durable, empty at first. */
export class PollRequest {
  now: i64 = 0;
  checkpoint: Uint8Array = new Uint8Array(0);
  /** The most items and rejects together to return. */
  limit: u32 = 0;
}

/** What a poll brought. */
export class PollResult {
  items: NewItem[] = [];
  rejects: Note[] = [];
  notices: Note[] = [];
  /** Opaque, at most 65536 bytes. */
  next: Uint8Array = new Uint8Array(0);
  /** The import that the items belong to. */
  batch: string = "";
  /** Whether another poll would return something at once. */
  more: bool = false;
  /** Milliseconds before the next poll when more is not set; 0 means the program's interval. */
  waitMs: u64 = 0;

  write(w: Writer): void {
    if (this.next.length > 65536) {
      w.failure(Failure.fatal("the checkpoint is larger than 65536 bytes"));
      return;
    }
    w.begin(Kind.pollResult, 72, this.items.length, 312);
    w.bytes(24, this.next);
    w.text(32, this.batch);
    w.put(40, this.waitMs);
    w.put(48, this.more ? 1 : 0);
    writeNotes(w, 56, this.rejects, 32);
    writeNotes(w, 64, this.notices, 24);
    writeItems(w, 72, this.items);
    w.end();
  }
}

/** A request that arrived, its signature checked. */
export class ReceiveRequest {
  now: i64 = 0;
  headers: Headers = new Headers();
  body: Uint8Array = new Uint8Array(0);
}

/** What a request held. */
export class ReceiveResult {
  items: NewItem[] = [];
  rejects: Note[] = [];

  write(w: Writer): void {
    w.begin(Kind.receiveResult, 32, this.items.length, 312);
    writeNotes(w, 24, this.rejects, 32);
    writeItems(w, 32, this.items);
    w.end();
  }
}

/** A message to deliver. */
export class Message {
  now: i64 = 0;
  /** The same at every attempt of one delivery. */
  key: string = "";
  /** What it is about. */
  kind: string = "";
  /** A JSON object. */
  body: Uint8Array = new Uint8Array(0);
  /** When the message was made. */
  at: i64 = 0;
  /** 1 at first. */
  attempt: u32 = 0;
}
