//! The kinds of networks that a load may not use, in one byte: which they are, and not where else to go.

use super::path::{Interface, InterfaceKind};
use crate::error::NetworkUnavailableReason as Reason;

/// A set of kinds; by default it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForbiddenNetworks(u8);

impl ForbiddenNetworks {
    pub(crate) fn and(self, reason: Reason) -> Self {
        Self(self.0 | bit(reason))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Four bits.
    pub(crate) fn bits(self) -> u32 {
        self.0.into()
    }

    /// Why the interface may not be used, if it may not.
    pub(crate) fn against(self, interface: &Interface) -> Option<Reason> {
        [
            (interface.kind == InterfaceKind::Cellular, Reason::Cellular),
            (interface.is_expensive, Reason::Expensive),
            (interface.is_constrained, Reason::Constrained),
            (interface.is_ultra_constrained, Reason::UltraConstrained),
        ]
        .into_iter()
        .find_map(|(is_so, reason)| (is_so && self.0 & bit(reason) != 0).then_some(reason))
    }
}

fn bit(reason: Reason) -> u8 {
    1 << reason as u8
}
