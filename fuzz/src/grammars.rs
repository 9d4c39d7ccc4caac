//! The grammars, what valid input of each looks like, and what must be true of any answer.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use urlsession_proto::auth::challenge::challenges;
use urlsession_proto::auth::digest::{AuthenticationInfo, DigestChallenge, DigestRequest, DigestSession};
use urlsession_proto::auth::ntlm::{self, NtlmChallenge, NtlmUser};
use urlsession_proto::auth::{base64, basic};
use urlsession_proto::clusters::ClusterSplitter;
use urlsession_proto::http1::{
    BodyDecoder, Framing, HeadLimits, HeadScanner, keep_alive, parse_response, response_framing,
};
use urlsession_proto::lines::LineSplitter;
use urlsession_proto::multipart::{MultipartSplitter, Piece};
use urlsession_proto::resumable_upload::{Dialect, Next, Problem, Reply, UploadFields, next};
use urlsession_proto::utf8::Utf8Decoder;
use urlsession_proto::{
    caching, coding, cookie, data_url, date, digest_fields, disposition, field, hsts, method, mime, range,
};

use crate::coded::coded_body;

pub(crate) struct Grammar {
    pub(crate) name: &'static str,
    pub(crate) corpus: &'static [&'static [u8]],
    /// How many bytes may come out for each that goes in.
    pub(crate) growth: usize,
    pub(crate) read: fn(&[u8]) -> Told,
}

/// An answer: how much there is of it, and what it looks like.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) bytes: usize,
    pub(crate) shape: u64,
}

impl Told {
    pub(crate) fn new(bytes: usize, shape: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        // Lengths by their power of two: not every one is a new answer.
        (bytes.checked_ilog2(), shape).hash(&mut hasher);
        Self { bytes, shape: hasher.finish() }
    }
}

pub(crate) const GRAMMARS: &[Grammar] = &[
    Grammar {
        name: "cookie",
        growth: 4,
        read: cookies,
        corpus: &[
            b"id=a3fWa; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=2592000; Secure; HttpOnly; SameSite=Strict",
            b"__Host-id=\"1\"; Domain=.Example.COM; Path=/a/b; Partitioned; samesite=lax",
            b"a=1; Expires=Sun, 16-Aug-2025 22:39:54 GMT, b = 2; Comment=x; Port=\"80,443\"; Version=1; Discard",
            b"=nameless; Path=x; Max-Age=-99999999999999999999; Domain=; =; ;;",
            b"n\xe9=\xff\xe9; Path=/\xe9; Domain=\xe9.example",
        ],
    },
    Grammar {
        name: "cookie-file",
        growth: 4,
        read: cookie_file,
        corpus: &[
            b"# Netscape HTTP Cookie File\n\n.example.com\tTRUE\t/\tFALSE\t2147483647\tname\tvalue\n",
            b"#HttpOnly_.example.com\tTRUE\t/\tFALSE\t2147483647\tname\tvalue\nlocalhost\tFALSE\t/x\tTRUE\t0\ta\tb",
            b"example.com\tFALSE\t/\tTRUE\t1735689600.25\t__Host-id\t\xe9\xff\r\n[::1]\tFALSE\t/\tFALSE\t\t\tnameless\r\n",
            b"127.0.0.1\tfalse\t/a;b\tFALSE\t-1e9\ta=b\tc; d\te\nbad.example\tTRUE\t/\tFALSE\t5\tname",
        ],
    },
    Grammar {
        name: "cache-control",
        growth: 4,
        read: cache_control,
        corpus: &[
            b"max-age=60, private=\"a, b\", stale-while-revalidate=5, stale-if-error=9",
            b"no-cache=\"set-cookie\", must-revalidate, immutable, max-age=\"4294967296\"",
            b"no-store, must-understand, public, s-maxage=1, only-if-cached, max-stale, min-fresh=3",
        ],
    },
    Grammar {
        name: "challenge",
        growth: 32,
        read: challenge,
        corpus: &[
            b"Digest realm=\"a, b\", qop=\"auth,auth-int\", nonce=x, algorithm=SHA-256, userhash=true, stale=TRUE",
            b"NTLM TlRMTVNTUAAC=, Digest realm=\"a \\\" b\", nonce=x, algorithm=MD5-sess, domain=\"/a /b\", Basic realm=u",
            b"Basic realm=\"x\", charset=\"UTF-8\", Bearer, Negotiate",
            b"rspauth=\"0123\", cnonce=\"c\", nc=00000001, qop=auth, nextnonce=\"n\"",
        ],
    },
    Grammar {
        name: "resumable-upload",
        growth: 1,
        read: resumable_upload,
        corpus: &[
            b"?0\n100\n500\nmax-size=1000, min-size=1, max-append-size=50, min-append-size=20, max-age=3600\n8",
            b"?1;x=y\n999999999999999\n7\nexpires=1, unknown=(a b), other=?1, max-size=1000000000000000\n6",
            b"{\"type\":\"https://iana.org/assignments/http-problem-types#mismatching-upload-offset\",\"expected-offset\":1}",
        ],
    },
    Grammar {
        name: "hsts",
        growth: 1,
        read: transport_security,
        corpus: &[
            b"max-age=31536000; includeSubDomains; preload",
            b" ; MAX-AGE = \"600\" ;x=\"a;\\\" b\";y=z",
            b"includesubdomains;max-age=99999999999999999999",
        ],
    },
    Grammar {
        name: "http1-head",
        growth: 4,
        read: head,
        corpus: &[
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.0 404 Not Found\nConnection: keep-alive\nKeep-Alive: timeout=5, max=10\n\n",
            b"\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n",
            b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nX-Folded: a\r\n b\r\n\tc\r\nX-Empty:\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
            b"HTTP/1.1 200 OK\r\n X: 0\r\nA : b\r\nno colon\r\n c\r\nB: \x7fc\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length : 9\r\nTransfer-Encoding: identity\x0b\r\nA B: c\r\n\r\n",
        ],
    },
    Grammar {
        name: "http1-chunked",
        growth: 1,
        read: chunked,
        corpus: &[
            b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
            b"00a;name=value;quoted=\"a;b\"\r\n0123456789\r\n0;last\r\n\r\n",
            b"1\r\nx\r\n0\r\nX-Sum: abc\r\nContent-Length: 3\r\n\r\n",
            b"1\r\nx\r\n0\r\nX-Sum : a\x7fc\r\nno colon\r\nB: c\r\n d\r\n\r\n",
            b"7fffffffffffffff\r\nendless",
        ],
    },
    Grammar {
        name: "multipart",
        growth: 4,
        read: multipart,
        corpus: &[
            b"preamble\r\n--b\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\nepilogue",
            b"--b\nX: y\n\n-\n--\n--bb\n--b  \n\n\r\n--b-\r\n--b--",
        ],
    },
    Grammar {
        name: "media-type",
        growth: 4,
        read: media_type,
        corpus: &[
            b"text/HTML; charset=\"ISO-8859-4\"; boundary=\"a\\\"b;c\"",
            b"multipart/x-mixed-replace;boundary=b",
            b"application/vnd.a+json ; charset = utf-8",
        ],
    },
    Grammar {
        name: "disposition",
        growth: 2,
        read: file_name,
        corpus: &[
            b"attachment; filename=\"fname.ext\"; filename*=UTF-8''na%C3%AFve%2f..%5c.txt",
            b"aa=bb\\; filename=\"wrong.ext\"; filename=\"fname.ext\"; cc=dd",
            b"filename=\"../..\\\\CON.txt . . \xe2\x80\xae\"",
        ],
    },
    Grammar {
        name: "date",
        growth: 8,
        read: dates,
        corpus: &[
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
        ],
    },
    Grammar {
        name: "data-url",
        growth: 4,
        read: data,
        corpus: &[
            b"data:text/plain;charset=utf-8;base64,aGVsbG8=",
            b"data:,hello%20world#fragment",
            b"data:;charset=\"x\",\xc3\xa9",
        ],
    },
    Grammar {
        name: "fields",
        growth: 16,
        read: fields,
        corpus: &[
            b"timeout=5, max=100, close, keep-alive",
            b"gzip, x-gzip, deflate, br, zstd, identity",
            b"chunked, gzip;q=0.5, identity",
            b"42, 042, 18446744073709551615",
            b"Accept, Accept-Language, *",
            b"conTent-lenGTH",
        ],
    },
    Grammar {
        name: "range",
        growth: 4,
        read: ranges,
        corpus: &[
            b"bytes 500-999/1000",
            b"bytes */1000",
            b"bytes 0-18446744073709551614/*",
            b"\"strong\"",
            b"Sun, 06 Nov 1994 08:49:37 GMT",
        ],
    },
    Grammar {
        name: "digest-fields",
        growth: 1,
        read: digests,
        corpus: &[
            b"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, md5=:AAAA:;x=1, a=(1 2)",
            b"sha-512=3, sha-256=10, unixsum=0",
        ],
    },
    Grammar {
        name: "ntlm",
        growth: 8,
        read: ntlm_challenge,
        corpus: &[
            b"NTLMSSP\0\x02\0\0\0\x04\0\x04\0\x38\0\0\0\x05\x82\x8a\xa2\x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\0\0\0\0\0\
              \x10\0\x10\0\x3c\0\0\0\x06\x01\xb0\x1d\0\0\0\x0fD\0O\0\x07\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ],
    },
    Grammar {
        name: "coded-body",
        growth: 1,
        read: coded_body,
        corpus: &[
            b"\0\x05\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00\
              \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00\0\0",
            b"\x01\x01\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15",
            b"\x01\0\xcb\x48\xcd\xc9\xc9\x07\x00",
            b"\x02\x02\x0b\x02\x80hello\x03",
            b"\x03\x03\x50\x2a\x4d\x18\x02\0\0\0xy\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello\x28\xb5\x2f\xfd\0\x68\x29\0\0hello",
        ],
    },
    Grammar {
        name: "text",
        growth: 8,
        read: text,
        corpus: &[
            b"one\ntwo\r\nthree\rfour\xc2\x85five\xe2\x80\xa8six\xe2\x80\xa9\x0b\x0cs\xc3\xa9v\n\n\xe2\x82\xac",
            b"e\xcc\x81\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9 \xf0\x9f\x87\xab\xf0\x9f\x87\xb7\xff\xc2",
        ],
    },
];

fn cookies(input: &[u8]) -> Told {
    let text = String::from_utf8_lossy(input);
    let (mut bytes, mut shape) = (0, Vec::new());
    for part in cookie::unfolded(&text).map(str::as_bytes).chain([input]).take(64) {
        let Some(set) = cookie::parse(part) else { continue };
        bytes += set.name.len() + set.value.len();
        assert!((1..=cookie::MAX_PAIR).contains(&(set.name.len() + set.value.len())));
        assert!(!set.value.iter().any(|b| b";\r\n\0".contains(b)));
        assert!(set.path.as_deref().is_none_or(|path| path.starts_with('/')));
        let host = set.domain.as_deref().unwrap_or("example.com");
        assert!(cookie::domain_matches(host, host));
        cookie::prefix_allows(set.name, set.value, set.secure, true, "/");
        if let Some(seconds) = set.expires {
            assert_eq!(cookie::parse_date(&cookie::format_date(seconds)), Some(seconds));
        }
        shape.push((
            set.secure,
            set.http_only,
            set.expires.is_some(),
            set.max_age.is_some(),
            set.path.is_some(),
        ));
    }
    shape.truncate(4);
    Told::new(bytes, shape)
}

fn cookie_file(input: &[u8]) -> Told {
    let (mut bytes, mut shape) = (0, Vec::new());
    for line in cookie::netscape_cookies(input) {
        for text in [line.domain.as_bytes(), line.path.as_bytes(), line.name, line.value] {
            assert!(!text.iter().any(|b| b";\r\n\0".contains(b)));
        }
        assert!((1..=cookie::MAX_PAIR).contains(&(line.name.len() + line.value.len())));
        assert!(line.path.starts_with('/') && !line.name.contains(&b'=') && !line.domain.is_empty());
        let mut out = Vec::new();
        cookie::write_netscape_cookie(&mut out, &line).unwrap();
        assert!(out.is_empty() || cookie::netscape_cookies(&out).next().as_ref() == Some(&line));
        bytes += out.len();
        shape.push((
            line.includes_subdomains,
            line.secure,
            line.http_only,
            line.expires.is_some(),
            out.is_empty(),
        ));
    }
    shape.truncate(4);
    Told::new(bytes, shape)
}

fn cache_control(input: &[u8]) -> Told {
    let control = caching::CacheControl::of_values([input]);
    let mut head = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(input) {
        for name in [header::CACHE_CONTROL, header::EXPIRES, header::AGE, header::VARY, header::PRAGMA] {
            head.insert(name, value.clone());
        }
    }
    let times = caching::Times { requested: 1_767_225_595, received: 1_767_225_600 };
    let fresh = caching::Freshness::of(StatusCode::OK, &head, control, times);
    assert!(fresh.lifetime.is_none_or(|lifetime| lifetime <= 1 << 31));
    for now in [i64::MIN, 0, 1_767_225_600, i64::MAX] {
        fresh.reuse(&control, true, now);
        fresh.outlives_error(&control, now);
    }
    let _ = caching::storable(StatusCode::OK, &head, &control);
    caching::vary(&head);
    assert_eq!(caching::merged(&head, &head).len(), head.len());
    let flags =
        (control.no_store, control.no_cache, control.must_revalidate, control.public, control.private);
    let more =
        (control.immutable, control.only_if_cached, control.max_age.is_some(), control.max_stale.is_some());
    Told::new(0, (flags, more, control.stale_if_error.is_some(), control.min_fresh.is_some()))
}

fn challenge(input: &[u8]) -> Told {
    let value = String::from_utf8_lossy(input);
    let found = challenges(&value);
    let (mut bytes, mut shape) = (0, Vec::new());
    for challenge in found.iter().take(16) {
        bytes += challenge.scheme().len() + challenge.token68().map_or(0, str::len);
        bytes += challenge.parameters().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let digest = DigestChallenge::of(challenge);
        shape.push((digest.is_some(), challenge.token68().is_some(), challenge.parameters().count().min(6)));
        let Some(digest) = digest else { continue };
        let mut session = DigestSession::begin(digest.clone(), "u", "p", "c");
        if let Some((answer, expectation)) =
            session.authorize(DigestRequest { method: "GET", uri: "/", body: Some(b"") })
        {
            let answer = String::from_utf8(answer).expect("what came as UTF-8 is sent back as UTF-8");
            let said = challenges(&answer);
            assert_eq!(said.len(), 1);
            assert_eq!(said[0].parameter("realm"), Some(digest.realm()));
            assert_eq!(said[0].parameter("nonce"), Some(digest.nonce()));
            bytes += answer.len();
            let info = AuthenticationInfo::parse(&value);
            let _ = info.proves(&expectation);
            bytes += info.next_nonce().map_or(0, str::len);
        }
    }
    basic::directory(&value);
    shape.truncate(4);
    // An answer has fixed parts of its own.
    Told::new(bytes.saturating_sub(found.len().min(16) * 512), shape)
}

/// The lines are the fields; all of it, a problem.
fn resumable_upload(input: &[u8]) -> Told {
    const NAMES: [&str; 5] =
        ["upload-complete", "upload-offset", "upload-length", "upload-limit", "upload-draft-interop-version"];
    let mut map = HeaderMap::new();
    for (name, line) in NAMES.into_iter().zip(input.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            map.append(HeaderName::from_static(name), value);
        }
    }
    let problem = Problem::read("application/problem+json", input);
    let fields = UploadFields::read(Dialect::V8, &map);
    let limits = fields.limits.unwrap_or_default();
    let (mut at, length) = (0, Some(1 << 20));
    // Whatever the limits are, the parts are within them and come to the end.
    while let Ok(part) = limits.part(at, length) {
        let bytes = part.length.unwrap_or_default();
        assert!(limits.max_append_size.is_none_or(|max| bytes <= max));
        at += bytes;
        if part.is_last {
            assert_eq!(Some(at), length);
            break;
        }
    }
    let status = StatusCode::from_u16(200 + input.len() as u16 % 400).unwrap_or_default();
    let reply = Reply { status, fields, problem };
    let after = next::after_head(length, length, Some(&reply));
    if let Next::Continue { at: Some(at) } = after {
        assert!(Some(at) <= length);
    }
    let appended = next::after_append(Dialect::V8, true, Some(&reply));
    let told = (after == Next::Done, matches!(appended, Next::Continue { .. }), problem.is_some());
    Told::new(0, (told, fields.limits.is_some(), at.checked_ilog2()))
}

fn transport_security(input: &[u8]) -> Told {
    let said = hsts::parse(input);
    if said.is_some() {
        assert!(input.to_ascii_lowercase().windows(7).any(|part| part == b"max-age"));
    }
    let host = String::from_utf8_lossy(input);
    let mut last = usize::MAX;
    for name in hsts::domains_of(&host) {
        assert!(host.contains(name) && name.len() < last && name.len() <= 255);
        last = name.len();
    }
    Told::new(0, said.map(|said| (said.includes_subdomains, said.max_age.checked_ilog2())))
}

fn head(input: &[u8]) -> Told {
    let limits = HeadLimits { bytes: 4096, fields: 32 };
    let whole = parse_response(input, &limits);
    let mut scanner = HeadScanner::new();
    let half = scanner.parse(&input[..input.len() / 2], &limits);
    let pieces = if matches!(half, Ok(None)) { scanner.parse(input, &limits) } else { half };
    let Ok(Some((head, consumed))) = whole else {
        assert!(!matches!(pieces, Ok(Some(_))));
        return Told::new(0, whole.map(|_| ()).map_err(|error| error.to_string()));
    };
    assert_eq!(pieces, Ok(Some((head.clone(), consumed))));
    assert!(consumed <= input.len() && head.headers.len() <= limits.fields);
    assert_eq!(field::raw_fields(&head.raw).count(), head.headers.len());
    head.reason();
    let framing = response_framing(&Method::GET, head.status, head.version, &head.headers);
    if let Ok(framing) = &framing {
        keep_alive(head.version, &head.headers, framing);
    }
    let codings = coding::content_codings(&head.headers).map(|codings| codings.len());
    Told::new(
        head.raw.len(),
        (
            head.headers.len(),
            head.status.as_u16() / 100,
            codings,
            framing.map_err(|error| error.to_string()).is_ok(),
        ),
    )
}

fn chunked(input: &[u8]) -> Told {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut rest, mut bytes, mut steps) = (input, 0, 0_usize);
    let ended = loop {
        match decoder.decode(rest) {
            Ok(step) => {
                assert!(step.data.start <= step.data.end && step.data.end <= step.consumed);
                bytes += step.data.len();
                rest = &rest[step.consumed..];
                steps += 1;
                if decoder.is_finished() {
                    break Ok(decoder.take_trailers().map(|trailers| trailers.len()));
                }
                if step.consumed == 0 {
                    assert!(rest.is_empty(), "bytes were left though the body goes on");
                    break decoder.end_of_input().map(|()| None).map_err(|error| error.to_string());
                }
            }
            Err(error) => break Err(error.to_string()),
        }
    };
    assert!(steps <= 2 * input.len() + 2);
    Told::new(bytes, ended)
}

fn multipart(input: &[u8]) -> Told {
    let Ok(mut splitter) = MultipartSplitter::new("b") else { unreachable!("the boundary is valid") };
    let (mut bytes, mut parts, mut error) = (0, 0_usize, None);
    for piece in input.chunks(7) {
        splitter.push(piece);
        loop {
            match splitter.next_piece() {
                Ok(Some(Piece::Data(data))) => bytes += data.len(),
                Ok(Some(Piece::Head(_))) => parts += 1,
                Ok(None) => break,
                Err(found) => {
                    error = Some(found.to_string());
                    break;
                }
            }
        }
    }
    bytes += splitter.finish().ok().flatten().map_or(0, |rest| rest.len());
    Told::new(bytes, (parts.min(8), error))
}

fn media_type(input: &[u8]) -> Told {
    let value = String::from_utf8_lossy(input);
    let media = mime::MediaType::parse(&value);
    let boundary = media.as_ref().and_then(|media| media.parameter("boundary").map(|value| value.len()));
    let found = mime::parse(&value);
    if let Some(found) = &found {
        assert!(!found.mime.bytes().any(|b| b.is_ascii_uppercase()));
        mime::extension_for(&found.mime);
    }
    let bytes = found.as_ref().map_or(0, |found| found.mime.len()) + boundary.unwrap_or(0);
    Told::new(bytes, (media.is_some(), boundary.is_some()))
}

fn file_name(input: &[u8]) -> Told {
    let value = String::from_utf8_lossy(input);
    let name = disposition::file_name(&value);
    if let Some(name) = &name {
        assert!(!name.is_empty() && name.len() <= 255 && !name.ends_with(['.', ' ']));
        assert!(!name.contains(['/', '\\', ':', '\0', '\r', '\n']));
    }
    Told::new(name.as_ref().map_or(0, String::len), name.map(|name| name.contains('.')))
}

fn dates(input: &[u8]) -> Told {
    let text = String::from_utf8_lossy(input);
    let found = date::parse(&text, 1_767_225_600);
    if let Some(seconds) = found {
        assert_eq!(date::parse(&date::format(seconds), 1_767_225_600), Some(seconds));
    }
    for now in [i64::MIN, i64::MAX] {
        date::parse(&text, now);
    }
    Told::new(0, (found.map(|seconds| seconds >> 24), cookie::parse_date(&text).map(|seconds| seconds >> 28)))
}

fn data(input: &[u8]) -> Told {
    let url = String::from_utf8_lossy(input);
    match data_url::parse(&url) {
        Ok(data) => Told::new(data.body.len() + data.mime.len(), data.charset.is_some()),
        Err(error) => Told::new(0, error.to_string()),
    }
}

fn fields(input: &[u8]) -> Told {
    let text = String::from_utf8_lossy(input);
    let members = field::list(&text).map(str::len).sum::<usize>();
    assert!(members <= text.len() && field::canonical_name(&text).eq_ignore_ascii_case(&text));
    let method = method::normalize(&text).is_ok();
    assert_eq!(field::unfold(text.as_bytes()).len(), text.len());
    assert_eq!(base64::decode(&base64::encode(input)).as_deref(), Some(input));
    let Ok(value) = HeaderValue::from_bytes(input) else { return Told::new(members, method) };
    let mut head = HeaderMap::new();
    head.append(HeaderName::from_static("keep-alive"), value.clone());
    for name in [header::CONNECTION, header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::VARY] {
        head.append(name, value.clone());
    }
    let alive = keep_alive(Version::HTTP_11, &head, &Framing::Empty);
    let codings = coding::content_codings(&head).map(|codings| codings.len());
    let framing = response_framing(&Method::GET, StatusCode::OK, Version::HTTP_11, &head).is_ok();
    Told::new(members, (method, format!("{alive:?}").len(), codings, framing))
}

fn ranges(input: &[u8]) -> Told {
    let found = range::ContentRange::parse(&String::from_utf8_lossy(input));
    let Ok(value) = HeaderValue::from_bytes(input) else { return Told::new(0, 0) };
    let mut head = HeaderMap::new();
    for name in [header::ETAG, header::LAST_MODIFIED, header::CONTENT_RANGE, header::CONTENT_LENGTH] {
        head.insert(name, value.clone());
    }
    head.insert(header::DATE, HeaderValue::from_static("Fri, 31 Dec 9999 23:59:59 GMT"));
    let validators = range::Validators::of(&head, 0);
    let mut shape = (found.is_some(), validators.etag.is_some(), validators.date.is_some(), 0);
    head.remove(header::CONTENT_LENGTH);
    head.remove(header::ETAG);
    for (bytes, complete) in [(0, None), (500, Some(1000)), (1000, Some(1000)), (u64::MAX, None)] {
        let have = range::Have { bytes, complete, validators: &validators };
        for status in [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE] {
            let verdict = range::verdict(&have, range::Condition::Etag, status, &head);
            if let range::Verdict::Append { at, end, complete } = verdict {
                assert!(at <= bytes && at < end && end >= bytes && complete.is_none_or(|all| end <= all));
                shape.3 += 1;
            }
        }
    }
    Told::new(validators.etag.map_or(0, |tag| tag.len()), shape)
}

fn digests(input: &[u8]) -> Told {
    let Ok(value) = HeaderValue::from_bytes(input) else { return Told::new(0, 0) };
    let mut head = HeaderMap::new();
    head.insert("repr-digest", value.clone());
    head.insert("want-repr-digest", value);
    let said = digest_fields::repr_digest(&head);
    assert!(said.iter().all(|(algorithm, digest)| digest.len() == algorithm.len()));
    let bytes = said.iter().map(|(_, digest)| digest.len()).sum();
    Told::new(bytes, (said.len(), digest_fields::want_repr_digest(&head).is_some()))
}

fn ntlm_challenge(input: &[u8]) -> Told {
    let Some(challenge) = NtlmChallenge::parse(input) else { return Told::new(0, false) };
    let answer = ntlm::authenticate(&challenge, NtlmUser::parse("D\\u", "p"), [7; 8], 1);
    Told::new(answer.len(), true)
}

fn text(input: &[u8]) -> Told {
    let (mut decoder, mut whole) = (Utf8Decoder::new(), String::new());
    input.chunks(3).for_each(|piece| decoder.push(piece, &mut whole));
    decoder.finish(&mut whole);
    assert_eq!(whole, String::from_utf8_lossy(input));
    let (mut splitter, mut lines) = (LineSplitter::new(1 << 17), 0_usize);
    for piece in input.chunks(5) {
        splitter.push(piece);
        while let Ok(Some(line)) = splitter.next_line() {
            assert!(!line.contains(['\n', '\r', '\u{85}', '\u{2028}']));
            lines += 1;
        }
    }
    let mut clusters = ClusterSplitter::new(1 << 17);
    clusters.push(input);
    clusters.end();
    let mut bytes = 0;
    while let Ok(Some(cluster)) = clusters.next_cluster() {
        assert!(!cluster.is_empty());
        bytes += cluster.len();
    }
    Told::new(bytes, (lines.min(16), whole.len().min(64) / 8))
}
