// Finds the themes of a text: the categorizer that all the guests of the comparison are, in AssemblyScript.
import { Config, Failure, Item, Labels, Plugin, use } from "../../../../sdk/assemblyscript";

export { cl_abi, cl_alloc, cl_configure, cl_categorize } from "../../../../sdk/assemblyscript";

// The themes, and the phrases of each; a sign says that a phrase is kind or harsh.
const PATHS = StaticArray.fromArray<string>([
  "packaging/box", "delivery/late", "price/fee", "staff/phone", "app/crash", "app/login", "checkout/payment",
  "returns/refund", "website/search", "speed", "praise", "features",
]);
const PHRASES = StaticArray.fromArray<string>([
  "-damaged,-crushed,box,packaging",
  "-late,-never arrived,courier,delivery,+fast shipping",
  "-hidden fee,price,-too expensive,+good value,invoice",
  "+kind,-rude,support,-waiting on hold",
  "-crash,-freez,-error,bug",
  "password,-locked out,verification code,login",
  "paying,checkout,cart,coupon",
  "refund,return label,-cancel",
  "-confusing,-hard to find,+easy to use,+intuitive",
  "-slow,-forever,loading,+lightning",
  "+love,+amazing,+recommend,+great,+excellent",
  "dark mode,export,integration",
]);

const THEMES: u32 = 12, MAX_THEMES = 3, MAX_SPANS: u32 = 4, CLASSES: u32 = 32, STATES = 512;
const SCORE: u32 = 8 + 8 * MAX_SPANS;

// An automaton that finds all phrases in one pass, as Aho and Corasick do. Its tables are plain memory: for an object the
// compiler would note at each use that it is held.
const CLASS = memory.data(256); // u8 by byte: 0 for what is no letter
const NEXT = memory.data(2 * STATES * CLASSES, 2); // u16 by state and class
const ENDS = memory.data(2 * STATES, 2); // u16: the state, or its longest suffix, in which a phrase ends; 0 for none
const LINK = memory.data(2 * STATES, 2); // u16: likewise, but without the state itself
const PHRASE = memory.data(4 * STATES, 4); // theme, length and tone of the phrase that ends in the state, u8, u8 and i8

// What was found of each theme: u32 bytes of phrases, u32 how many spans, and the spans.
const SCORES = memory.data(THEMES * SCORE, 8);
let tone: i32 = 0;

let made: u16 = 1;

function insert(theme: i32, phrase: string, kind: i32): void {
  let state: u32 = 0;
  for (let i = 0; i < phrase.length; i++) {
    const at = NEXT + 2 * (state * CLASSES + load<u8>(CLASS + phrase.charCodeAt(i)));
    if (load<u16>(at) == 0) store<u16>(at, made++);
    state = load<u16>(at);
  }
  store<u16>(ENDS + 2 * state, <u16>state);
  store<u8>(PHRASE + 4 * state, <u8>theme);
  store<u8>(PHRASE + 4 * state, <u8>phrase.length, 1);
  store<i8>(PHRASE + 4 * state, <i8>kind, 2);
}

// Makes the transitions of all states complete, in the order of their depth.
function complete(): void {
  const fail = new StaticArray<u16>(STATES), queue: u32[] = [0];
  for (let from = 0; from < queue.length; from++) {
    const state = queue[from];
    for (let c: u32 = 0; c < CLASSES; c++) {
      const at = NEXT + 2 * (state * CLASSES + c), to = <u32>load<u16>(at);
      const back: u32 = state == 0 ? 0 : load<u16>(NEXT + 2 * (<u32>fail[state] * CLASSES + c));
      if (to == 0 || to == back) {
        store<u16>(at, <u16>back);
        continue;
      }
      const ends = load<u16>(ENDS + 2 * back);
      fail[to] = <u16>back;
      store<u16>(LINK + 2 * to, ends);
      if (load<u16>(ENDS + 2 * to) == 0) store<u16>(ENDS + 2 * to, ends);
      queue.push(to);
    }
  }
}

// Counts the phrases that end in a state and before the offset end.
function found(state: u32, end: u32): void {
  for (let at = state; at != 0; at = load<u16>(LINK + 2 * at)) {
    const phrase = PHRASE + 4 * at, length = <u32>load<u8>(phrase, 1);
    const score = SCORES + SCORE * load<u8>(phrase), n = load<u32>(score, 4);
    store<u32>(score, load<u32>(score) + length);
    if (n < MAX_SPANS) {
      store<u32>(score + 8 * n, end - length, 8);
      store<u32>(score + 8 * n, end, 12);
      store<u32>(score, n + 1, 4);
    }
    tone += load<i8>(phrase, 2);
  }
}

// Tells the themes with the most bytes of phrases, and the tone.
function tell(labels: Labels): void {
  for (let n = 0; n < MAX_THEMES; n++) {
    let best: u32 = 0;
    for (let i: u32 = 1; i < THEMES; i++) {
      if (load<u32>(SCORES + SCORE * i) > load<u32>(SCORES + SCORE * best)) best = i;
    }
    const score = SCORES + SCORE * best, weight = <f64>load<u32>(score);
    if (weight == 0) break;
    labels.theme(unchecked(PATHS[best]), weight / (weight + 8));
    const end = score + 8 * load<u32>(score, 4);
    for (let span = score; span < end; span += 8) labels.evidence(load<u32>(span, 8), load<u32>(span, 12));
    store<u32>(score, 0);
  }
  labels.sentiment(<f64>tone / <f64>(4 + abs(tone)));
}

class Label extends Plugin {
  configure(config: Config): Failure | null {
    store<u8>(CLASS + 0x2d, 27);
    for (let c = 0; c < 26; c++) {
      store<u8>(CLASS + c, <u8>(c + 1), 0x61);
      store<u8>(CLASS + c, <u8>(c + 1), 0x41);
    }
    for (let theme = 0; theme < PHRASES.length; theme++) {
      const phrases = PHRASES[theme].split(",");
      for (let i = 0; i < phrases.length; i++) {
        const p = phrases[i], kind = p.startsWith("+") ? 1 : p.startsWith("-") ? -1 : 0;
        insert(theme, kind == 0 ? p : p.substring(1), kind);
      }
    }
    complete();
    return null;
  }

  categorize(item: Item, labels: Labels): Failure | null {
    for (let i: u32 = 0; i < THEMES; i++) store<u64>(SCORES + SCORE * i, 0);
    tone = 0;
    const text = item.bytes, start = text.ptr, end = start + text.length;
    let state: u32 = 0, any = false;
    for (let at = start; at < end; at++) {
      state = load<u16>(NEXT + 2 * (state * CLASSES + load<u8>(CLASS + load<u8>(at))));
      const ends = load<u16>(ENDS + 2 * state);
      if (ends != 0) {
        found(ends, <u32>(at + 1 - start));
        any = true;
      }
    }
    if (any) tell(labels);
    return null;
  }
}

use(new Label());
