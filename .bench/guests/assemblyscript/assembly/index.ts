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

const THEMES: u32 = 12, MAX_THEMES = 3, MAX_SPANS: u32 = 4, CLASSES = 32, STATES = 512;

// An automaton that finds all phrases in one pass, as Aho and Corasick do.
const classOf = new StaticArray<u8>(256); // of a byte: 0 for what is no letter
const nextState = new StaticArray<u16>(STATES * CLASSES); // by state and class
const ends = new StaticArray<u16>(STATES); // the state, or its longest suffix, in which a phrase ends; 0 for none
const link = new StaticArray<u16>(STATES); // likewise, but without the state itself
const themeOf = new StaticArray<u8>(STATES); // of the phrase that ends in the state
const lengthOf = new StaticArray<u8>(STATES); // of that phrase
const toneOf = new StaticArray<i8>(STATES); // of that phrase

// What was found of each theme, and the tone.
const weight = new StaticArray<u32>(THEMES); // bytes of phrases
const spans = new StaticArray<u32>(THEMES);
const start = new StaticArray<u32>(THEMES * MAX_SPANS);
const end = new StaticArray<u32>(THEMES * MAX_SPANS);
let tone: i32 = 0;

let made: u16 = 1;

function insert(theme: i32, phrase: string, kind: i32): void {
  let state = 0;
  for (let i = 0; i < phrase.length; i++) {
    const at = state * CLASSES + classOf[phrase.charCodeAt(i)];
    if (nextState[at] == 0) nextState[at] = made++;
    state = nextState[at];
  }
  ends[state] = <u16>state;
  themeOf[state] = <u8>theme;
  lengthOf[state] = <u8>phrase.length;
  toneOf[state] = <i8>kind;
}

// Makes the transitions of all states complete, in the order of their depth.
function complete(): void {
  const fail = new StaticArray<u16>(STATES), queue: i32[] = [0];
  for (let from = 0; from < queue.length; from++) {
    const state = queue[from];
    for (let c = 0; c < CLASSES; c++) {
      const at = state * CLASSES + c, to = nextState[at];
      const back: u16 = state == 0 ? 0 : nextState[<i32>fail[state] * CLASSES + c];
      if (to == 0 || to == back) {
        nextState[at] = back;
        continue;
      }
      fail[to] = back;
      link[to] = ends[back];
      if (ends[to] == 0) ends[to] = ends[back];
      queue.push(to);
    }
  }
}

// Counts the phrases that end in a state and before the offset at.
function found(state: u32, at: u32): void {
  for (let s = <u32>unchecked(ends[state]); s != 0; s = unchecked(link[s])) {
    const theme = <u32>unchecked(themeOf[s]), length = <u32>unchecked(lengthOf[s]), n = unchecked(spans[theme]);
    unchecked((weight[theme] += length));
    if (n < MAX_SPANS) {
      unchecked((start[theme * MAX_SPANS + n] = at - length));
      unchecked((end[theme * MAX_SPANS + n] = at));
      unchecked((spans[theme] = n + 1));
    }
    tone += unchecked(toneOf[s]);
  }
}

// Tells the themes with the most bytes of phrases, and the tone.
function tell(labels: Labels): void {
  for (let n = 0; n < MAX_THEMES; n++) {
    let best: u32 = 0;
    for (let i: u32 = 1; i < THEMES; i++) {
      if (unchecked(weight[i]) > unchecked(weight[best])) best = i;
    }
    const w = <f64>unchecked(weight[best]);
    if (w == 0) break;
    labels.theme(unchecked(PATHS[best]), w / (w + 8));
    for (let i: u32 = 0; i < unchecked(spans[best]); i++) {
      labels.evidence(unchecked(start[best * MAX_SPANS + i]), unchecked(end[best * MAX_SPANS + i]));
    }
    unchecked((weight[best] = 0));
  }
  labels.sentiment(<f64>tone / <f64>(4 + abs(tone)));
}

class Label extends Plugin {
  configure(config: Config): Failure | null {
    classOf[0x2d] = 27;
    for (let c = 0; c < 26; c++) classOf[0x61 + c] = classOf[0x41 + c] = <u8>(c + 1);
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
    const text = item.bytes;
    for (let i: u32 = 0; i < THEMES; i++) unchecked((weight[i] = spans[i] = 0));
    tone = 0;
    let state: u32 = 0, any = false;
    for (let i = 0, n = text.length; i < n; i++) {
      state = unchecked(nextState[state * CLASSES + unchecked(classOf[text[i]])]);
      if (unchecked(ends[state]) != 0) {
        found(state, i + 1);
        any = true;
      }
    }
    if (any) tell(labels);
    return null;
  }
}

use(new Label());
