//! The platform calls of Negotiate: `libgssapi_krb5.so.2`, loaded on first use and never unloaded.
//!
//! The C bindings of GSSAPI (RFC 2744), the mechanism SPNEGO (RFC 4178) limited to Kerberos (RFC 4121), and Kerberos alone
//! where a library has no SPNEGO. Every pointer of the library stays in this file; what it gives is copied, bounded, and released.

#![allow(unsafe_code)] // the calls, each with its proof

use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use libloading::Library;

use super::{Gssapi, GssapiContext, GssapiStep, GssapiUser, SystemGssapi};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

impl Gssapi for SystemGssapi {
    fn find(&self) -> Result<()> {
        find()
    }

    fn begin(&self, host: &str, user: Option<GssapiUser<'_>>) -> Result<Box<dyn GssapiContext>> {
        begin(host, user)
    }
}

/// Checks that the library is there.
fn find() -> Result<()> {
    calls().map(drop)
}

fn begin(host: &str, user: Option<GssapiUser<'_>>) -> Result<Box<dyn GssapiContext>> {
    let calls = calls()?;
    let service = Name::import(calls, &format!("HTTP@{host}"), &HOSTBASED_SERVICE)?;
    let user = match user {
        None => None,
        Some(user) => {
            let name = Name::import(calls, user.name, &USER_NAME)?;
            Some((name, zeroize::Zeroizing::new(user.password.to_owned())))
        }
    };
    let mut context =
        Context { calls, service, user, credential: null_mut(), handle: null_mut(), mechanism: &SPNEGO };
    context.acquire_any()?;
    Ok(Box::new(context))
}

struct Context {
    calls: &'static Calls,
    service: Name,
    user: Option<(Name, zeroize::Zeroizing<String>)>,
    /// Null: whatever this process has of Kerberos.
    credential: Handle,
    /// Null until the first step.
    handle: Handle,
    mechanism: &'static Oid,
}

// SAFETY: the handles are of a library whose calls may come from any thread, as long as no two use one context at the same
// time (MIT Kerberos, *Thread safety*). They are owned by this value, and every use of it is by `&mut`.
unsafe impl Send for Context {}

impl Context {
    /// Gets credentials for SPNEGO, or for Kerberos where the library has no SPNEGO.
    fn acquire_any(&mut self) -> Result<()> {
        let mut acquired = self.acquire();
        if let Err((BAD_MECHANISM, _)) = acquired
            && self.mechanism == &SPNEGO
        {
            self.release();
            self.mechanism = &KERBEROS;
            acquired = self.acquire();
        }
        acquired.map_err(|(major, minor)| self.calls.error(major, minor, self.mechanism))
    }

    /// Gets credentials: of the user with the password, else whatever this process has. Those of SPNEGO negotiate Kerberos
    /// only: another mechanism that is installed (NTLM) may prove a password to a server that is not who it says it is.
    fn acquire(&mut self) -> Result<(), (u32, u32)> {
        match &self.user {
            Some(_) => self.acquire_with_password()?,
            None if self.mechanism == &SPNEGO => self.acquire_default()?,
            None => return Ok(()),
        }
        if self.mechanism != &SPNEGO {
            return Ok(());
        }
        let mechanisms = OidSet { count: 1, elements: &raw const KERBEROS };
        let mut minor = 0;
        // SAFETY: `credential` is live; `mechanisms` outlives the call, which copies it.
        let major =
            unsafe { (self.calls.set_neg_mechs)(&raw mut minor, self.credential, &raw const mechanisms) };
        if is_error(major) { Err((major, minor)) } else { Ok(()) }
    }

    fn acquire_default(&mut self) -> Result<(), (u32, u32)> {
        let mechanisms = OidSet { count: 1, elements: self.mechanism };
        let mut minor = 0;
        // SAFETY: a null name is the default one; `mechanisms` outlives the call, which only reads it; `credential` is null
        // and takes the new credential. Null is allowed for what is not asked for.
        let major = unsafe {
            (self.calls.acquire_cred)(
                &raw mut minor,
                null_mut(),
                INDEFINITE,
                &raw const mechanisms,
                INITIATE,
                &raw mut self.credential,
                null_mut(),
                null_mut(),
            )
        };
        if is_error(major) { Err((major, minor)) } else { Ok(()) }
    }

    fn acquire_with_password(&mut self) -> Result<(), (u32, u32)> {
        let Some((name, password)) = &self.user else { return Ok(()) };
        let password = Buffer::of(password.as_bytes());
        let mechanisms = OidSet { count: 1, elements: self.mechanism };
        let mut minor = 0;
        // SAFETY: `name` is a live name of the library; `password` and `mechanisms` outlive the call, which only reads
        // them; `credential` is null and takes the new credential. Null is allowed for what is not asked for.
        let major = unsafe {
            (self.calls.acquire_cred_with_password)(
                &raw mut minor,
                name.handle,
                &raw const password,
                INDEFINITE,
                &raw const mechanisms,
                INITIATE,
                &raw mut self.credential,
                null_mut(),
                null_mut(),
            )
        };
        if is_error(major) { Err((major, minor)) } else { Ok(()) }
    }

    fn call(&mut self, heard: Option<&[u8]>) -> Result<GssapiStep, (u32, u32)> {
        let input = Buffer::of(heard.unwrap_or_default());
        let mut output = Output { calls: self.calls, buffer: Buffer::of(&[]) };
        let mut minor = 0;
        // SAFETY: `credential` is null or a live credential, `service` a live name, `handle` null or the context of an
        // earlier step. `input` outlives the call, which only reads it; a null input is "nothing heard". The library
        // writes a new buffer into `output`, which releases it. Null is allowed for channel bindings (none) and for what
        // is not asked for.
        let major = unsafe {
            (self.calls.init_sec_context)(
                &raw mut minor,
                self.credential,
                &raw mut self.handle,
                self.service.handle,
                self.mechanism,
                MUTUAL,
                0,
                null(),
                if heard.is_some() { &raw const input } else { null() },
                null_mut(),
                &raw mut output.buffer,
                null_mut(),
                null_mut(),
            )
        };
        if is_error(major) {
            return Err((major, minor));
        }
        // Too long for any server's fields.
        let token = output.bytes(MOST_TOKEN).ok_or((FAILURE, 0))?;
        Ok(GssapiStep { token, is_done: major & CONTINUE_NEEDED == 0 })
    }
}

impl GssapiContext for Context {
    fn step(&mut self, heard: Option<&[u8]>) -> Result<GssapiStep> {
        let mut result = self.call(heard);
        if let Err((BAD_MECHANISM, _)) = result
            && heard.is_none()
            && self.mechanism == &SPNEGO
        {
            self.mechanism = &KERBEROS;
            self.release();
            self.acquire_any()?;
            result = self.call(heard);
        }
        result.map_err(|(major, minor)| self.calls.error(major, minor, self.mechanism))
    }
}

impl Context {
    fn release(&mut self) {
        let mut minor = 0;
        // SAFETY: each handle is null or live; the calls accept null, and set to null what they release.
        unsafe {
            (self.calls.delete_sec_context)(&raw mut minor, &raw mut self.handle, null_mut());
            (self.calls.release_cred)(&raw mut minor, &raw mut self.credential);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.release();
    }
}

/// A name of the library's.
struct Name {
    calls: &'static Calls,
    handle: Handle,
}

impl Name {
    fn import(calls: &'static Calls, text: &str, kind: &'static Oid) -> Result<Self> {
        let buffer = Buffer::of(text.as_bytes());
        let (mut minor, mut handle) = (0, null_mut());
        // SAFETY: `buffer` outlives the call, which only reads it; `kind` is static; `handle` takes the new name.
        let major = unsafe { (calls.import_name)(&raw mut minor, &raw const buffer, kind, &raw mut handle) };
        let name = Self { calls, handle };
        calls.check(major, minor, &KERBEROS)?;
        Ok(name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: the handle is null or a live name, and nobody uses it after this.
        unsafe { (self.calls.release_name)(&mut 0, &raw mut self.handle) };
    }
}

/// A buffer that the library fills and we release.
struct Output {
    calls: &'static Calls,
    buffer: Buffer,
}

impl Output {
    /// A copy; `None` if it is longer than `most`.
    fn bytes(&self, most: usize) -> Option<Vec<u8>> {
        let Buffer { length, value } = self.buffer;
        if length == 0 || value.is_null() {
            return Some(Vec::new());
        }
        if length > most {
            return None;
        }
        // SAFETY: the library says that `length` bytes are at `value`, which is not null, and they live until the buffer is
        // released, in `drop`.
        Some(unsafe { std::slice::from_raw_parts(value.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the buffer is empty (which is allowed, and nothing is freed) or was filled by the library; it starts empty,
        // with a length of 0.
        if self.buffer.length > 0 {
            unsafe { (self.calls.release_buffer)(&mut 0, &raw mut self.buffer) };
        }
    }
}

impl Calls {
    fn load() -> std::result::Result<Self, libloading::Error> {
        // SAFETY: the constructors of this library prepare locks and tables of its own, and do nothing to the process; it
        // is what the system offers under the name and version of the ABI declared below. Each symbol has the type of its
        // C declaration (RFC 2744 and gssapi_ext.h). The library is never unloaded, so the pointers stay good.
        unsafe {
            let library = Library::new(LIBRARY)?;
            let calls = Self {
                import_name: *library.get(c"gss_import_name")?,
                release_name: *library.get(c"gss_release_name")?,
                acquire_cred: *library.get(c"gss_acquire_cred")?,
                acquire_cred_with_password: *library.get(c"gss_acquire_cred_with_password")?,
                set_neg_mechs: *library.get(c"gss_set_neg_mechs")?,
                release_cred: *library.get(c"gss_release_cred")?,
                init_sec_context: *library.get(c"gss_init_sec_context")?,
                delete_sec_context: *library.get(c"gss_delete_sec_context")?,
                release_buffer: *library.get(c"gss_release_buffer")?,
                display_status: *library.get(c"gss_display_status")?,
            };
            std::mem::forget(library);
            Ok(calls)
        }
    }

    /// Ok if the call succeeded.
    fn check(&'static self, major: u32, minor: u32, mechanism: &'static Oid) -> Result<()> {
        if is_error(major) { Err(self.error(major, minor, mechanism)) } else { Ok(()) }
    }

    fn error(&'static self, major: u32, minor: u32, mechanism: &'static Oid) -> UrlError {
        let mut parts = Vec::new();
        for (status, kind) in [(major, GSS_CODE), (minor, MECHANISM_CODE)] {
            let text = if status == 0 { String::new() } else { self.text(status, kind, mechanism) };
            if !text.is_empty() && !parts.contains(&text) {
                parts.push(text);
            }
        }
        failure(parts.join(": "))
    }

    fn text(&'static self, status: u32, kind: i32, mechanism: &'static Oid) -> String {
        let mut lines = Vec::new();
        let (mut more, mut minor) = (0, 0);
        for _ in 0..MOST_LINES {
            let mut output = Output { calls: self, buffer: Buffer::of(&[]) };
            // SAFETY: `more` is the library's place in a text of several lines, at first 0; it writes a new buffer into
            // `output`, which releases it; `mechanism` is static.
            let major = unsafe {
                (self.display_status)(
                    &raw mut minor,
                    status,
                    kind,
                    mechanism,
                    &raw mut more,
                    &raw mut output.buffer,
                )
            };
            if is_error(major) {
                break;
            }
            let line = output.bytes(MOST_TEXT).unwrap_or_default();
            lines.push(String::from_utf8_lossy(&line).trim_end_matches('.').to_owned());
            if more == 0 {
                break;
            }
        }
        lines.join(", ")
    }
}

fn calls() -> Result<&'static Calls> {
    static CALLS: OnceLock<std::result::Result<Calls, String>> = OnceLock::new();
    let loaded = CALLS.get_or_init(|| Calls::load().map_err(|error| error.to_string()));
    loaded.as_ref().map_err(|error| failure(format!("Kerberos is not installed: {error}")))
}

fn failure(detail: impl Into<String>) -> UrlError {
    UrlError::new(UrlErrorCode::UserAuthenticationRequired, Phase::Request, detail.into())
}

/// RFC 2744 §3.9.1: errors stand in the upper half.
fn is_error(major: u32) -> bool {
    major & 0xffff_0000 != 0
}

/// The functions, with `gss_` before their names.
struct Calls {
    import_name: unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32,
    release_name: unsafe extern "C" fn(*mut u32, *mut Handle) -> u32,
    #[allow(clippy::type_complexity)] // as declared in C
    acquire_cred: unsafe extern "C" fn(
        *mut u32,
        Handle,
        u32,
        *const OidSet,
        i32,
        *mut Handle,
        *mut c_void,
        *mut u32,
    ) -> u32,
    #[allow(clippy::type_complexity)] // as declared in C
    acquire_cred_with_password: unsafe extern "C" fn(
        *mut u32,
        Handle,
        *const Buffer,
        u32,
        *const OidSet,
        i32,
        *mut Handle,
        *mut c_void,
        *mut u32,
    ) -> u32,
    set_neg_mechs: unsafe extern "C" fn(*mut u32, Handle, *const OidSet) -> u32,
    release_cred: unsafe extern "C" fn(*mut u32, *mut Handle) -> u32,
    #[allow(clippy::type_complexity)] // as declared in C
    init_sec_context: unsafe extern "C" fn(
        *mut u32,
        Handle,
        *mut Handle,
        Handle,
        *const Oid,
        u32,
        u32,
        *const c_void,
        *const Buffer,
        *mut c_void,
        *mut Buffer,
        *mut u32,
        *mut u32,
    ) -> u32,
    delete_sec_context: unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32,
    release_buffer: unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32,
    display_status: unsafe extern "C" fn(*mut u32, u32, i32, *const Oid, *mut u32, *mut Buffer) -> u32,
}

type Handle = *mut c_void;

/// `gss_buffer_desc`.
#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

impl Buffer {
    /// For reading only; empty without bytes.
    fn of(bytes: &[u8]) -> Self {
        let value = if bytes.is_empty() { null_mut() } else { bytes.as_ptr().cast_mut().cast() };
        Self { length: bytes.len(), value }
    }
}

/// `gss_OID_desc`.
#[repr(C)]
struct Oid {
    length: u32,
    elements: *const u8,
}

// SAFETY: it points to static bytes that nobody writes.
unsafe impl Sync for Oid {}

impl PartialEq for Oid {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.elements, other.elements)
    }
}

impl Oid {
    const fn of(der: &'static [u8]) -> Self {
        Self { length: der.len() as u32, elements: der.as_ptr() }
    }
}

/// `gss_OID_set_desc`.
#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

const LIBRARY: &str = "libgssapi_krb5.so.2";

/// 1.3.6.1.5.5.2 (RFC 4178).
static SPNEGO: Oid = Oid::of(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02]);
/// 1.2.840.113554.1.2.2 (RFC 4121).
static KERBEROS: Oid = Oid::of(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02]);
/// 1.2.840.113554.1.2.1.4 (RFC 2743 §4.1).
static HOSTBASED_SERVICE: Oid = Oid::of(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x01, 0x04]);
/// 1.2.840.113554.1.2.1.1 (RFC 2743 §4.2).
static USER_NAME: Oid = Oid::of(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x01, 0x01]);

// RFC 2744, appendix A.
const MUTUAL: u32 = 2;
const INITIATE: i32 = 1;
const INDEFINITE: u32 = u32::MAX;
const CONTINUE_NEEDED: u32 = 1;
const BAD_MECHANISM: u32 = 1 << 16;
const FAILURE: u32 = 13 << 16;
const GSS_CODE: i32 = 1;
const MECHANISM_CODE: i32 = 2;

/// As base64 it still fits into the longest field that any challenge is read from.
const MOST_TOKEN: usize = 48 * 1024;
const MOST_TEXT: usize = 4096;
const MOST_LINES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the library is installed it answers; where it is not, the error says so.
    #[test]
    fn without_a_ticket_the_reason_is_told_in_words() {
        let result = begin("no-such-host.invalid", None).and_then(|mut context| context.step(None).map(drop));
        let error = result.unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::UserAuthenticationRequired);
        assert!(error.to_string().len() > 40, "{error}");
    }

    #[test]
    fn a_name_and_a_buffer_survive_being_made_and_dropped() {
        let Ok(calls) = calls() else { return };
        for host in ["localhost", "", "a b\0c"] {
            drop(Name::import(calls, &format!("HTTP@{host}"), &HOSTBASED_SERVICE));
        }
        let text = calls.text(BAD_MECHANISM, GSS_CODE, &SPNEGO);
        assert!(text.contains("mechanism"), "{text}");
        assert!(!is_error(CONTINUE_NEEDED) && is_error(BAD_MECHANISM));
    }
}
