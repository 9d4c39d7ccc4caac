//! In the place of a decoder whose feature is off: a type without values.

use super::ContentDecodeError;
use super::decoder::Step;

pub(super) enum Member {}

impl Member {
    pub(super) fn new() -> Result<Self, ContentDecodeError> {
        Err(ContentDecodeError::NotBuiltIn)
    }

    #[allow(dead_code)] // one of two codings has members that follow each other
    pub(super) fn restart(&mut self) -> Result<(), ContentDecodeError> {
        match *self {}
    }

    pub(super) fn step(&mut self, _: &[u8], _: &mut [u8]) -> Result<Step, ContentDecodeError> {
        match *self {}
    }
}
