//! Items as a plugin reads them: views of the frame, which copy nothing.

use crate::frame::{Check, Fields, Frame, List};
use crate::{Failure, Time};

pub(crate) const SIZE: usize = 312;
pub(crate) const STRINGS: usize = 88;
pub(crate) const ATTRIBUTES: usize = 72;
pub(crate) const CUSTOMER_ATTRIBUTES: usize = 80;
pub(crate) const ATTRIBUTE_SIZE: usize = 24;

/// One piece of feedback. Texts are empty and instants 0 when they are not given.
#[derive(Clone, Copy)]
pub struct Item<'a>(pub(crate) Fields<'a>);

macro_rules! strings {
    ($($(#[$doc:meta])* $name:ident at $at:literal;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name(&self) -> &'a str {
            self.0.str($at)
        })*
    };
}

impl<'a> Item<'a> {
    strings! {
        /// The engine's id of the item.
        id at 88;
        /// The id of the connector that brought it.
        source at 96;
        /// The source's own id.
        external_id at 104;
        /// Why the engine made an external id up, such as `damaged`; empty when the source gave one.
        synthetic at 112;
        /// The import that it belongs to.
        batch at 120;
        /// Where in the import it stood, such as `line 12`.
        position at 128;
        /// The kind of survey: `nps`, `csat`, `ces` or another.
        survey at 136;
        /// The source's id of the survey.
        survey_id at 144;
        /// The channel, such as `email`.
        channel at 152;
        /// What the feedback is about, such as `checkout/payment`.
        touchpoint at 160;
        /// The stage of the customer's journey.
        stage at 168;
        /// The product.
        product at 176;
        /// The place.
        location at 184;
        /// The language of the text, such as `de`.
        language at 192;
        /// The title.
        title at 200;
        /// What the customer wrote. Evidence counts bytes of it.
        text at 208;
        /// Where it can be seen.
        url at 216;
    }

    /// The bytes of the text, without the check that they are UTF-8.
    #[inline]
    pub fn text_bytes(&self) -> &'a [u8] {
        self.0.bytes(208)
    }

    fn flag(&self, bit: u64) -> bool {
        self.0.u64(0) & bit != 0
    }

    fn number(&self, bit: u64, at: usize) -> Option<f64> {
        self.flag(bit).then(|| self.0.f64(at))
    }

    /// The score that the customer gave.
    pub fn score(&self) -> Option<f64> {
        self.number(1, 32)
    }

    /// The lowest possible score, where the survey's kind does not say it.
    pub fn scale_min(&self) -> Option<f64> {
        self.number(2, 40)
    }

    /// The highest possible score, where the survey's kind does not say it.
    pub fn scale_max(&self) -> Option<f64> {
        self.number(4, 48)
    }

    /// The revision of the item at its source; 0 when it has none.
    pub fn version(&self) -> i64 {
        self.0.i64(8)
    }

    /// When the customer gave it.
    pub fn occurred_at(&self) -> Time {
        self.0.i64(16)
    }

    /// Whether that instant was assumed.
    pub fn occurred_assumed(&self) -> bool {
        self.flag(128)
    }

    /// When the engine received it.
    pub fn received_at(&self) -> Time {
        self.0.i64(24)
    }

    /// Whether the customer may be contacted; `None` when it is not known.
    pub fn contactable(&self) -> Option<bool> {
        self.flag(32).then(|| self.flag(64))
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<Value<'a>> {
        Attributes::of(self.0.list(ATTRIBUTES)).find(name)
    }

    /// All attributes, in the order of their names.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.0.list(ATTRIBUTES))
    }

    /// Who gave it.
    pub fn customer(&self) -> Customer<'a> {
        Customer(self.0)
    }
}

/// The customer who gave an item.
#[derive(Clone, Copy)]
pub struct Customer<'a>(Fields<'a>);

impl<'a> Customer<'a> {
    strings! {
        /// The customer's id.
        id at 224;
        /// What kind of id that is, such as `email` or `account`.
        key_kind at 232;
        /// The name.
        name at 240;
        /// The address of email.
        email at 248;
        /// The account.
        account at 256;
        /// The segment.
        segment at 264;
        /// The tier.
        tier at 272;
        /// The region.
        region at 280;
        /// The country.
        country at 288;
        /// The customer's language.
        language at 296;
        /// Who looks after the customer.
        owner at 304;
    }

    /// Yearly revenue.
    pub fn arr(&self) -> Option<f64> {
        Item(self.0).number(8, 56)
    }

    /// For how many days the customer has been one.
    pub fn tenure_days(&self) -> Option<f64> {
        Item(self.0).number(16, 64)
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<Value<'a>> {
        self.attributes().find(name)
    }

    /// All attributes, in the order of their names.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.0.list(CUSTOMER_ATTRIBUTES))
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A string.
    Text(&'a str),
    /// A number.
    Number(f64),
    /// A truth value.
    Truth(bool),
    /// An instant.
    Instant(Time),
}

/// An iterator over attributes: names and values.
#[derive(Clone)]
pub struct Attributes<'a> {
    list: List<'a>,
    next: usize,
}

impl<'a> Attributes<'a> {
    fn of(list: List<'a>) -> Attributes<'a> {
        Attributes { list, next: 0 }
    }

    /// The value at `i`; none when it says nothing or is of a kind that is not known.
    fn value(&self, i: usize) -> Option<Value<'a>> {
        let e = self.list.get(i);
        match e.u32(8) {
            1 => Some(Value::Text(e.str(16))).filter(|v| *v != Value::Text("")),
            2 => Some(Value::Number(e.f64(16))),
            3 => Some(Value::Truth(e.u64(16) != 0)),
            4 => Some(Value::Instant(e.i64(16))).filter(|v| *v != Value::Instant(0)),
            _ => None,
        }
    }

    /// The last of that name counts.
    fn find(&self, name: &str) -> Option<Value<'a>> {
        let named = |i: &usize| self.list.get(*i).bytes(0) == name.as_bytes() && matches!(self.list.get(*i).u32(8), 1..=4);
        (0..self.list.count).rev().find(named).and_then(|i| self.value(i))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.list.count {
            let i = self.next;
            self.next += 1;
            if let Some(v) = self.value(i) {
                return Some((self.list.get(i).str(0), v));
            }
        }
        None
    }
}

/// Checks the records of a frame as items.
pub(crate) fn check(check: &mut Check, items: List) {
    let mut padded = [0; SIZE]; // for records that are shorter than those known here
    for i in 0..items.count {
        let f = items.get(i);
        let record: &[u8; SIZE] = match f.own.get(..SIZE).and_then(|r| r.try_into().ok()) {
            Some(r) => r,
            None => {
                padded[..f.own.len()].copy_from_slice(f.own);
                &padded
            }
        };
        whole(check, &f, record);
    }
}

/// Checks one item, whose fields are all there.
#[inline(always)]
fn whole(check: &mut Check, f: &Fields, record: &[u8; SIZE]) {
    let word = |at: usize| {
        let r = record;
        u64::from_le_bytes([r[at], r[at + 1], r[at + 2], r[at + 3], r[at + 4], r[at + 5], r[at + 6], r[at + 7]])
    };
    check.instant(word(16) as i64);
    check.instant(word(24) as i64);
    check.references(&record[STRINGS..]);
    let flags = word(0);
    if flags & 31 != 0 {
        for i in 0..5 {
            if flags >> i & 1 != 0 {
                check.finite_bits(word(32 + 8 * i));
            }
        }
    }
    if word(ATTRIBUTES) != 0 {
        attributes(check, f, ATTRIBUTES);
    }
    if word(CUSTOMER_ATTRIBUTES) != 0 {
        attributes(check, f, CUSTOMER_ATTRIBUTES);
    }
}

fn attributes(check: &mut Check, f: &Fields, at: usize) {
    let list = check.list(f, at);
    for i in 0..list.count {
        let e = list.get(i);
        check.bytes(&e, 0);
        match e.u32(8) {
            1 => check.bytes(&e, 16),
            2 => check.finite(&e, 16),
            4 => check.time(&e, 16),
            _ => {}
        }
    }
}

/// The items of a call to categorize.
pub(crate) struct Items<'a> {
    pub(crate) now: Time,
    pub(crate) list: List<'a>,
}

impl<'a> Items<'a> {
    pub(crate) fn open(b: &'a [u8]) -> Result<Items<'a>, Failure> {
        let f = Frame::open(b, crate::frame::ITEMS)?;
        let mut c = Check::new(&f);
        c.time(&f.head, 24);
        check(&mut c, f.records);
        c.done()?;
        Ok(Items { now: f.head.i64(24), list: f.records })
    }
}
