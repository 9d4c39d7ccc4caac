//! `setters!`: the chainable setters of public fields.
//!
//! A struct that will grow is `#[non_exhaustive]`: an application makes a value by a constructor and the setters, which have
//! the names of the fields. `tests/setters.rs` fails if a public field of such a struct has none.

/// One chainable setter for each field named. The word before the type says what the setter takes:
///
/// | word | the field | the setter takes |
/// |---|---|---|
/// | `value T` | `T` | `T` |
/// | `into T` | `T` | what becomes one |
/// | `option T` | `Option<T>` | a `T` or an `Option<T>` |
/// | `list T` | `Vec<T>` | an iterator of `T` |
/// | `list_into T` | `Vec<T>` | an iterator of what becomes one |
macro_rules! setters {
    (impl $of:ident { $($field:ident: $kind:ident $type:ty,)* }) => {
        impl $of {
            $(setters!(@$kind $of $field $type);)*
        }
    };
    (@value $of:ident $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@", stringify!($of), "::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    };
    (@into $of:ident $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@", stringify!($of), "::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            self.$field = $field.into();
            self
        }
    };
    (@option $of:ident $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@", stringify!($of), "::", stringify!($field), "), to a value or an `Option`.")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<Option<$type>>) -> Self {
            self.$field = $field.into();
            self
        }
    };
    (@list $of:ident $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@", stringify!($of), "::", stringify!($field), "), in place of what was there.")]
        #[must_use]
        pub fn $field(mut self, $field: impl IntoIterator<Item = $type>) -> Self {
            self.$field = $field.into_iter().collect();
            self
        }
    };
    (@list_into $of:ident $field:ident $type:ty) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@", stringify!($of), "::", stringify!($field), "), in place of what was there.")]
        #[must_use]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl Into<$type>>) -> Self {
            self.$field = $field.into_iter().map(Into::into).collect();
            self
        }
    };
}
