//! A problem, under the path by which the files of this crate know it.

pub(crate) use ::problem::{Awaited, Problem, ProblemKind};
