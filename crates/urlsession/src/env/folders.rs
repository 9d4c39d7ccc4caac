//! `folders`: where this application's stores live on disk. This module creates no folder; each store creates its own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder for what must outlive a restart, such as cookies: `$XDG_DATA_HOME`, else `~/.local/share`
/// (XDG Base Directory Specification), `%LOCALAPPDATA%` or `~/Library/Application Support`; below it one of the
/// application's name. `None` if the user has no home.
pub(crate) fn data_folder() -> Option<PathBuf> {
    of_platform("XDG_DATA_HOME", ".local/share", "Library/Application Support")
}

/// The folder for what can be fetched again: `$XDG_CACHE_HOME`, else `~/.cache`, `%LOCALAPPDATA%` or
/// `~/Library/Caches`; below it one of the application's name, on Windows `Cache` in that, because both are below the same
/// folder there. `None` if the user has no home.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let folder = of_platform("XDG_CACHE_HOME", ".cache", "Library/Caches")?;
    Some(if cfg!(windows) { folder.join("Cache") } else { folder })
}

fn of_platform(xdg: &str, below_home: &str, on_apple: &str) -> Option<PathBuf> {
    let base = if cfg!(windows) {
        absolute(env::var_os("LOCALAPPDATA"))?
    } else if cfg!(target_vendor = "apple") {
        env::home_dir()?.join(on_apple)
    } else {
        // The specification: a relative path is ignored.
        absolute(env::var_os(xdg)).or_else(|| Some(env::home_dir()?.join(below_home)))?
    };
    Some(base.join("urlsession").join(application()))
}

fn absolute(path: Option<OsString>) -> Option<PathBuf> {
    path.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Processes of one executable's name share their stores; `URLSESSION_APPLICATION_ID` names another.
fn application() -> OsString {
    let named = env::var_os("URLSESSION_APPLICATION_ID").filter(is_a_folder_name);
    let executable = || Some(env::current_exe().ok()?.file_stem()?.to_owned());
    named.or_else(executable).unwrap_or_else(|| "application".into())
}

fn is_a_folder_name(name: &OsString) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_id_is_one_folder_and_leads_nowhere_else() {
        for (name, is_one) in
            [("com.example.app", true), ("", false), ("..", false), ("a/b", false), ("/etc", false)]
        {
            assert_eq!(is_a_folder_name(&name.into()), is_one, "{name:?}");
        }
        assert!(data_folder().unwrap().is_absolute());
        assert_ne!(data_folder(), cache_folder());
    }
}
