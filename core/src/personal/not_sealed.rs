//! What no store takes: personal data in plain text, and sealed data that no vault wrote.

use super::marker::PERSONAL;
#[cfg(feature = "runtime")]
use super::{marker::SEALED, node};
use crate::Payload;

/// A payload is nothing that a store may keep: a vault that is put on the log later would meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSealed {
    /// It holds personal data in plain text.
    #[error("it holds personal data in plain text; build the application with a vault")]
    Plain,
    /// It uses the key `$sealed` in another way than a vault does.
    #[error("it uses the key \"$sealed\", which is reserved for sealed personal data")]
    Reserved,
}

impl Payload {
    /// Checks that personal data in it is sealed, and that nothing else passes for that. Every store
    /// does, for whatever it keeps.
    ///
    /// # Errors
    /// [`NotSealed`].
    pub fn check_sealed(&self) -> Result<(), NotSealed> {
        if PERSONAL.is_in(self.as_json()) {
            return Err(NotSealed::Plain);
        }
        #[cfg(feature = "runtime")]
        node::rewrite(self.as_json(), &SEALED, |body, _| node::read_sealed(body).map(drop))
            .map_err(|_: node::NotANode| NotSealed::Reserved)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Personal;

    #[test]
    fn what_is_neither_sealed_nor_harmless_is_told() {
        let check = |json: &str| Payload::from_json(json.to_owned()).unwrap().check_sealed();
        let personal = Payload::from_value(&[Personal::of("ann", 1)]).unwrap();
        assert_eq!(personal.check_sealed(), Err(NotSealed::Plain));
        for reserved in [
            "{\"$sealed\":1}",
            "[{\"$sealed\":{\"subject\":\"ann\"}}]",
            "{\"$sealed\":{\"subject\":\"ann\",\"key\":1}}",
            "{\"$sealed\":{\"subject\":\"ann\",\"forgotten\":true},\"more\":1}",
        ] {
            #[cfg(feature = "runtime")]
            assert_eq!(check(reserved), Err(NotSealed::Reserved), "{reserved}");
        }
        for fine in [
            "1",
            "{\"a\":\"$sealed\",\"b\":\"$personal\"}",
            "{\"$sealed\":{\"subject\":\"ann\",\"forgotten\":true}}",
            "[{\"$sealed\":{\"subject\":\"ann\",\"key\":1,\"data\":\"AAAA\"}}]",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }
}
