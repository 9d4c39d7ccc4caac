//! The authentication room over a scripted room.
