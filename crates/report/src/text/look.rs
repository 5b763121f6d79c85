//! What is known of the place where text goes, and the colours that text may have there.

/// How a text is to look: how wide, and whether in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns, `>= 40`.
    pub width: usize,
    /// Whether escape sequences for colour may be written.
    pub colour: bool,
}

impl Look {
    /// A look without colour, `width` columns wide but at least 40.
    pub fn plain(width: usize) -> Look {
        Look { width: width.max(40), colour: false }
    }

    /// `text` in a colour of the terminal's own palette, where colour is wanted.
    pub fn paint(self, text: &str, paint: Paint) -> String {
        let code = match paint {
            Paint::Bold => 1,
            Paint::Dim => 2,
            Paint::Warning => 33,
            Paint::Mark => 35,
            Paint::Curve => 36,
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// The one thing to see first.
    Bold,
    /// Explanations.
    Dim,
    /// What is not final.
    Warning,
    /// Retweets.
    Mark,
    /// The audience.
    Curve,
}
