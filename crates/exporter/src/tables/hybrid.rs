//! The hybrid of run-length and bit-packed numbers in which Parquet keeps levels and places in a dictionary.

/// Bits that numbers up to `max` need.
pub(super) fn width_of(max: usize) -> u32 {
    usize::BITS - max.leading_zeros()
}

/// Appends `values`, each below `1 << width`, to `out`. Eight equal values or more become one run, others are packed by
/// eights.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut rest = values;
    let mut packed = 0;
    while let Some(first) = rest.get(packed) {
        let run = rest[packed..].iter().take_while(|value| *value == first).count();
        if run < 8 && packed + run < rest.len() {
            packed = (packed + 8).min(rest.len());
            continue;
        }
        if run < 8 {
            packed = rest.len();
            continue;
        }
        pack(&rest[..packed], width, out);
        varint((run as u64) << 1, out);
        out.extend_from_slice(&first.to_le_bytes()[..width.div_ceil(8) as usize]);
        rest = &rest[packed + run..];
        packed = 0;
    }
    pack(rest, width, out);
}

/// One bit-packed stretch; only the last one of all may hold a part of eight, filled up with zeros.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    for group in values.chunks(8) {
        let (mut bits, mut held) = (0u64, 0);
        for place in 0..8 {
            bits |= u64::from(group.get(place).copied().unwrap_or(0)) << held;
            held += width;
            while held >= 8 {
                out.push(bits.to_le_bytes()[0]);
                bits >>= 8;
                held -= 8;
            }
        }
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inverse, as the format's specification reads.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let mut header = 0u64;
            for shift in (0..).step_by(7) {
                let (byte, rest) = bytes.split_first().unwrap();
                header |= u64::from(byte & 0x7f) << shift;
                bytes = rest;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let many = usize::try_from(header >> 1).unwrap();
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let value = value.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, many));
            } else {
                let (group, rest) = bytes.split_at(many * width as usize);
                bytes = rest;
                let bit = |at: usize| u32::from(group[at / 8] >> (at % 8) & 1);
                let value = |at: usize| (0..width as usize).map(|b| bit(at * width as usize + b) << b).sum::<u32>();
                values.extend((0..many * 8).map(value));
            }
        }
        values.truncate(count);
        values
    }

    #[test]
    fn numbers_come_back_at_every_width() {
        let mut seed = 1u32;
        let mut chance = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for width in 0..=32u32 {
            for len in [0, 1, 7, 8, 9, 23, 64, 1_000] {
                let mask = u32::try_from((1u64 << width) - 1).unwrap();
                let mut values: Vec<u32> = Vec::new();
                while values.len() < len {
                    let (value, run) = (chance().wrapping_mul(257) & mask, chance() % 3 * (chance() % 20) + 1);
                    values.extend(std::iter::repeat_n(value, run as usize));
                }
                values.truncate(len);
                let mut bytes = Vec::new();
                encode(&values, width, &mut bytes);
                assert_eq!(decode(&bytes, width, len), values, "width {width}, {len} values");
            }
        }
    }

    #[test]
    fn one_long_run_is_a_few_bytes() {
        let mut bytes = Vec::new();
        encode(&[3; 100_000], 2, &mut bytes);
        assert_eq!(bytes.len(), 4);
        assert_eq!((width_of(0), width_of(1), width_of(2), width_of(255)), (0, 1, 2, 8));
    }
}
