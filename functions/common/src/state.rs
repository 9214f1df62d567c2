//! A compact format of states: numbers of fixed width, little-endian, lists after their length. Who reads knows the order.

/// Longest list in a state: as many groups as a sample has cells at most.
const MOST: usize = 1024;

/// Bytes of a state while they are written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes a whole number.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a number, NaN included.
    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Writes yes or no.
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// Writes a list; of a longer one its first [`MOST`] items.
    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        let count = items.len().min(MOST);
        self.bytes.extend_from_slice(&(count as u16).to_le_bytes());
        for item in &items[..count] {
            write(self, item);
        }
    }

    /// Writes a text as the list of its bytes.
    pub fn text(&mut self, text: &str) {
        self.list(text.as_bytes(), |writer, byte| writer.bytes.push(*byte));
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A state while it is read.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or("state: it ends early")?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// Reads a whole number.
    pub fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Reads a number, NaN included.
    pub fn f64(&mut self) -> Result<f64, String> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// Reads yes or no.
    pub fn bool(&mut self) -> Result<bool, String> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("state: {other} is neither yes nor no")),
        }
    }

    /// Reads a list.
    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let count = usize::from(u16::from_le_bytes(self.take()?));
        if count > MOST {
            return Err(format!("state: a list of {count}, more than {MOST}"));
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// Reads a text.
    pub fn text(&mut self) -> Result<String, String> {
        let bytes = self.list(|reader| reader.take::<1>().map(|[byte]| byte))?;
        String::from_utf8(bytes).map_err(|_| "state: a text is not UTF-8".to_owned())
    }

    /// Checks that nothing is left.
    pub fn finish(self) -> Result<(), String> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(format!("state: {left} bytes too many")),
        }
    }
}
