//! Writing: numbers and words as bytes, without the formatting machinery, because a night is a million lines.

/// 00 to 99: two digits at a time halve the divisions.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[2 * n] = b'0' + (n / 10) as u8;
        pairs[2 * n + 1] = b'0' + (n % 10) as u8;
        n += 1;
    }
    pairs
};

/// The decimal digits of `number`.
pub(crate) fn write_u64(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while number >= 100 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    let pair = number as usize * 2;
    at -= 1;
    digits[at] = PAIRS[pair + 1];
    if number >= 10 {
        at -= 1;
        digits[at] = PAIRS[pair];
    }
    out.extend_from_slice(&digits[at..]);
}

/// The decimal digits of `number`, with its sign where it is negative.
pub(crate) fn write_i64(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    write_u64(out, number.unsigned_abs());
}

/// All 16 hexadecimal digits of `number`.
pub(crate) fn write_hex(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 16];
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize];
    }
    out.extend_from_slice(&digits);
}

/// One JSON object under construction. Words and names are this crate's own, so none needs escaping.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Opens an object with its first field, `type`.
    pub(crate) fn open(out: &'a mut Vec<u8>, kind: &str) -> Object<'a> {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Object { out }
    }

    /// A field whose value `write` writes.
    pub(crate) fn field(self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Object<'a> {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out);
        self
    }

    /// A string.
    pub(crate) fn word(self, name: &str, value: &str) -> Object<'a> {
        self.field(name, |out| {
            out.push(b'"');
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        })
    }

    /// An integer.
    pub(crate) fn number(self, name: &str, value: i64) -> Object<'a> {
        self.field(name, |out| write_i64(out, value))
    }

    /// An integer, or null.
    pub(crate) fn maybe(self, name: &str, value: Option<i64>) -> Object<'a> {
        self.field(name, |out| match value {
            Some(value) => write_i64(out, value),
            None => out.extend_from_slice(b"null"),
        })
    }

    /// Closes the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let mut numbers: Vec<u64> = (0..2_000).collect();
        numbers.extend((0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, u64::MAX >> bit]));
        for number in numbers {
            let (mut decimal, mut hex) = (Vec::new(), Vec::new());
            write_u64(&mut decimal, number);
            write_hex(&mut hex, number);
            assert_eq!(decimal, number.to_string().into_bytes());
            assert_eq!(hex, format!("{number:016x}").into_bytes());
        }
        let mut least = Vec::new();
        write_i64(&mut least, i64::MIN);
        assert_eq!(least, i64::MIN.to_string().into_bytes());
    }
}
