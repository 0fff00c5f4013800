// Takes the sentiment from ratings that stand in the text, such as 4/5, 9 out of 10, 2 stars or ★★★☆☆.
import { Bytes, Config, Failure, Item, Labels, Plugin, use } from "../../../../sdk/assemblyscript";

export { cl_abi, cl_alloc, cl_configure, cl_categorize } from "../../../../sdk/assemblyscript";

class Stars extends Plugin {
  private theme: string = "";
  private scales: f64[] = [];

  // What was found last.
  private end: i32 = 0;
  private rating: f64 = 0;
  private best: f64 = 0;

  configure(config: Config): Failure | null {
    const scales = config.settings.get("scales").elements();
    for (let i = 0; i < scales.length; i++) this.scales.push(scales[i].number());
    this.theme = config.settings.get("theme").string("rating/stated");
    return null;
  }

  categorize(item: Item, labels: Labels): Failure | null {
    const text = item.bytes;
    for (let at = 0; at < text.length; at++) {
      if ((this.symbols(text, at) || this.words(text, at)) && this.rating <= this.best) {
        labels.theme(this.theme, 1).evidence(at, this.end);
        labels.sentiment(2 * this.rating / this.best - 1);
        return null; // the first one counts
      }
    }
    return null;
  }

  // Full and empty stars.
  private symbols(text: Bytes, at: i32): bool {
    let full = 0, empty = 0;
    this.end = at;
    while (star(text, this.end, 0x85)) full++, this.end += 3;
    while (star(text, this.end, 0x86)) empty++, this.end += 3;
    this.rating = full;
    this.best = empty ? full + empty : 5;
    return full > 0 && this.scales.includes(this.best);
  }

  // A number, and of how many.
  private words(text: Bytes, at: i32): bool {
    if (at > 0 && (word(text[at - 1]) || text[at - 1] == 0x2e)) return false;
    if (!this.number(text, at)) return false;
    const rating = this.rating;
    const rest = space(text, this.end);
    for (let i = 0; i < OF.length; i++) {
      if (!text.has(OF[i], rest) || !this.number(text, space(text, rest + OF[i].length))) continue;
      this.best = this.rating;
      this.rating = rating;
      return this.scales.includes(this.best) && (this.end == text.length || !word(text[this.end]) && text[this.end] != 0x2f);
    }
    for (let i = 0; i < STARS.length; i++) {
      if (!text.has(STARS[i], rest)) continue;
      this.end = rest + STARS[i].length;
      this.best = 5;
      return this.scales.includes(this.best);
    }
    return false;
  }

  // A number of at most two digits and one after the point.
  private number(text: Bytes, at: i32): bool {
    let n = 0, i = at;
    for (; i < text.length && digit(text[i]) && i < at + 3; i++) n = 10 * n + text[i] - 0x30;
    this.rating = n;
    if (i > at && i + 1 < text.length && (text[i] == 0x2e || text[i] == 0x2c) && digit(text[i + 1])) {
      this.rating += <f64>(text[i + 1] - 0x30) / 10;
      i += 2;
    }
    this.end = i;
    return i > at && i <= at + 4;
  }
}

const OF = ["/", "out of", "von"];
const STARS = ["stars", "star", "Sternen", "Sterne", "Stern"];

// Whether a star stands at an index: full when its last byte is 0x85, empty when it is 0x86.
function star(text: Bytes, at: i32, last: u8): bool {
  return at + 2 < text.length && text[at] == 0xe2 && text[at + 1] == 0x98 && text[at + 2] == last;
}

function digit(c: u8): bool {
  return c >= 0x30 && c <= 0x39;
}

function word(c: u8): bool {
  return digit(c) || (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a || c >= 0x80;
}

function space(text: Bytes, at: i32): i32 {
  while (at < text.length && text[at] == 0x20) at++;
  return at;
}

use(new Stars());
