//! The frame: how calls and answers are laid out in memory. A frame is checked once, when it is opened; what reads it
//! afterwards stays within it whatever the bytes, and takes a field that is not there as absent.

use crate::{Failure, Time};

pub(crate) const HEADER: usize = 24;
pub(crate) const MAX_FRAME: usize = 256 << 20;
pub(crate) const MAX_RECORDS: usize = 65535;
const MAGIC: u32 = 0x3146_4c43;

pub(crate) const CONFIGURE: u16 = 1;
pub(crate) const OK: u16 = 2;
pub(crate) const FAILURE: u16 = 3;
pub(crate) const ITEMS: u16 = 4;
pub(crate) const RESULTS: u16 = 5;
pub(crate) const POLL: u16 = 6;
pub(crate) const POLL_RESULT: u16 = 7;
pub(crate) const RECEIVE: u16 = 8;
pub(crate) const RECEIVE_RESULT: u16 = 9;
pub(crate) const DELIVER: u16 = 10;
pub(crate) const HTTP_REQUEST: u16 = 11;
pub(crate) const HTTP_RESPONSE: u16 = 12;
pub(crate) const FILES: u16 = 13;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl From<Malformed> for Failure {
    fn from(m: Malformed) -> Failure {
        Failure::fatal(m.0).code("malformed")
    }
}

/// Fields of a head, a record or a list's element, which may be shorter or longer than what is known here.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    frame: &'a [u8],
    pub(crate) own: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline(always)]
    pub(crate) fn u64(&self, at: usize) -> u64 {
        match self.own.get(at..at + 8) {
            Some(b) => u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            None => 0,
        }
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        match self.own.get(at..at + 4) {
            Some(b) => u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            None => 0,
        }
    }

    pub(crate) fn i64(&self, at: usize) -> i64 {
        self.u64(at) as i64
    }

    pub(crate) fn f64(&self, at: usize) -> f64 {
        f64::from_bits(self.u64(at))
    }

    /// The bytes that the reference at `at` names.
    #[inline(always)]
    pub(crate) fn bytes(&self, at: usize) -> &'a [u8] {
        let reference = self.u64(at);
        let start = reference as u32 as usize;
        let end = start.saturating_add((reference >> 32) as usize);
        if end == start {
            return &[];
        }
        self.frame.get(start..end).unwrap_or(&[])
    }

    /// The string that the reference at `at` names, as far as it is UTF-8.
    #[inline(always)]
    pub(crate) fn str(&self, at: usize) -> &'a str {
        utf8(self.bytes(at))
    }

    pub(crate) fn list(&self, at: usize) -> List<'a> {
        let reference = self.u64(at);
        let start = reference as u32 as usize;
        let count = (reference >> 32 & 0xffff) as usize;
        let stride = (reference >> 48) as usize;
        let end = start.saturating_add(count * stride);
        match self.frame.get(start..end) {
            Some(all) if stride >= 8 => List { frame: self.frame, all, count, stride },
            _ => List { frame: self.frame, all: &[], count: 0, stride: 8 },
        }
    }
}

/// The longest start of `b` that is UTF-8.
#[inline]
pub(crate) fn utf8(b: &[u8]) -> &str {
    match std::str::from_utf8(b) {
        Ok(s) => s,
        Err(e) => std::str::from_utf8(&b[..e.valid_up_to()]).unwrap_or(""),
    }
}

/// Records of a frame, or elements of a list.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    frame: &'a [u8],
    all: &'a [u8],
    pub(crate) count: usize,
    stride: usize,
}

impl<'a> List<'a> {
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> Fields<'a> {
        let own = self.all.get(i * self.stride..(i + 1) * self.stride).unwrap_or(&[]);
        Fields { frame: self.frame, own }
    }
}

/// A frame whose header is sound.
pub(crate) struct Frame<'a> {
    pub(crate) head: Fields<'a>,
    pub(crate) records: List<'a>,
}

impl<'a> Frame<'a> {
    /// Opens a frame of the kind that was expected. A failure frame in place of another answer is the error.
    pub(crate) fn open(b: &'a [u8], kind: u16) -> Result<Frame<'a>, Failure> {
        let header = Fields { frame: b, own: b.get(..HEADER).ok_or(Malformed("found the end of the data, expected a header"))? };
        if header.u32(0) != MAGIC {
            return Err(Malformed("found another start than CLF1, expected a frame").into());
        }
        let (version_kind, total, count, sizes) = (header.u32(4), header.u32(8) as usize, header.u32(12) as usize, header.u32(16));
        let (stride, head) = ((sizes & 0xffff) as usize, (sizes >> 16) as usize);
        if version_kind & 0xffff != 1 {
            return Err(Malformed("found a version other than 1").into());
        }
        if total < HEADER || total > b.len() || total > MAX_FRAME {
            return Err(Malformed("found a size that is not the frame's").into());
        }
        if head < HEADER || head > total || head % 8 != 0 {
            return Err(Malformed("found a head size that cannot be").into());
        }
        if count > MAX_RECORDS {
            return Err(Malformed("found too many records").into());
        }
        if count > 0 && (stride < 8 || stride % 8 != 0 || count * stride > total - head) {
            return Err(Malformed("found a record size that cannot be").into());
        }
        let frame = &b[..total];
        let found = (version_kind >> 16) as u16;
        let (count, stride) = if count == 0 { (0, 8) } else { (count, stride) };
        let opened = Frame {
            head: Fields { frame, own: &frame[..head] },
            records: List { frame, all: &frame[head..head + count * stride], count, stride },
        };
        match found {
            _ if found == kind => Ok(opened),
            FAILURE => Err(opened.failure()?),
            _ => Err(Malformed("found a frame of another kind than was expected").into()),
        }
    }

    fn failure(&self) -> Result<Failure, Malformed> {
        let mut check = Check::new(self);
        check.bytes(&self.head, 32);
        check.bytes(&self.head, 40);
        check.duration(&self.head, 48);
        check.done()?;
        Ok(Failure {
            fatal: self.head.u64(24) & 1 != 0,
            code: self.head.str(32).into(),
            message: self.head.str(40).into(),
            after_ms: self.head.u64(48),
        })
    }
}

/// Checks the references and numbers of a frame. Its first finding sticks.
pub(crate) struct Check {
    size: u64,
    lists: u64, // bytes that lists may still take up
    chars: u64, // bytes that strings may still take up
    wrong: Option<Malformed>,
}

impl Check {
    pub(crate) fn new(f: &Frame) -> Check {
        let size = f.head.frame.len() as u64;
        Check { size, lists: size, chars: 4 * size + (64 << 10), wrong: None }
    }

    #[cold]
    fn bad(&mut self, reason: &'static str) {
        self.wrong.get_or_insert(Malformed(reason));
    }

    pub(crate) fn done(self) -> Result<(), Malformed> {
        self.wrong.map_or(Ok(()), Err)
    }

    pub(crate) fn bytes(&mut self, f: &Fields, at: usize) {
        self.strings(f, at, at + 8);
    }

    /// Checks references that follow one another, as far as they are there.
    pub(crate) fn strings(&mut self, f: &Fields, from: usize, to: usize) {
        self.references(f.own.get(from..to.min(f.own.len())).unwrap_or(&[]));
    }

    #[inline(always)]
    pub(crate) fn references(&mut self, all: &[u8]) {
        let (mut sum, mut outside) = (0, false);
        let mut look = |reference: u64| {
            let len = reference >> 32;
            sum += len;
            outside |= len != 0 && (reference & 0xffff_ffff) + len > self.size;
        };
        let word = |b: &[u8], i: usize| u64::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7]]);
        let mut fours = all.chunks_exact(32);
        for b in &mut fours {
            // Most are absent, so it looks at four at once.
            let (first, second, third, fourth) = (word(b, 0), word(b, 8), word(b, 16), word(b, 24));
            if (first | second | third | fourth) >> 32 != 0 {
                look(first);
                look(second);
                look(third);
                look(fourth);
            }
        }
        for b in fours.remainder().chunks_exact(8) {
            look(word(b, 0));
        }
        if outside {
            self.bad("found a string that leaves the frame");
        } else if sum > self.chars {
            self.bad("found strings that add up to more than the frame can hold");
        } else {
            self.chars -= sum;
        }
    }

    /// Checks where a list lies; its elements are the caller's.
    pub(crate) fn list<'a>(&mut self, f: &Fields<'a>, at: usize) -> List<'a> {
        let reference = f.u64(at);
        let (start, count, stride) = (reference & 0xffff_ffff, reference >> 32 & 0xffff, reference >> 48);
        let empty = List { frame: f.frame, all: &[], count: 0, stride: 8 };
        if count == 0 {
            return empty;
        }
        let n = count * stride;
        if stride < 8 || stride % 8 != 0 || start + n > self.size {
            self.bad("found a list that leaves the frame or has elements of a size that cannot be");
            return empty;
        }
        if n > self.lists {
            self.bad("found lists that add up to more than the frame can hold");
            return empty;
        }
        self.lists -= n;
        f.list(at)
    }

    pub(crate) fn finite(&mut self, f: &Fields, at: usize) {
        self.finite_bits(f.u64(at));
    }

    #[inline(always)]
    pub(crate) fn finite_bits(&mut self, bits: u64) {
        if !f64::from_bits(bits).is_finite() {
            self.bad("found a number that is not finite");
        }
    }

    pub(crate) fn time(&mut self, f: &Fields, at: usize) {
        self.instant(f.i64(at));
    }

    #[inline(always)]
    pub(crate) fn instant(&mut self, v: Time) {
        if !(MIN_TIME..=MAX_TIME).contains(&v) {
            self.bad("found an instant outside the years 1 to 9999");
        }
    }

    pub(crate) fn duration(&mut self, f: &Fields, at: usize) {
        if f.u64(at) > i64::MAX as u64 / 1_000_000 {
            self.bad("found a duration that is negative or too long");
        }
    }

    pub(crate) fn size(&mut self, f: &Fields, at: usize) {
        if f.i64(at) < 0 {
            self.bad("found a negative size");
        }
    }
}

const MIN_TIME: Time = -62_135_596_800_000;
const MAX_TIME: Time = 253_402_300_799_999;

/// Writes one frame into a buffer that is used again.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) buf: Vec<u8>,
    full: bool,
}

impl Writer {
    pub(crate) const fn new() -> Writer {
        Writer { buf: Vec::new(), full: false }
    }

    /// Begins a frame: the header, and head and records of zeros.
    pub(crate) fn begin(&mut self, kind: u16, head: usize, count: usize, stride: usize) {
        self.full = count > MAX_RECORDS;
        let count = if self.full { 0 } else { count };
        self.buf.clear();
        self.buf.resize(head + count * stride, 0);
        self.u32(0, MAGIC);
        self.u32(4, 1 | u32::from(kind) << 16);
        self.u32(12, count as u32);
        self.u32(16, stride as u32 | (head as u32) << 16);
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self, at: usize, v: u64) {
        self.buf[at..at + 8].copy_from_slice(&v.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, at: usize, v: u32) {
        self.buf[at..at + 4].copy_from_slice(&v.to_le_bytes());
    }

    pub(crate) fn f64(&mut self, at: usize, v: f64) {
        self.u64(at, v.to_bits());
    }

    /// Appends bytes and returns their reference.
    #[inline(always)]
    pub(crate) fn reference(&mut self, b: &[u8]) -> u64 {
        let at = self.buf.len();
        if b.is_empty() {
            return 0;
        }
        if b.len() > MAX_FRAME - at.min(MAX_FRAME) {
            self.full = true;
            return 0;
        }
        append(&mut self.buf, b);
        at as u64 | (b.len() as u64) << 32
    }

    pub(crate) fn bytes(&mut self, at: usize, b: &[u8]) {
        let reference = self.reference(b);
        self.u64(at, reference);
    }

    /// Appends a list of zeros, puts its reference at `at`, and returns where its elements start.
    pub(crate) fn list(&mut self, at: usize, count: usize, stride: usize) -> Option<usize> {
        if count == 0 {
            return None;
        }
        if count > MAX_RECORDS {
            self.full = true;
            return None;
        }
        let start = self.buf.len();
        self.buf.resize(start + count * stride, 0);
        self.u64(at, list_reference(start, count, stride));
        Some(start)
    }

    /// Marks the frame as one that cannot be carried.
    pub(crate) fn overflow(&mut self) {
        self.full = true;
    }

    /// Whether the frame cannot be carried, and has no room for its records.
    pub(crate) fn overflowed(&self) -> bool {
        self.full
    }

    /// Completes the frame. One that breaks a limit becomes a failure frame that says so.
    pub(crate) fn end(&mut self) {
        if self.full || self.buf.len() > MAX_FRAME {
            self.full = false;
            self.failure(&Failure::fatal("the answer does not fit a frame: too many elements or too many bytes").code("too_large"));
            return;
        }
        self.u32(8, self.buf.len() as u32);
    }

    /// Writes a whole failure frame.
    pub(crate) fn failure(&mut self, f: &Failure) {
        self.begin(FAILURE, 56, 0, 0);
        self.u64(24, u64::from(f.fatal));
        self.bytes(32, cut(&f.code, 64).as_bytes());
        self.bytes(40, cut(&f.message, 4096).as_bytes());
        self.u64(48, f.after_ms);
        self.end();
    }

    /// Writes a whole ok frame.
    pub(crate) fn ok(&mut self) {
        self.begin(OK, HEADER, 0, 0);
        self.end();
    }
}

/// Appends bytes. Most are few, for which a call of memcpy costs more than the copying.
#[inline]
pub(crate) fn append(to: &mut Vec<u8>, b: &[u8]) {
    let n = b.len();
    if !(8..=128).contains(&n) {
        to.extend_from_slice(b);
        return;
    }
    to.reserve(n);
    // Safety: there is room for n bytes, and both eight bytes at i and the last eight lie within them.
    unsafe {
        let (from, into) = (b.as_ptr(), to.as_mut_ptr().add(to.len()));
        let eight = |i: usize| (into.add(i) as *mut u64).write_unaligned((from.add(i) as *const u64).read_unaligned());
        let mut i = 0;
        while i + 8 < n {
            eight(i);
            i += 8;
        }
        eight(n - 8);
        to.set_len(to.len() + n);
    }
}

pub(crate) fn list_reference(start: usize, count: usize, stride: usize) -> u64 {
    start as u64 | (count as u64) << 32 | (stride as u64) << 48
}

/// Cuts a string to at most `n` bytes, between characters.
pub(crate) fn cut(s: &str, n: usize) -> &str {
    let mut n = n.min(s.len());
    while !s.is_char_boundary(n) {
        n -= 1;
    }
    &s[..n]
}
