//! As much of CBOR (RFC 8949) as trackers write: unsigned numbers, bytes, texts, arrays and null, of
//! definite length. Everything else is refused.

/// A decoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Value>),
    Null,
}

/// Arrays in arrays.
const DEPTH_MAX: usize = 16;

/// The one value that `bytes` are.
pub fn decode(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    match reader.at == bytes.len() {
        true => Ok(value),
        false => Err(format!("{} bytes follow its end", bytes.len() - reader.at)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends within a value, at byte {}", self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        let at = self.at;
        let head = self.take(1)?[0];
        if head == 0xf6 {
            return Ok(Value::Null);
        }
        let number = self.number(head & 0x1f)?;
        let length = || usize::try_from(number).map_err(|_| format!("a length at byte {at}"));
        match head >> 5 {
            0 => Ok(Value::Number(number)),
            2 => Ok(Value::Bytes(self.take(length()?)?.to_vec())),
            3 => {
                let text = std::str::from_utf8(self.take(length()?)?);
                text.map(|text| Value::Text(text.to_owned()))
                    .map_err(|_| format!("the text at byte {at} is no UTF-8"))
            }
            4 if depth == DEPTH_MAX => Err(format!("arrays are too deep at byte {at}")),
            4 => {
                // Each item takes a byte at least: no array is longer than what is left.
                let count = length()?;
                if count > self.bytes.len() - self.at {
                    return Err(format!("the array at byte {at} is longer than the bytes"));
                }
                (0..count)
                    .map(|_| self.value(depth + 1))
                    .collect::<Result<_, _>>()
                    .map(Value::Array)
            }
            _ => Err(format!("byte {at} begins something that is not read here")),
        }
    }

    fn number(&mut self, info: u8) -> Result<u64, String> {
        let count = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(format!("the length at byte {} is not definite", self.at)),
        };
        Ok(self.take(count)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (hex, value) in [
            ("17", Value::Number(23)),
            ("1903e8", Value::Number(1_000)),
            ("1b000000e8d4a51000", Value::Number(1_000_000_000_000)),
            ("4401020304", Value::Bytes(vec![1, 2, 3, 4])),
            ("62c3bc", Value::Text("ü".to_owned())),
            ("f6", Value::Null),
            ("8201820203", {
                let inner = Value::Array(vec![Value::Number(2), Value::Number(3)]);
                Value::Array(vec![Value::Number(1), inner])
            }),
        ] {
            let digits: Vec<u8> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            assert_eq!(decode(&digits), Ok(value), "{hex}");
        }
    }

    #[test]
    fn what_is_cut_or_hostile_is_refused() {
        for bytes in [&[][..], &[0x82, 1], &[0x61], &[0x9f, 1, 0xff], &[0x9b; 9], &[1, 1], &[0xa0]]
        {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
        assert!(decode(&[0x81; 10_000]).is_err());
        assert!(decode(&[0x61, 0xff]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
