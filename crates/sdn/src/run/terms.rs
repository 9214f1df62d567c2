//! Who gives terms: a controller commands only while it holds one, and fog nodes and vehicles take no order of a lower one.

/// Where terms come from.
pub trait Terms: Send {
    /// A term that is higher than every one this controller has held; none while another controller holds one.
    fn take(&mut self, held: u32) -> Option<u32>;

    /// Whether a term is still this controller's, after a fog node has said that it saw `seen`.
    fn holds(&mut self, term: u32, seen: u32) -> bool;
}

/// Terms of a controller that is alone: each start takes the next one. Nothing is agreed with anybody, so that a second
/// controller must not be started on another data folder: it would have terms of its own. The ledger's terms take its place.
#[derive(Debug)]
pub struct Alone {
    /// The first term is at least this one.
    pub least: u32,
}

impl Terms for Alone {
    fn take(&mut self, held: u32) -> Option<u32> {
        Some(held.checked_add(1)?.max(self.least))
    }

    /// It is still this one's, but of no use: fog nodes that have seen a higher one refuse it.
    fn holds(&mut self, term: u32, seen: u32) -> bool {
        term >= seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_term_is_higher_than_the_one_before() {
        let mut terms = Alone { least: 5 };
        assert_eq!([0, 4, 5, 9].map(|held| terms.take(held)), [Some(5), Some(5), Some(6), Some(10)]);
        assert_eq!(terms.take(u32::MAX), None);
    }
}
