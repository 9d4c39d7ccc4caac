//! In the place of `disk` without the feature `persistent-stores`: types without values. Nothing is kept on disk.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::entry::{CacheEntry, Variant};
use super::memory::{DiskLookup, Found, Memory};

pub(super) enum DiskWorker {}

pub(super) enum DiskStore {}

impl DiskWorker {
    pub(super) fn new(_: PathBuf, _: u64, _: Arc<Mutex<Memory>>) -> Option<Self> {
        None
    }

    pub(super) fn capacity(&self) -> u64 {
        match *self {}
    }

    pub(super) fn set_capacity(&self, _: u64) {
        match *self {}
    }

    pub(super) fn look(&self, _: &str, _: impl Fn(&Variant) -> bool, _: i64) -> DiskLookup {
        match *self {}
    }

    pub(super) fn expect(&self, _: &str) {
        match *self {}
    }

    pub(super) fn new_body(&self) -> u64 {
        match *self {}
    }

    pub(super) fn run(&self, _: impl FnOnce(&mut DiskStore) + Send + 'static) {
        match *self {}
    }

    pub(super) fn run_if_there(&self, _: impl FnOnce(&mut DiskStore) + Send + 'static) {
        match *self {}
    }

    pub(super) async fn ask<T>(&self, _: impl FnOnce(&mut DiskStore) -> T + Send + 'static) -> Option<T> {
        match *self {}
    }
}

impl DiskStore {
    pub(super) fn find(&mut self, _: &str, _: &dyn Fn(&Variant) -> bool) -> Found {
        match *self {}
    }

    pub(super) fn put(&mut self, _: &CacheEntry, _: &Bytes) {
        match *self {}
    }

    pub(super) fn has_come(&self, _: &str) {
        match *self {}
    }

    pub(super) fn begin(&mut self, _: u64) {
        match *self {}
    }

    pub(super) fn append(&mut self, _: u64, _: &[u8]) {
        match *self {}
    }

    pub(super) fn abandon(&mut self, _: u64) {
        match *self {}
    }

    pub(super) fn commit(&mut self, _: u64, _: &CacheEntry) {
        match *self {}
    }

    pub(super) fn update(&mut self, _: &CacheEntry) {
        match *self {}
    }

    pub(super) fn remove(&mut self, _: &str) {
        match *self {}
    }

    pub(super) fn remove_variant(&mut self, _: &str, _: &Variant) {
        match *self {}
    }

    pub(super) fn remove_since(&mut self, _: i64) {
        match *self {}
    }

    pub(super) fn usage(&mut self) -> u64 {
        match *self {}
    }

    pub(super) fn clear(&mut self) {
        match *self {}
    }

    pub(super) fn flush(&mut self) {
        match *self {}
    }
}
