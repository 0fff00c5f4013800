//! Finds customers who say that they leave, and the competitors that they name.

use closedloop::{Categorizer, Config, Failure, Item, Json, Labels, Plugin};

struct Churn {
    phrases: Vec<String>,
    competitors: Vec<String>,
    confidence: f64,
    lower: Vec<u8>, // the text of an item in lower case, kept so that its memory is used again
}

impl Plugin for Churn {
    fn new(config: &Config) -> Result<Self, Failure> {
        Ok(Churn {
            phrases: phrases(config.settings.get("phrases")),
            competitors: phrases(config.settings.get("competitors")),
            confidence: config.settings.get("confidence").number().unwrap_or(0.8),
            lower: Vec::new(),
        })
    }
}

/// A list of phrases in lower case, without empty ones.
fn phrases(list: Json) -> Vec<String> {
    list.strings().map(|p| p.trim().to_ascii_lowercase()).filter(|p| !p.is_empty()).collect()
}

impl Categorizer for Churn {
    fn categorize(&mut self, item: &Item, labels: &mut Labels) -> Result<(), Failure> {
        self.lower.clear();
        self.lower.extend(item.text_bytes().iter().map(u8::to_ascii_lowercase)); // as many bytes as the text
        if let Some((start, end)) = first(&self.lower, &self.phrases) {
            labels.theme("churn/leaving", self.confidence).evidence(start, end).sentiment(-0.8);
        }
        if let Some((start, end)) = first(&self.lower, &self.competitors) {
            labels.theme("churn/competitor", self.confidence).evidence(start, end);
        }
        Ok(())
    }
}

/// Where the first of the phrases stands that the text has as whole words.
fn first(text: &[u8], phrases: &[String]) -> Option<(usize, usize)> {
    phrases.iter().find_map(|phrase| {
        let mut ends = text.windows(phrase.len()).enumerate().filter(|(_, w)| *w == phrase.as_bytes());
        ends.find_map(|(start, w)| {
            let end = start + w.len();
            let whole = !start.checked_sub(1).map_or(false, |i| letter(text[i])) && !text.get(end).map_or(false, |c| letter(*c));
            whole.then(|| (start, end))
        })
    })
}

/// Whether a byte is part of a word. Letters beyond ASCII have bytes from 128 up.
fn letter(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c >= 128
}

closedloop::plugin!(Churn: categorize);

#[cfg(test)]
mod tests {
    use super::Churn;
    use closedloop::testing::{categorize, open, Answer};
    use closedloop::NewItem;

    fn label(text: &str) -> Answer {
        let settings = r#"{"phrases": ["never again"], "competitors": ["Acme"], "confidence": 0.5}"#;
        let mut plugin: Churn = open(settings).unwrap();
        categorize(&mut plugin, &[NewItem { text: text.into(), ..NewItem::default() }]).unwrap().remove(0)
    }

    #[test]
    fn finds_whole_words_only() {
        let answer = label("Schön? Never Again, I go to ACME!");
        assert_eq!(answer.themes.len(), 2);
        assert_eq!((answer.themes[0].path.as_str(), answer.themes[0].sentiment), ("churn/leaving", Some(-0.8)));
        assert_eq!(answer.themes[0].evidence, [(8, 19)]);
        assert_eq!(answer.themes[1].evidence, [(29, 33)]);
        assert!(label("never against, Acmes, äacme").themes.is_empty());
    }
}
