//! JSON as far as settings need it: values are looked up in the text, nothing is built.

use std::borrow::Cow;

/// A JSON value within a text, such as a plugin's settings. The host has checked settings against the manifest and
/// filled the defaults in. What is not there, or is of another type, is absent.
///
/// ```
/// let settings = closedloop::Json::new(r#"{"threshold": 0.5, "words": ["cancel", "switch"]}"#);
/// assert_eq!(settings.get("threshold").number(), Some(0.5));
/// let words: Vec<String> = settings.get("words").strings().collect();
/// assert_eq!(words, ["cancel", "switch"]);
/// ```
#[derive(Clone, Copy)]
pub struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// Takes the value at the start of a text.
    pub fn new(text: &'a str) -> Json<'a> {
        Json(skip_space(text.as_bytes()))
    }

    pub(crate) fn of(b: &'a [u8]) -> Json<'a> {
        Json(skip_space(b))
    }

    fn starts(&self, with: u8) -> bool {
        self.0.first() == Some(&with)
    }

    /// Whether there is a value, and it is not null.
    pub fn exists(&self) -> bool {
        !self.0.is_empty() && !self.0.starts_with(b"null")
    }

    /// The member of an object.
    pub fn get(&self, name: &str) -> Json<'a> {
        self.members().find(|(n, _)| n == name).map_or(Json(&[]), |(_, v)| v)
    }

    /// The members of an object, by name.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        let mut rest = if self.starts(b'{') { &self.0[1..] } else { &[] };
        std::iter::from_fn(move || {
            let name = Json(skip_space(rest));
            let key = name.string()?;
            let (_, after) = split(name.0);
            let value = Json(skip_space(skip_space(after).strip_prefix(b":")?));
            rest = skip_comma(split(value.0).1);
            Some((key, value))
        })
    }

    /// The elements of a list.
    pub fn elements(&self) -> impl Iterator<Item = Json<'a>> {
        let mut rest = if self.starts(b'[') { skip_space(&self.0[1..]) } else { &[] };
        std::iter::from_fn(move || {
            let (value, after) = split(rest);
            if value.is_empty() {
                return None;
            }
            let found = Json(rest);
            rest = skip_space(skip_comma(after));
            Some(found)
        })
    }

    /// The strings of a list; other elements are left out.
    pub fn strings(&self) -> impl Iterator<Item = String> + 'a {
        self.elements().filter_map(|e| e.string().map(Cow::into_owned))
    }

    /// A string.
    pub fn string(&self) -> Option<Cow<'a, str>> {
        if !self.starts(b'"') {
            return None;
        }
        let text = split(self.0).0;
        let inner = text.get(1..text.len().max(2) - 1)?;
        match std::str::from_utf8(inner) {
            Ok(s) if !inner.contains(&b'\\') => Some(Cow::Borrowed(s)),
            Ok(s) => Some(Cow::Owned(unescape(s))),
            Err(_) => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<f64> {
        if !matches!(self.0.first(), Some(b'-' | b'0'..=b'9')) {
            return None;
        }
        std::str::from_utf8(split(self.0).0).ok()?.parse().ok()
    }

    /// A truth value.
    pub fn truth(&self) -> Option<bool> {
        match split(self.0).0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The text of the value.
    pub fn text(&self) -> &'a str {
        crate::frame::utf8(split(self.0).0)
    }
}

fn skip_space(b: &[u8]) -> &[u8] {
    let n = b.iter().position(|c| !c.is_ascii_whitespace()).unwrap_or(b.len());
    &b[n..]
}

fn skip_comma(b: &[u8]) -> &[u8] {
    let b = skip_space(b);
    b.strip_prefix(b",").unwrap_or(b)
}

/// Splits the value at the start of `b` from what follows it.
fn split(b: &[u8]) -> (&[u8], &[u8]) {
    let mut depth = 0;
    let mut i = 0;
    while let Some(c) = b.get(i) {
        match c {
            b'"' => i = end_of_string(b, i),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => break,
            _ => {}
        }
        i += 1;
        if depth == 0 && matches!(c, b'"' | b'}' | b']') {
            break;
        }
    }
    b.split_at(i.min(b.len()))
}

/// Where the quote is that ends the string which starts at `i`.
fn end_of_string(b: &[u8], i: usize) -> usize {
    let mut i = i + 1;
    while let Some(c) = b.get(i) {
        match c {
            b'"' => return i,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    b.len()
}

fn unescape(s: &str) -> String {
    let mut units = Vec::new(); // of UTF-16, because \u escapes are
    let mut rest = s.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        }
        match rest.next() {
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
            }
            Some(c) => units.push(match c {
                'n' => 10,
                't' => 9,
                'r' => 13,
                'b' => 8,
                'f' => 12,
                c => c as u32 as u16,
            }),
            None => {}
        }
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn values_of_every_type() {
        let text = r#" { "a" : "x\"\\\n\u00e4\ud83d\ude00" , "b":[1,-2.5e3 , [], {"k":"]"}, "s"],"c":true,"d":null,"e":{"f":{"g":7}},"" : {} } "#;
        let j = Json::new(text);
        assert_eq!(j.get("a").string().unwrap(), "x\"\\\nä😀");
        assert_eq!(j.get("b").elements().count(), 5);
        assert_eq!(j.get("b").elements().filter_map(|e| e.number()).collect::<Vec<_>>(), [1.0, -2500.0]);
        assert_eq!(j.get("b").elements().nth(3).unwrap().get("k").string().unwrap(), "]");
        assert_eq!(j.get("b").strings().collect::<Vec<_>>(), ["s"]);
        assert_eq!(j.get("c").truth(), Some(true));
        assert!(!j.get("d").exists() && !j.get("zz").exists() && j.get("").exists());
        assert_eq!(j.get("e").get("f").get("g").number(), Some(7.0));
        assert_eq!(j.get("e").text(), r#"{"f":{"g":7}}"#);
        assert_eq!(j.members().map(|(n, _)| n.into_owned()).collect::<String>(), "abcde");
    }

    #[test]
    fn anything_is_taken_without_a_panic() {
        let text = r#"{"a":["\u12","b\"#;
        for from in 0..text.len() {
            for to in from..=text.len() {
                let j = Json::new(&text[from..to]);
                let _ = (j.get("a").strings().count(), j.string(), j.number(), j.truth(), j.text(), j.elements().count());
            }
        }
    }
}
