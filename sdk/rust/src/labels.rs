//! What a categorizer says of items, written into the answer as it is said.

use crate::frame::{append, cut, list_reference, Writer, HEADER, MAX_RECORDS, RESULTS};
use crate::Failure;

const RESULT: usize = 56;
const THEME: usize = 40;

/// The answer to a call: a result for each item.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) w: Writer,
    themes: Vec<[u64; 5]>, // of the item that is being labelled: the fields of each, little-endian
}

impl Results {
    pub(crate) const fn new() -> Results {
        Results { w: Writer::new(), themes: Vec::new() }
    }

    pub(crate) fn begin(&mut self, count: usize) {
        self.w.begin(RESULTS, HEADER, count, RESULT);
    }

    /// Labels item `i`. An error is the item's own.
    #[inline]
    pub(crate) fn item(&mut self, i: usize, label: impl FnOnce(&mut Labels) -> Result<(), Failure>) {
        let mut labels = Labels { at: HEADER + i * RESULT, flags: 0, to: self };
        let done = label(&mut labels);
        labels.end(done.err());
    }
}

/// What is said of one item.
pub struct Labels<'r> {
    to: &'r mut Results,
    at: usize,
    flags: u64,
}

impl Labels<'_> {
    /// Adds a theme such as `packaging/opening`, with a confidence from 0 to 1.
    #[inline]
    pub fn theme(&mut self, path: &str, confidence: f64) -> Theme<'_> {
        let path = self.to.w.reference(path.as_bytes());
        self.to.themes.push([0, path.to_le(), confidence.to_bits().to_le(), 0, 0]);
        Theme { to: self.to, start: 0, count: 0 }
    }

    /// Says the sentiment of the whole item, from -1 to 1.
    pub fn sentiment(&mut self, v: f64) {
        self.flags |= 1;
        self.to.w.f64(self.at + 8, v);
    }

    /// Says that this is no feedback at all, and why: an automatic reply, say.
    pub fn drop(&mut self, reason: &str) {
        self.to.w.bytes(self.at + 24, reason.as_bytes());
    }

    fn end(mut self, error: Option<Failure>) {
        let w = &mut self.to.w;
        if let Some(f) = error {
            self.flags |= 2 | u64::from(f.fatal) << 2;
            w.bytes(self.at + 32, cut(&f.code, 64).as_bytes());
            w.bytes(self.at + 40, cut(&f.message, 4096).as_bytes());
            w.u64(self.at + 48, f.after_ms);
        }
        w.u64(self.at, self.flags);
        let count = self.to.themes.len();
        if count > MAX_RECORDS {
            w.overflow();
        } else if count > 0 {
            let start = w.buf.len();
            // Safety: the fields of the themes follow one another, and numbers are bytes.
            let bytes = unsafe { std::slice::from_raw_parts(self.to.themes.as_ptr() as *const u8, count * THEME) };
            append(&mut w.buf, bytes);
            w.u64(self.at + 16, list_reference(start, count, THEME));
        }
        self.to.themes.clear();
    }
}

/// A theme that was just added.
pub struct Theme<'r> {
    to: &'r mut Results,
    start: usize,
    count: usize,
}

impl Theme<'_> {
    #[inline]
    fn put(&mut self, field: usize, v: u64) {
        if let Some(theme) = self.to.themes.last_mut() {
            theme[field] = v.to_le();
        }
    }

    /// Says where in the item's text the theme shows: bytes from `start` to before `end`. May be called again.
    #[inline]
    pub fn evidence(mut self, start: usize, end: usize) -> Self {
        let w = &mut self.to.w;
        if self.count == 0 {
            self.start = w.buf.len();
        }
        if self.count == MAX_RECORDS {
            w.overflow();
            return self;
        }
        append(&mut w.buf, &(start as u64 & 0xffff_ffff | (end as u64) << 32).to_le_bytes());
        self.count += 1;
        self.put(4, list_reference(self.start, self.count, 8));
        self
    }

    /// Says the sentiment towards this theme, from -1 to 1.
    pub fn sentiment(mut self, v: f64) -> Self {
        self.put(0, 1);
        self.put(3, v.to_bits());
        self
    }
}
