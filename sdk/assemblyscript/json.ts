/**
 * A JSON value within a text, such as a plugin's settings, of which the host has checked that it is JSON. What is not
 * there, or is of another type, is absent: reading it gives what the caller says.
 */
export class Json {
  constructor(private all: string, private at: i32 = 0) {
    this.at = space(all, at);
  }

  private starts(c: i32): bool {
    return this.at < this.all.length && this.all.charCodeAt(this.at) == c;
  }

  /** Whether there is a value, and it is not null. */
  get exists(): bool { return this.at < this.all.length && !this.starts(0x6e); }

  /** The text of the value. */
  get text(): string { return this.all.substring(this.at, valueEnd(this.all, this.at)); }

  /** The member of an object. */
  get(name: string): Json {
    const names = this.parts(0x7b);
    for (let i = 0; i < names.length; i++) {
      if (names[i].string() == name) return names[i].value();
    }
    return new Json("");
  }

  /** The names of an object's members. */
  names(): string[] {
    const all = this.parts(0x7b), out: string[] = [];
    for (let i = 0; i < all.length; i++) out.push(all[i].string());
    return out;
  }

  /** The elements of a list. */
  elements(): Json[] { return this.parts(0x5b); }

  /** The strings of a list; other elements are left out. */
  strings(): string[] {
    const all = this.elements(), out: string[] = [];
    for (let i = 0; i < all.length; i++) {
      if (all[i].starts(0x22)) out.push(all[i].string());
    }
    return out;
  }

  string(otherwise: string = ""): string {
    if (!this.starts(0x22)) return otherwise;
    return unescape(this.all.substring(this.at + 1, valueEnd(this.all, this.at) - 1));
  }

  number(otherwise: f64 = 0): f64 {
    const c = this.at < this.all.length ? this.all.charCodeAt(this.at) : 0;
    return c == 0x2d || c >= 0x30 && c <= 0x39 ? F64.parseFloat(this.text) : otherwise;
  }

  truth(otherwise: bool = false): bool {
    const text = this.text;
    return text == "true" || text != "false" && otherwise;
  }

  /** The value of the member whose name this is. */
  private value(): Json {
    const colon = space(this.all, valueEnd(this.all, this.at));
    return new Json(this.all, min(colon + 1, this.all.length));
  }

  /** The elements of a list, or the names of an object's members. */
  private parts(open: i32): Json[] {
    const out: Json[] = [];
    if (!this.starts(open)) return out;
    let next = new Json(this.all, this.at + 1);
    while (next.at < this.all.length && !next.starts(0x5d) && !next.starts(0x7d)) {
      out.push(next);
      if (open == 0x7b) next = next.value();
      const comma = space(this.all, valueEnd(this.all, next.at));
      if (comma >= this.all.length || this.all.charCodeAt(comma) != 0x2c) break;
      next = new Json(this.all, comma + 1);
    }
    return out;
  }
}

function space(s: string, at: i32): i32 {
  while (at < s.length) {
    const c = s.charCodeAt(at);
    if (c != 0x20 && c != 0x09 && c != 0x0a && c != 0x0d) break;
    at++;
  }
  return at;
}

/** Where the value ends that starts at an index. */
function valueEnd(s: string, at: i32): i32 {
  let depth = 0;
  while (at < s.length) {
    const c = s.charCodeAt(at);
    if (c == 0x22) {
      at++;
      while (at < s.length && s.charCodeAt(at) != 0x22) at += s.charCodeAt(at) == 0x5c ? 2 : 1;
    } else if (c == 0x7b || c == 0x5b) {
      depth++;
    } else if (c == 0x7d || c == 0x5d) {
      if (depth == 0) break;
      depth--;
    } else if (depth == 0 && (c == 0x2c || c == 0x3a || c == 0x20 || c == 0x09 || c == 0x0a || c == 0x0d)) {
      break;
    }
    at++;
    if (depth == 0 && (c == 0x22 || c == 0x7d || c == 0x5d)) break;
  }
  return min(at, s.length);
}

function unescape(s: string): string {
  if (!s.includes("\\")) return s;
  let out = "";
  for (let i = 0; i < s.length; i++) {
    if (s.charCodeAt(i) != 0x5c) {
      out += s.charAt(i);
      continue;
    }
    const c = s.charAt(++i);
    if (c == "u") {
      out += String.fromCharCode(<i32>I32.parseInt(s.substring(i + 1, i + 5), 16));
      i += 4;
    } else if (c == "n") out += "\n";
    else if (c == "t") out += "\t";
    else if (c == "r") out += "\r";
    else if (c == "b") out += "\b";
    else if (c == "f") out += "\f";
    else out += c;
  }
  return out;
}
