//! An airing as a document: the one renderer for the terminal, the page and the report. Whoever calls has loaded what
//! is shown; the same input gives the same bytes.
//!
//! Nothing here does I/O, reads a clock, or finds out by itself how wide a terminal is.

mod airing;
pub mod text;

pub use airing::{AiringLine, NOT_COMPLETE, PROVISIONAL, TERMS, Term};
