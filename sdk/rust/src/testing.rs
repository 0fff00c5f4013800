//! For a plugin's own tests: a categorizer is opened and called with frames as the host makes them, on the machine
//! that the test runs on.
//!
//! ```ignore
//! let mut plugin: Shouting = closedloop::testing::open(r#"{"least": 3}"#).unwrap();
//! let item = NewItem { text: "WHY SO LATE".into(), ..Default::default() };
//! let answers = closedloop::testing::categorize(&mut plugin, &[item]).unwrap();
//! assert_eq!(answers[0].themes[0].path, "tone/shouting");
//! ```

use crate::connect::{write_items, NewItem};
use crate::frame::{Check, Fields, Frame, Writer, CONFIGURE, ITEMS, RESULTS};
use crate::labels::Results;
use crate::{guest, Categorizer, Failure, Plugin};

/// What a categorizer said of one item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The themes, in the order in which they were added.
    pub themes: Vec<Theme>,
    /// The sentiment of the whole item.
    pub sentiment: Option<f64>,
    /// Why the item is no feedback at all; empty when it is.
    pub drop: String,
    /// Why the item could not be labelled.
    pub error: Option<Failure>,
}

/// A theme of an [`Answer`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Theme {
    /// Such as `packaging/opening`.
    pub path: String,
    /// From 0 to 1.
    pub confidence: f64,
    /// From -1 to 1.
    pub sentiment: Option<f64>,
    /// Ranges of bytes of the item's text.
    pub evidence: Vec<(usize, usize)>,
}

/// Makes an instance with settings: a complete JSON object, nothing is filled in.
pub fn open<T: Plugin>(settings: &str) -> Result<T, Failure> {
    let mut w = Writer::default();
    w.begin(CONFIGURE, 56, 0, 0);
    w.bytes(32, settings.as_bytes());
    w.bytes(40, b"test");
    w.u32(48, guest::ABI);
    w.end();
    guest::configure(&w.buf)
}

/// Categorizes items in one call. An error is the call's; one item's is in its answer.
pub fn categorize<T: Categorizer>(plugin: &mut T, items: &[NewItem]) -> Result<Vec<Answer>, Failure> {
    let mut w = Writer::default();
    w.begin(ITEMS, 32, items.len(), crate::item::SIZE);
    write_items(&mut w, 32, items);
    w.end();
    let mut out = Results::default();
    guest::categorize(plugin, &w.buf, &mut out)?;
    read(&out.w.buf)
}

pub(crate) fn read(b: &[u8]) -> Result<Vec<Answer>, Failure> {
    let f = Frame::open(b, RESULTS)?;
    let mut c = Check::new(&f);
    let answers = (0..f.records.count).map(|i| answer(&mut c, f.records.get(i))).collect();
    c.done()?;
    Ok(answers)
}

fn answer(c: &mut Check, r: Fields) -> Answer {
    let flags = r.u64(0);
    c.finite(&r, 8);
    c.strings(&r, 24, 48);
    c.duration(&r, 48);
    let themes = c.list(&r, 16);
    Answer {
        themes: (0..themes.count).map(|i| theme(c, themes.get(i))).collect(),
        sentiment: (flags & 1 != 0).then(|| r.f64(8)),
        drop: r.str(24).into(),
        error: (flags & 2 != 0).then(|| Failure {
            fatal: flags & 4 != 0,
            code: r.str(32).into(),
            message: r.str(40).into(),
            after_ms: r.u64(48),
        }),
    }
}

fn theme(c: &mut Check, t: Fields) -> Theme {
    c.bytes(&t, 8);
    c.finite(&t, 16);
    c.finite(&t, 24);
    let spans = c.list(&t, 32);
    Theme {
        path: t.str(8).into(),
        confidence: t.f64(16),
        sentiment: (t.u64(0) & 1 != 0).then(|| t.f64(24)),
        evidence: (0..spans.count).map(|i| (spans.get(i).u32(0) as usize, spans.get(i).u32(4) as usize)).collect(),
    }
}
