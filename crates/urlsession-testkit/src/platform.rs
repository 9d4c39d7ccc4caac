//! What the platform under the tests does wrong. It decides nothing: a test says what it expects there, and why.

use std::path::Path;
use std::sync::LazyLock;

/// Whether the tests run under Wine, which always has its own `winecfg.exe` among the programs of the system. False on
/// Windows itself and everywhere else.
pub fn is_wine() -> bool {
    static IS_WINE: LazyLock<bool> =
        LazyLock::new(|| cfg!(windows) && Path::new(r"C:\windows\system32\winecfg.exe").exists());
    *IS_WINE
}
