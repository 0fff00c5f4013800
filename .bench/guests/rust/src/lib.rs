//! Finds the themes of a text: the categorizer that all the guests of the comparison are, in Rust.

use closedloop::{Categorizer, Config, Failure, Item, Labels, Plugin};

/// The phrases of each theme; a sign says that a phrase is kind or harsh.
const VOCABULARY: [(&str, &str); 12] = [
    ("packaging/box", "-damaged,-crushed,box,packaging"),
    ("delivery/late", "-late,-never arrived,courier,delivery,+fast shipping"),
    ("price/fee", "-hidden fee,price,-too expensive,+good value,invoice"),
    ("staff/phone", "+kind,-rude,support,-waiting on hold"),
    ("app/crash", "-crash,-freez,-error,bug"),
    ("app/login", "password,-locked out,verification code,login"),
    ("checkout/payment", "paying,checkout,cart,coupon"),
    ("returns/refund", "refund,return label,-cancel"),
    ("website/search", "-confusing,-hard to find,+easy to use,+intuitive"),
    ("speed", "-slow,-forever,loading,+lightning"),
    ("praise", "+love,+amazing,+recommend,+great,+excellent"),
    ("features", "dark mode,export,integration"),
];

const MAX_THEMES: usize = 3;
const MAX_SPANS: usize = 4;
const CLASSES: usize = 32;
const STATES: usize = 512;

#[derive(Clone, Copy, Default)]
struct Phrase {
    theme: u8,
    length: u8,
    tone: i8,
}

/// An automaton that finds all phrases in one pass, as Aho and Corasick do.
struct Words {
    class: [u8; 256],              // of a byte: 0 for what is no letter
    next: [u16; STATES * CLASSES], // by state and class
    ends: [u16; STATES],           // the state, or its longest suffix, in which a phrase ends; 0 for none
    link: [u16; STATES],           // likewise, but without the state itself
    phrase: [Phrase; STATES],      // the phrase that ends in the state
}

impl Words {
    fn new() -> Box<Words> {
        let mut w = Box::new(Words {
            class: [0; 256],
            next: [0; STATES * CLASSES],
            ends: [0; STATES],
            link: [0; STATES],
            phrase: [Phrase::default(); STATES],
        });
        w.class[b'-' as usize] = 27;
        for c in 0..26 {
            w.class[(b'a' + c) as usize] = c + 1;
            w.class[(b'A' + c) as usize] = c + 1;
        }
        let mut made = 1;
        for (theme, (_, phrases)) in VOCABULARY.iter().enumerate() {
            for p in phrases.split(',') {
                let tone = p.starts_with('+') as i8 - p.starts_with('-') as i8;
                w.insert(theme, p.trim_matches(|c| c == '+' || c == '-'), tone, &mut made);
            }
        }
        w.complete();
        w
    }

    fn insert(&mut self, theme: usize, phrase: &str, tone: i8, made: &mut u16) {
        let mut state = 0;
        for b in phrase.bytes() {
            let to = &mut self.next[state * CLASSES + self.class[b as usize] as usize];
            if *to == 0 {
                *to = *made;
                *made += 1;
            }
            state = *to as usize;
        }
        self.ends[state] = state as u16;
        self.phrase[state] = Phrase { theme: theme as u8, length: phrase.len() as u8, tone };
    }

    /// Makes the transitions of all states complete, in the order of their depth.
    fn complete(&mut self) {
        let mut fail = [0u16; STATES];
        let mut queue = vec![0usize];
        let mut from = 0;
        while from < queue.len() {
            let state = queue[from];
            from += 1;
            for c in 0..CLASSES {
                let back = if state == 0 { 0 } else { self.next[fail[state] as usize * CLASSES + c] };
                let to = &mut self.next[state * CLASSES + c];
                if *to == 0 || *to == back {
                    *to = back;
                    continue;
                }
                let to = *to as usize;
                fail[to] = back;
                self.link[to] = self.ends[back as usize];
                if self.ends[to] == 0 {
                    self.ends[to] = self.ends[back as usize];
                }
                queue.push(to);
            }
        }
    }
}

/// What was found of a theme.
#[derive(Clone, Copy, Default)]
struct Score {
    weight: u32, // bytes of phrases
    spans: usize,
    span: [(usize, usize); MAX_SPANS],
}

#[derive(Default)]
struct Scores {
    themes: [Score; VOCABULARY.len()],
    tone: i32,
}

impl Scores {
    /// Counts the phrases that end in a state and before the offset end.
    #[inline(never)]
    fn found(&mut self, words: &Words, state: u16, end: usize) {
        let mut at = state as usize % STATES;
        while at != 0 {
            let p = words.phrase[at];
            let s = &mut self.themes[p.theme as usize];
            s.weight += u32::from(p.length);
            if s.spans < MAX_SPANS {
                s.span[s.spans] = (end - p.length as usize, end);
                s.spans += 1;
            }
            self.tone += i32::from(p.tone);
            at = words.link[at] as usize % STATES;
        }
    }

    /// Tells the themes with the most bytes of phrases, and the tone.
    fn tell(&mut self, labels: &mut Labels) {
        for _ in 0..MAX_THEMES {
            let mut best = 0;
            for i in 1..self.themes.len() {
                if self.themes[i].weight > self.themes[best].weight {
                    best = i;
                }
            }
            let s = &mut self.themes[best];
            if s.weight == 0 {
                break;
            }
            let weight = f64::from(s.weight);
            let mut theme = labels.theme(VOCABULARY[best].0, weight / (weight + 8.0));
            for (start, end) in &s.span[..s.spans] {
                theme = theme.evidence(*start, *end);
            }
            s.weight = 0;
        }
        labels.sentiment(f64::from(self.tone) / f64::from(4 + self.tone.abs()));
    }
}

struct Label {
    words: Box<Words>,
    scores: Scores,
}

impl Plugin for Label {
    fn new(_: &Config) -> Result<Self, Failure> {
        Ok(Label { words: Words::new(), scores: Scores::default() })
    }
}

impl Categorizer for Label {
    fn categorize(&mut self, item: &Item, labels: &mut Labels) -> Result<(), Failure> {
        let Label { words, scores } = self;
        for s in &mut scores.themes {
            s.weight = 0;
            s.spans = 0;
        }
        scores.tone = 0;
        let (mut state, mut any) = (0, false);
        for (i, b) in item.text_bytes().iter().enumerate() {
            // Safety: classes are below CLASSES and states below STATES. C and AssemblyScript do not check it either.
            let ends = unsafe {
                state = *words.next.get_unchecked(state * CLASSES + words.class[*b as usize] as usize) as usize;
                *words.ends.get_unchecked(state)
            };
            if ends != 0 {
                scores.found(words, ends, i + 1);
                any = true;
            }
        }
        if any {
            scores.tell(labels);
        }
        Ok(())
    }
}

closedloop::plugin!(Label: categorize);
