//! Grammar and state machines of the protocols a URL session speaks: no IO, no clock, no async.
