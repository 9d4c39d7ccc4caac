//! Translates service types to the differentiated services code points of packets.
//!
//! `env::net` sets the mark on a socket; the pool's key decides which connection a request may
//! use. Apple: *networkServiceType*.

use crate::message::NetworkServiceType;

/// The traffic class octet of a service type: its code point in the upper six bits (RFC 2474 §3), with the two bits
/// of congestion notification left to the system.
pub(super) fn traffic_class(service: NetworkServiceType) -> u8 {
    code_point(service) << 2
}

/// The code points of the service classes of RFC 4594 (figure 3). Routers may ignore or rewrite them.
fn code_point(service: NetworkServiceType) -> u8 {
    match service {
        // Standard: DF
        NetworkServiceType::Default => 0,
        // Low-priority data: CS1
        NetworkServiceType::Background => 8,
        // Low-latency data: AF21
        NetworkServiceType::ResponsiveData => 18,
        // Multimedia streaming: AF31
        NetworkServiceType::AvStreaming => 26,
        // Real-time interactive: CS4
        NetworkServiceType::ResponsiveAv => 32,
        // Multimedia conferencing: AF41
        NetworkServiceType::Video => 34,
        // Signalling: CS5
        NetworkServiceType::CallSignaling => 40,
        // Telephony: EF
        NetworkServiceType::Voice => 46,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_traffic_is_not_marked_and_every_other_type_has_a_mark_of_its_own() {
        use NetworkServiceType as Type;
        assert_eq!(traffic_class(Type::Default), 0);
        let mut marks = [
            Type::Background,
            Type::ResponsiveData,
            Type::AvStreaming,
            Type::ResponsiveAv,
            Type::Video,
            Type::CallSignaling,
            Type::Voice,
        ]
        .map(traffic_class)
        .to_vec();
        // Expedited forwarding (RFC 3246 §2.7) without congestion bits.
        assert_eq!(marks.last(), Some(&0b1011_1000));
        assert!(marks.iter().all(|mark| *mark != 0 && mark & 0b11 == 0));
        let count = marks.len();
        marks.sort_unstable();
        marks.dedup();
        assert_eq!(marks.len(), count);
    }
}
