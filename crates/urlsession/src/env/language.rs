//! The user's languages, from the process's environment (POSIX locale names, GNU `LANGUAGE` list).

/// Language tags (RFC 5646), best first; empty for the `C` locale.
pub(crate) fn preferred_languages() -> Vec<String> {
    let first = |names: &[&str]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let locale = first(&["LC_ALL", "LC_MESSAGES", "LANG"]).unwrap_or_default();
    let list = first(&["LANGUAGE"]).unwrap_or_default();
    tags(&list, &locale)
}

fn tags(list: &str, locale: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    // GNU gettext ignores LANGUAGE in the C locale.
    let list = if tag(locale).is_some() { list } else { "" };
    for tag in list.split(':').chain([locale]).filter_map(tag) {
        let primary = tag.split('-').next().map(str::to_owned);
        for tag in [Some(tag.clone()), primary.filter(|primary| *primary != tag)].into_iter().flatten() {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    tags
}

/// `de_AT.UTF-8@euro` is `de-AT`.
fn tag(locale: &str) -> Option<String> {
    let name = locale.split(['.', '@']).next().unwrap_or_default();
    let is_tag = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    (!name.is_empty() && name != "C" && name != "POSIX" && is_tag).then(|| name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::tags;

    #[test]
    fn locales_become_language_tags() {
        assert_eq!(tags("", "de_AT.UTF-8@euro"), ["de-AT", "de"]);
        assert_eq!(tags("fr:en_GB", "de_DE.UTF-8"), ["fr", "en-GB", "en", "de-DE", "de"]);
        assert!(tags("fr", "C.UTF-8").is_empty());
        assert!(tags("", "x\r\nEvil: 1").is_empty());
    }
}
