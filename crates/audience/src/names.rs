//! Numbers for names: whoever reads rows gives each broadcast and each source the next number when it is first met, so
//! that rows hold numbers.

use std::collections::HashMap;
use std::sync::Arc;

/// Numbers for names, from 0 on, in the order in which the names are met.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    /// Given last: rows lie beside others of their name.
    last: Option<u32>,
}

impl Names {
    /// The number of a name; a new one where it has none.
    #[inline]
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(last) = self.last.filter(|last| *self.names[*last as usize] == *name) {
            return last;
        }
        let number = self.find(name);
        self.last = Some(number);
        number
    }

    fn find(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = Arc::from(name);
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push(name);
        number
    }

    /// The names, by number.
    #[inline]
    pub fn list(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The names alone, by number.
    pub fn into_list(self) -> Vec<Arc<str>> {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_the_number_under_which_it_was_met() {
        let mut names = Names::default();
        assert_eq!(["gala", "", "gala", "news", ""].map(|name| names.number(name)), [0, 1, 0, 2, 1]);
        assert_eq!(names.list().iter().map(|name| &**name).collect::<Vec<_>>(), ["gala", "", "news"]);
        assert_eq!(names.into_list().len(), 3);
    }
}
