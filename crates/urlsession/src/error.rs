//! `UrlError`: what a load fails with. One pointer wide; code, phase and replay safety are data.
//!
//! The module makes no decisions: layers read the data and decide. Codes and numbers are those of Apple's *URLError.Code* page.

mod conversions;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use url::Url;
use urlsession_proto::scheme::Scheme;

/// The result of a load.
pub type Result<T, E = UrlError> = std::result::Result<T, E>;

/// Why a load failed.
///
/// Cheap to clone (one reference-counted pointer). [`Display`](fmt::Display) is one sentence that says
/// what failed, where and why; [`source`](StdError::source) leads to the cause. Apple: `URLError`.
#[derive(Clone)]
#[doc(alias = "URLError")]
#[doc(alias = "NSURLErrorDomain")]
pub struct UrlError(Arc<ErrorInner>);

#[derive(Clone)]
struct ErrorInner {
    code: UrlErrorCode,
    phase: Phase,
    replay: Replay,
    unavailable: Option<NetworkUnavailableReason>,
    url: Option<Url>,
    /// The zone of the URL's host.
    zone: Option<Box<str>>,
    detail: Cow<'static, str>,
    /// Values that the layers above attach, of types that this module does not know.
    attached: Vec<Arc<dyn Any + Send + Sync>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl UrlError {
    /// An error with this code that occurred in `phase`. `detail` describes the error: a clause without a final stop, such as
    /// `the server closed the connection`.
    #[doc(alias = "init(_:userInfo:)")]
    pub fn new(code: UrlErrorCode, phase: Phase, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Arc::new(ErrorInner {
            code,
            phase,
            replay: Replay::Unsafe,
            unavailable: None,
            url: None,
            zone: None,
            detail,
            attached: Vec::new(),
            source: None,
        }))
    }

    /// Apple's code.
    #[doc(alias = "errorCode")]
    pub fn code(&self) -> UrlErrorCode {
        self.0.code
    }

    /// The step of the load in which the error occurred.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// The URL of the load that failed; after redirects the URL that was being loaded.
    #[doc(alias = "failureURLString")]
    #[doc(alias = "failingURL")]
    pub fn failing_url(&self) -> Option<&Url> {
        self.0.url.as_ref()
    }

    /// The rule that forbids the only available networks, if that is why a load failed with
    /// [`NotConnectedToInternet`](UrlErrorCode::NotConnectedToInternet).
    #[doc(alias = "networkUnavailableReason")]
    pub fn network_unavailable_reason(&self) -> Option<NetworkUnavailableReason> {
        self.0.unavailable
    }

    /// True if the same request may succeed when it is tried again later, because the network failed and not the request.
    pub fn is_retriable(&self) -> bool {
        use UrlErrorCode as C;
        matches!(
            self.0.code,
            C::TimedOut
                | C::CannotFindHost
                | C::CannotConnectToHost
                | C::NetworkConnectionLost
                | C::NotConnectedToInternet
                | C::ZeroByteResource
                | C::SecureConnectionFailed
        )
    }

    /// What failed, without the URL.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(UrlErrorCode::Cancelled, Phase::Task, "cancelled")
    }

    /// Whether the owner has cancelled the load, or refused to continue it. Cancellations by the library, because the load was
    /// misused or code of the application failed, do not count.
    pub(crate) fn is_of_owner(&self) -> bool {
        self.0.code == UrlErrorCode::Cancelled && !self.is_of_misuse()
    }

    /// The detail alone states the misuse and its cause.
    fn is_of_misuse(&self) -> bool {
        self.0.code == UrlErrorCode::Cancelled && matches!(self.0.phase, Phase::Request | Phase::Delegate)
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.edit(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// Names the URL, unless an inner layer has already done so.
    pub(crate) fn with_url(self, url: &Url) -> Self {
        self.with_url_in(url, None)
    }

    /// As `with_url`, for a URL whose host is in a zone.
    pub(crate) fn with_url_in(self, url: &Url, zone: Option<&str>) -> Self {
        if self.0.url.is_some() {
            return self;
        }
        self.edit(|inner| (inner.url, inner.zone) = (Some(without_password(url)), zone.map(Into::into)))
    }

    pub(crate) fn with_replay(self, replay: Replay) -> Self {
        self.edit(|inner| inner.replay = replay)
    }

    pub(crate) fn with_unavailable(self, reason: NetworkUnavailableReason) -> Self {
        self.edit(|inner| inner.unavailable = Some(reason))
    }

    /// Keeps a value with the error. Of several values of one type the last one counts.
    pub(crate) fn attach(self, value: impl Any + Send + Sync) -> Self {
        self.edit(|inner| inner.attached.push(Arc::new(value)))
    }

    /// The value of this type that is kept with the error.
    pub(crate) fn attached<T: Any>(&self) -> Option<&T> {
        self.0.attached.iter().rev().find_map(|value| (**value).downcast_ref())
    }

    pub(crate) fn replay(&self) -> Replay {
        self.0.replay
    }

    fn edit(mut self, change: impl FnOnce(&mut ErrorInner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Secrets reach neither a message nor a file: the password of a URL's userinfo is removed, also from `user:password@host`,
/// which is a URL whose scheme is the user.
#[allow(clippy::disallowed_methods)] // what looks like a scheme may be a user
pub(crate) fn without_password(url: &Url) -> Url {
    if let Some((password, host)) = url.path().split_once('@')
        && url.cannot_be_a_base()
        && !password.contains(['/', ','])
        && url.scheme() != "mailto"
        && let Ok(shown) = Url::parse(&format!("{}:{host}", url.scheme()))
    {
        return shown;
    }
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for URLs that cannot have a password, which then have none.
        let _ = url.set_password(None);
    }
    url
}

/// A `data:` URL contains its own content, which may be long and private.
fn shown(url: &Url) -> &str {
    if Scheme::of(url) == Scheme::Data { "a data: URL" } else { url.as_str() }
}

/// Host, zone, port and path of a URL. Its query may be a secret, and is left out.
struct Location<'a>(&'a Url, Option<&'a str>);

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        match self.1 {
            None => f.write_str(host)?,
            Some(zone) => write!(f, "{}%{zone}]", host.trim_end_matches(']'))?,
        }
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        match self.0.path() {
            "/" => Ok(()),
            path if path.len() <= LONGEST_PATH => f.write_str(path),
            // Paths are ASCII: any length is one of characters.
            path => write!(f, "{}…", &path[..LONGEST_PATH]),
        }
    }
}

/// The longest path in a message, in bytes.
const LONGEST_PATH: usize = 200;

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorInner { code, phase, url, zone, detail, .. } = &*self.0;
        // The detail is the reason.
        let sentence = if *code == UrlErrorCode::Unknown { "the load failed" } else { code.sentence() };
        let number = code.number();
        // A file is on this machine, not at the URL.
        match url.as_ref().filter(|_| *phase != Phase::Disk) {
            Some(url) if url.has_host() => {
                write!(f, "{sentence} at {} ({number}): {detail}", Location(url, zone.as_deref()))
            }
            Some(url) => write!(f, "{sentence} for {} ({number}): {detail}", shown(url)),
            None if *code == UrlErrorCode::Unknown || self.is_of_misuse() => write!(f, "{detail} ({number})"),
            None => write!(f, "{sentence} ({number}): {detail}"),
        }
    }
}

impl fmt::Debug for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorInner { code, phase, replay, unavailable, url, zone, detail, attached: _, source } =
            &*self.0;
        f.debug_struct("UrlError")
            .field("code", code)
            .field("phase", phase)
            .field("replay", replay)
            .field("unavailable", unavailable)
            .field("url", &url.as_ref().map(shown))
            .field("zone", zone)
            .field("detail", detail)
            .field("source", source)
            .finish()
    }
}

impl StdError for UrlError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The step of a load in which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Before anything was tried: the request itself, or the session's state.
    Request,
    /// A rule of the session or the request forbids the load (App Transport Security, `allows_cellular_access` …).
    Policy,
    /// The task was cancelled or ran out of time.
    Task,
    /// Turning the host name into addresses.
    Dns,
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for, or reading, the response head.
    Head,
    /// Reading the response body.
    Body,
    /// Decoding the response body.
    Decode,
    /// Following a redirect.
    Redirect,
    /// A delegate of the application.
    Delegate,
    /// Reading or writing a file: a download, or a store such as that of cookies.
    Disk,
}

/// One word, lower case: `dns`, `connect`, `tls`, …
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Request => "request",
            Self::Policy => "policy",
            Self::Task => "task",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Head => "head",
            Self::Body => "body",
            Self::Decode => "decode",
            Self::Redirect => "redirect",
            Self::Delegate => "delegate",
            Self::Disk => "disk",
        })
    }
}

/// The rule that forbids the only available networks. Numbers are Apple's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLError.NetworkUnavailableReason")]
#[doc(alias = "NSURLErrorNetworkUnavailableReason")]
pub enum NetworkUnavailableReason {
    /// The networks are cellular, and `allows_cellular_access` is false.
    #[doc(alias = "cellular")]
    Cellular = 0,
    /// The networks are metered, and `allows_expensive_network_access` is false.
    #[doc(alias = "expensive")]
    Expensive = 1,
    /// The networks are in a mode that saves data, and `allows_constrained_network_access` is false.
    #[doc(alias = "constrained")]
    Constrained = 2,
    /// The networks are as slow as a satellite, and `allows_ultra_constrained_network_access` is false.
    #[doc(alias = "ultraConstrained")]
    UltraConstrained = 3,
}

/// Whether the request that failed may be sent again without the server seeing it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// The server may have processed it.
    Unsafe,
    /// A reused connection closed before any response byte: safe for idempotent methods (RFC 9110 §9.2.2).
    IfIdempotent,
    /// Provably not processed: no byte of it was written or acknowledged, GOAWAY below its stream, REFUSED_STREAM.
    Safe,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $apple:literal, $sentence:literal;)*) => {
        /// Apple's URL error codes, with Apple's [numbers](Self::number).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[doc(alias = "URLError.Code")]
        pub enum UrlErrorCode {
            $($(#[$doc])* #[doc(alias = $apple)] $name = $number,)*
        }

        impl UrlErrorCode {
            /// Every code, in the order of Apple's page.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Apple's constant, such as `NSURLErrorTimedOut`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $apple,)* }
            }

            /// What the code means, as the beginning of a sentence.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

codes! {
    /// The cause is not known. The library never produces this code: it is for errors of applications and their custom
    /// protocols.
    Unknown = -1, "NSURLErrorUnknown", "the load failed for an unknown reason";
    /// The task was cancelled: by its owner, by a delegate's answer, or by the library, because the task was misused or because
    /// code of the application panicked or gave no answer. If the library cancelled, [`UrlError::phase`] is [`Phase::Request`]
    /// or [`Phase::Delegate`].
    Cancelled = -999, "NSURLErrorCancelled", "the load was cancelled";
    /// A background session of an extension has no shared container.
    BackgroundSessionRequiresSharedContainer = -995, "NSURLErrorBackgroundSessionRequiresSharedContainer", "the background session needs a shared container";
    /// Another process uses the background session.
    BackgroundSessionInUseByAnotherProcess = -996, "NSURLErrorBackgroundSessionInUseByAnotherProcess", "the background session is in use by another process";
    /// The connection to the background daemon was lost.
    BackgroundSessionWasDisconnected = -997, "NSURLErrorBackgroundSessionWasDisconnected", "the background session was disconnected";
    /// The URL, or the request around it, is malformed.
    BadUrl = -1000, "NSURLErrorBadURL", "the request is malformed";
    /// No byte moved for the request's timeout, or the resource's timeout passed.
    TimedOut = -1001, "NSURLErrorTimedOut", "the load timed out";
    /// No protocol handles the URL's scheme.
    UnsupportedUrl = -1002, "NSURLErrorUnsupportedURL", "the URL is not supported";
    /// The host name has no address.
    CannotFindHost = -1003, "NSURLErrorCannotFindHost", "the host was not found";
    /// The host refused the connection or could not be reached.
    CannotConnectToHost = -1004, "NSURLErrorCannotConnectToHost", "could not connect to the host";
    /// The connection broke before the load was complete.
    NetworkConnectionLost = -1005, "NSURLErrorNetworkConnectionLost", "the connection was lost";
    /// No longer produced; see [`CannotFindHost`](Self::CannotFindHost).
    DnsLookupFailed = -1006, "NSURLErrorDNSLookupFailed", "the host name lookup failed";
    /// More redirects than allowed (16).
    HttpTooManyRedirects = -1007, "NSURLErrorHTTPTooManyRedirects", "too many HTTP redirects";
    /// The resource is not available.
    ResourceUnavailable = -1008, "NSURLErrorResourceUnavailable", "the resource is unavailable";
    /// There is no network.
    NotConnectedToInternet = -1009, "NSURLErrorNotConnectedToInternet", "there is no network connection";
    /// The `Location` of a redirect is not a URL. A redirect without `Location` is delivered as an ordinary response, although
    /// Apple's page names this code for it too: RFC 9110 §15.4 leaves the decision to the application, which has the response.
    RedirectToNonExistentLocation = -1010, "NSURLErrorRedirectToNonExistentLocation", "the redirect's Location is not a URL";
    /// The server broke the protocol.
    BadServerResponse = -1011, "NSURLErrorBadServerResponse", "the server's response is malformed";
    /// The user cancelled the authentication. The library never produces this code: as in Apple's sessions, a load whose
    /// challenge is cancelled fails with [`Cancelled`](Self::Cancelled).
    UserCancelledAuthentication = -1012, "NSURLErrorUserCancelledAuthentication", "the authentication was cancelled";
    /// Authentication is needed.
    UserAuthenticationRequired = -1013, "NSURLErrorUserAuthenticationRequired", "authentication is required";
    /// The server announced a body that is not empty, and closed the connection in order without sending any byte of it. Over
    /// HTTP/2, whose streams end separately, the code is [`BadServerResponse`](Self::BadServerResponse).
    ZeroByteResource = -1014, "NSURLErrorZeroByteResource", "the resource is empty";
    /// The coded body cannot be decoded.
    CannotDecodeRawData = -1015, "NSURLErrorCannotDecodeRawData", "the body could not be decoded";
    /// The coded body ends too early or its content coding is broken.
    CannotDecodeContentData = -1016, "NSURLErrorCannotDecodeContentData", "the coded content is broken";
    /// The response cannot be understood.
    CannotParseResponse = -1017, "NSURLErrorCannotParseResponse", "the response could not be parsed";
    /// The device is roaming and may not use data.
    InternationalRoamingOff = -1018, "NSURLErrorInternationalRoamingOff", "roaming is off";
    /// A call is in progress on a network that cannot do both.
    CallIsActive = -1019, "NSURLErrorCallIsActive", "a call is active";
    /// The network may not be used.
    DataNotAllowed = -1020, "NSURLErrorDataNotAllowed", "the network may not be used";
    /// The request's body stream cannot be sent again, or was not supplied.
    RequestBodyStreamExhausted = -1021, "NSURLErrorRequestBodyStreamExhausted", "the request body stream is exhausted";
    /// App Transport Security refuses cleartext.
    AppTransportSecurityRequiresSecureConnection = -1022, "NSURLErrorAppTransportSecurityRequiresSecureConnection", "App Transport Security requires a secure connection";
    /// The file is not there.
    FileDoesNotExist = -1100, "NSURLErrorFileDoesNotExist", "the file does not exist";
    /// The file is a directory.
    FileIsDirectory = -1101, "NSURLErrorFileIsDirectory", "the file is a directory";
    /// The file may not be read.
    NoPermissionsToReadFile = -1102, "NSURLErrorNoPermissionsToReadFile", "the file may not be read";
    /// A size limit was exceeded, or a GET request has a body.
    DataLengthExceedsMaximum = -1103, "NSURLErrorDataLengthExceedsMaximum", "resource exceeds maximum size";
    /// Never produced.
    FileOutsideSafeArea = -1104, "NSURLErrorFileOutsideSafeArea", "the file is outside the safe area";
    /// The TLS handshake failed.
    SecureConnectionFailed = -1200, "NSURLErrorSecureConnectionFailed", "no secure connection could be made";
    /// The server's certificate has expired.
    ServerCertificateHasBadDate = -1201, "NSURLErrorServerCertificateHasBadDate", "the server's certificate has expired";
    /// The server's certificate is self-signed, for another host, revoked or otherwise not trusted.
    ServerCertificateUntrusted = -1202, "NSURLErrorServerCertificateUntrusted", "the server's certificate is not trusted";
    /// The server's certificate was issued by an authority that is not trusted.
    ServerCertificateHasUnknownRoot = -1203, "NSURLErrorServerCertificateHasUnknownRoot", "the server's certificate has an unknown root";
    /// The server's certificate is not valid yet.
    ServerCertificateNotYetValid = -1204, "NSURLErrorServerCertificateNotYetValid", "the server's certificate is not yet valid";
    /// The server refused the client's certificate.
    ClientCertificateRejected = -1205, "NSURLErrorClientCertificateRejected", "the client certificate was rejected";
    /// The server wants a client certificate.
    ClientCertificateRequired = -1206, "NSURLErrorClientCertificateRequired", "a client certificate is required";
    /// The cache policy forbids a network load, and the cache has no response.
    CannotLoadFromNetwork = -2000, "NSURLErrorCannotLoadFromNetwork", "the network may not be used for this request";
    /// The file cannot be created.
    CannotCreateFile = -3000, "NSURLErrorCannotCreateFile", "the file could not be created";
    /// The file cannot be opened.
    CannotOpenFile = -3001, "NSURLErrorCannotOpenFile", "the file could not be opened";
    /// A download's file cannot be closed: its file system accepted the bytes and could not store them. NFS, SMB and FUSE
    /// report this only on closing. Earlier failures are [`CannotWriteToFile`](Self::CannotWriteToFile).
    CannotCloseFile = -3002, "NSURLErrorCannotCloseFile", "the file could not be closed";
    /// The file cannot be written.
    CannotWriteToFile = -3003, "NSURLErrorCannotWriteToFile", "the file could not be written";
    /// The file cannot be removed. The library never produces this code: a temporary file is removed after its load has ended
    /// or when its value is dropped, when no error can be reported, and a file that remains fails no load. Moving a download
    /// over a file that cannot be replaced fails with [`CannotMoveFile`](Self::CannotMoveFile).
    CannotRemoveFile = -3004, "NSURLErrorCannotRemoveFile", "the file could not be removed";
    /// The file cannot be moved.
    CannotMoveFile = -3005, "NSURLErrorCannotMoveFile", "the file could not be moved";
    /// A download's content coding broke in its middle.
    DownloadDecodingFailedMidStream = -3006, "NSURLErrorDownloadDecodingFailedMidStream", "decoding the download failed in its middle";
    /// A download's content coding broke at its end.
    DownloadDecodingFailedToComplete = -3007, "NSURLErrorDownloadDecodingFailedToComplete", "decoding the download failed at its end";
}

impl UrlErrorCode {
    /// Apple's number.
    #[doc(alias = "rawValue")]
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// A number that is not one of Apple's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownErrorCode(i32);

impl UnknownErrorCode {
    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for UnknownErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not the number of a URL error code; UrlErrorCode::ALL has all of them", self.0)
    }
}

impl StdError for UnknownErrorCode {}

/// The code with this number, which is Apple's.
impl TryFrom<i32> for UrlErrorCode {
    type Error = UnknownErrorCode;

    fn try_from(number: i32) -> Result<Self, UnknownErrorCode> {
        Self::ALL.iter().copied().find(|code| code.number() == number).ok_or(UnknownErrorCode(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number_and_no_other() {
        for code in UrlErrorCode::ALL {
            assert_eq!(UrlErrorCode::try_from(code.number()), Ok(*code));
        }
        for number in [0, 1, -2, i32::MIN, i32::MAX] {
            let error = UrlErrorCode::try_from(number).unwrap_err();
            assert_eq!(error.number(), number);
            assert!(error.to_string().starts_with(&number.to_string()), "{error}");
        }
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<UrlError>(), size_of::<usize>());
        assert_eq!(size_of::<Option<UrlError>>(), size_of::<usize>());
    }

    #[test]
    fn a_message_names_host_port_and_path_the_code_and_the_cause_but_no_secret() {
        let url: Url = "https://me:secret@example.com/x".parse().unwrap();
        let error = UrlError::new(UrlErrorCode::TimedOut, Phase::Head, "no byte for 60 s").with_url(&url);
        assert_eq!(error.to_string(), "the load timed out at example.com/x (-1001): no byte for 60 s");
        let at = |url: &str, code, phase| {
            UrlError::new(code, phase, "why").with_url(&url.parse().unwrap()).to_string()
        };
        use UrlErrorCode as C;
        for (url, code, phase, expected) in [
            ("http://a:8080/", C::TimedOut, Phase::Head, "the load timed out at a:8080 (-1001): why"),
            (
                "http://[::1]:1/a/b?token=s#f",
                C::TimedOut,
                Phase::Head,
                "the load timed out at [::1]:1/a/b (-1001): why",
            ),
            ("http://a:80/b", C::Unknown, Phase::Delegate, "the load failed at a/b (-1): why"),
            ("http://a/b", C::CannotWriteToFile, Phase::Disk, "the file could not be written (-3003): why"),
            ("made:up", C::TimedOut, Phase::Head, "the load timed out for made:up (-1001): why"),
        ] {
            assert_eq!(at(url, code, phase), expected);
        }
        let long = at(&format!("http://a/{}", "é".repeat(1000)), C::TimedOut, Phase::Head);
        assert!(long.len() < 300 && long.contains('…'), "{long}");
        let late = UrlError::new(C::Unknown, Phase::Request, "the delegate cannot be set after `resume()`");
        assert_eq!(late.to_string(), "the delegate cannot be set after `resume()` (-1)");
        assert!(!format!("{error:?}").contains("secret"));
        assert!(!error.failing_url().unwrap().as_str().contains("secret"));
    }

    #[test]
    fn a_url_without_its_password_keeps_all_else() {
        for (url, expected) in [
            ("https://me:s3cret@a:1/b?c#d", "https://me@a:1/b?c#d"),
            ("https://:s3cret@a/", "https://a/"),
            ("https://me@a/", "https://me@a/"),
            ("data:,me:s3cret@a", "data:,me:s3cret@a"),
            ("me:s3cret@a/b", "me:a/b"),
            ("mailto:me@a", "mailto:me@a"),
            ("urn:a/b@c", "urn:a/b@c"),
        ] {
            assert_eq!(without_password(&url.parse().unwrap()).as_str(), expected);
        }
    }

    #[test]
    fn codes_have_apples_names_and_phases_one_word() {
        assert_eq!(UrlErrorCode::TimedOut.name(), "NSURLErrorTimedOut");
        assert!(UrlErrorCode::ALL.iter().all(|code| code.name().starts_with("NSURLError")));
        assert_eq!(format!("{:>8}|{}", Phase::Dns, Phase::Decode), "     dns|decode");
    }

    #[test]
    fn the_first_url_named_is_kept() {
        let (first, second) = ("http://a/".parse().unwrap(), "http://b/".parse().unwrap());
        let error = UrlError::cancelled().with_url(&first).with_url(&second);
        assert_eq!(error.failing_url(), Some(&first));
    }
}
