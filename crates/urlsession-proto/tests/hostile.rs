//! Bytes from a hostile peer: valid heads, bodies and field values, damaged at random from a fixed seed. Nothing may
//! panic, and what is read may not depend on how the bytes were cut on their way.

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use urlsession_proto::auth::base64;
use urlsession_proto::auth::challenge::challenges;
use urlsession_proto::auth::digest::{AuthenticationInfo, DigestChallenge, DigestRequest, DigestSession};
use urlsession_proto::auth::ntlm::NtlmChallenge;
use urlsession_proto::http1::{
    BodyDecoder, BodyError, Framing, HeadLimits, HeadScanner, KeepAlive, keep_alive, parse_response,
    response_framing,
};
use urlsession_proto::lines::LineSplitter;
use urlsession_proto::{caching, coding, cookie, date, disposition, field, hsts, method, mime};

const HEADS: [&[u8]; 9] = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.0 404 Not Found\nConnection: keep-alive\nKeep-Alive: timeout=5, max=10\n\n",
    b"\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nX-Folded: a\r\n b\r\n\tc\r\nX-Empty:\r\nX-Late:\r\n d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5, 5\r\nContent-Encoding: gzip, br\r\n\r\nhello",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
    b"HTTP/1.1 200 \xe9\r\nContent-Disposition: attachment; filename=\"a.b\"\r\nSet-Cookie: a=b; Path=/\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n X: 0\r\nA : b\r\nno colon\r\n c\r\nB: \x7fc\r\n d\x01\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nA B: c\r\n\r\n5\r\nhello\r\n0\r\na : b\r\n\r\n",
];

const BODIES: [&[u8]; 5] = [
    b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"00a;name=value;quoted=\"a;b\"\r\n0123456789\r\n0;last\r\n\r\n",
    b"1\r\nx\r\n0\r\nX-Sum: abc\r\nContent-Length: 3\r\nHost: h\r\n\r\n",
    b"F\r\n\r\n\r\n0\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
    b"7fffffffffffffff\r\nendless",
];

const VALUES: [&str; 12] = [
    "attachment; filename=\"fname.ext\"; filename*=UTF-8''na%C3%AFve%2f..%5c.txt",
    "aa=bb\\; filename=\"wrong.ext\"; filename=\"fname.ext\"; cc=dd",
    "filename=\"../..\\\\CON.txt . . \u{202e}\"",
    "text/HTML; charset=\"ISO-8859-4\"; boundary=\"a\\\"b;c\"",
    "Digest realm=\"a, b\", qop=\"auth,auth-int\", nonce=x",
    "NTLM TlRMTVNTUAAC=, Digest realm=\"a \\\" b\", nonce=x, qop=\"auth\", algorithm=SHA-256-sess, Basic realm=ü",
    "timeout=5, max=100, close, keep-alive",
    "gzip, x-gzip, deflate, br, zstd, identity",
    "chunked, gzip;q=0.5, identity",
    "42, 042, 18446744073709551615",
    "x-extra-HEADER",
    "conTent-lenGTH",
];

const LINES: &[u8] = "one\ntwo\r\nthree\rfour\u{85}five\u{2028}six\u{2029}\u{b}\u{c}sévèn\n\n€".as_bytes();

const COOKIES: [&str; 6] = [
    "id=a3fWa; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=2592000; Secure; HttpOnly; SameSite=Strict",
    "__Host-id=\"1\"; Domain=.Example.COM; Path=/a/b; Partitioned; samesite=lax",
    "a=1; Expires=Sun, 16-Aug-2025 22:39:54 GMT, b = 2; Comment=x, y; Port=\"80,443\"; Version=1; Discard",
    "#HttpOnly_.example.com\tTRUE\t/\tFALSE\t2147483647\tname\tvalue\nlocalhost\tFALSE\t/x\tTRUE\t0\ta\tb",
    "Sun Nov  6 08:49:37 1994",
    "=nameless; Path=x; Max-Age=-99999999999999999999; Domain=; =; ;;",
];

/// Bytes on which the grammars turn.
const TURNS: &[u8] = b"\r\n\r\n\0 \t:;,=\"\\/'%*+-.0159aAfFxHT\x7f\x80\x85\xa8\xc2\xe2\xff";

/// xorshift64: the same damage at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => self.below(256) as u8,
            _ => TURNS[self.below(TURNS.len())],
        }
    }

    fn damaged(&mut self, valid: &[u8]) -> Vec<u8> {
        let mut bytes = valid.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 | 1 if !bytes.is_empty() => bytes[at] = self.byte(),
                2 => bytes.insert(at, self.byte()),
                3 if !bytes.is_empty() => drop(bytes.remove(at)),
                4 => bytes.truncate(at),
                _ => {
                    let end = at + self.below(bytes.len() - at);
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    }

    fn damaged_text(&mut self, valid: &str) -> String {
        String::from_utf8_lossy(&self.damaged(valid.as_bytes())).into_owned()
    }

    /// Where to cut `length` bytes into pieces.
    fn cuts(&mut self, length: usize) -> Vec<usize> {
        let longest = 1 + self.below(12);
        let mut cuts = vec![0];
        let mut at = 0;
        while at < length {
            at = (at + 1 + self.below(longest)).min(length);
            cuts.push(at);
        }
        cuts
    }
}

#[test]
fn a_damaged_head_is_read_alike_whole_and_in_pieces() {
    let mut random = Random(0x5eed_0001);
    let limits = HeadLimits { bytes: 200, fields: 8 };
    let mut read = 0;
    for case in 0..6000 {
        let buf = random.damaged(HEADS[case % HEADS.len()]);
        let whole = parse_response(&buf, &limits);

        let mut scanner = HeadScanner::new();
        let mut pieces = random.cuts(buf.len()).into_iter().map(|end| scanner.parse(&buf[..end], &limits));
        let pieces = pieces.find(|parsed| !matches!(parsed, Ok(None))).unwrap_or(Ok(None));
        let shown = buf.escape_ascii();
        let Ok(Some((head, consumed))) = whole else {
            assert!(!matches!(pieces, Ok(Some(_))), "{shown}");
            continue;
        };
        assert_eq!(pieces, Ok(Some((head.clone(), consumed))), "{shown}");
        read += 1;

        assert!(consumed <= buf.len() && head.raw.len() <= consumed && head.headers.len() <= limits.fields);
        assert!(head.headers.values().all(|value| !value.as_bytes().contains(&b'\n')), "{shown}");
        let fields: Vec<_> = field::raw_fields(&head.raw).collect();
        assert_eq!(fields.len(), head.headers.len(), "{shown}");
        for (name, value) in fields {
            assert!(head.headers.get_all(name).iter().any(|v| v.as_bytes() == value), "{shown}");
            assert!(field::canonical_name(name).eq_ignore_ascii_case(name), "{shown}");
        }
        head.reason();
        coding::content_codings(&head.headers);
        if let Ok(framing) = response_framing(&Method::GET, head.status, head.version, &head.headers) {
            keep_alive(head.version, &head.headers, &framing);
            let (body, _ended) = decode(framing, &buf[consumed..], &[0, buf.len() - consumed]);
            assert!(body.len() <= buf.len() - consumed, "{shown}");
        }
    }
    assert!(read > 1000, "only {read} heads survived their damage");
}

#[test]
fn a_damaged_body_is_read_alike_whole_and_in_pieces() {
    let mut random = Random(0x5eed_0002);
    for case in 0..8000 {
        let buf = random.damaged(BODIES[case % BODIES.len()]);
        let whole = decode(Framing::Chunked, &buf, &[0, buf.len()]);
        let pieces = decode(Framing::Chunked, &buf, &random.cuts(buf.len()));
        assert_eq!(whole, pieces, "{}", buf.escape_ascii());
    }
}

#[test]
fn a_damaged_value_is_read_or_refused() {
    let mut random = Random(0x5eed_0003);
    for case in 0..8000 {
        let value = random.damaged_text(VALUES[case % VALUES.len()]);
        if let Some(name) = disposition::file_name(&value) {
            assert!(!name.is_empty() && name.len() <= 255, "{value:?}");
            assert!(!name.contains(['/', '\\', ':', '\0', '\r', '\n']), "{value:?}");
            assert!(!name.ends_with(['.', ' ']), "{value:?}");
        }
        for challenge in challenges(&value) {
            if let Some(digest) = DigestChallenge::of(&challenge) {
                let request = DigestRequest { method: "GET", uri: "/", body: Some(b"") };
                let (answer, _) =
                    DigestSession::begin(digest.clone(), "u", "p", "c").authorize(request).unwrap();
                let answer = String::from_utf8(answer).unwrap();
                let said = challenges(&answer);
                assert_eq!(said.len(), 1, "{value:?}: {answer:?}");
                assert_eq!(said[0].parameter("realm"), Some(digest.realm()), "{value:?}");
                assert_eq!(said[0].parameter("nonce"), Some(digest.nonce()), "{value:?}");
            }
            let message = challenge.token68().and_then(base64::decode);
            message.and_then(|message| NtlmChallenge::parse(&message));
        }
        AuthenticationInfo::parse(&value);
        if let Some(content_type) = mime::parse(&value) {
            assert!(!content_type.mime.bytes().any(|b| b.is_ascii_uppercase()), "{value:?}");
            mime::extension_for(&content_type.mime);
        }
        assert!(field::list(&value).all(|member| !member.trim_matches([' ', '\t']).is_empty()), "{value:?}");
        assert!(field::canonical_name(&value).eq_ignore_ascii_case(&value), "{value:?}");
        if let Ok(method) = method::normalize(&value) {
            assert!(method.as_str().eq_ignore_ascii_case(&value), "{value:?}");
        }
        assert_eq!(field::unfold(value.as_bytes()).len(), value.len());

        let Ok(header) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
        assert!(field::is_acceptable_value(header.as_bytes()));
        let mut headers = HeaderMap::new();
        headers.append("keep-alive", header.clone());
        headers.append(header::CONNECTION, header.clone());
        headers.append(header::CONTENT_ENCODING, header.clone());
        let kept = keep_alive(Version::HTTP_11, &headers, &Framing::Empty);
        assert!(!matches!(kept, KeepAlive::Persist { max: Some(0), .. }), "{value:?}");
        assert!(coding::content_codings(&headers).is_none_or(|codings| codings.len() <= 5), "{value:?}");
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            headers.append(name, header.clone());
            // Any answer will do, but only a number may be a length.
            if let Ok(Framing::Length(length)) =
                response_framing(&Method::GET, StatusCode::OK, Version::HTTP_11, &headers)
            {
                assert!(
                    value.trim_start_matches([' ', '\t', '0']).starts_with(&length.to_string())
                        || length == 0
                );
            }
        }
    }
}

#[test]
fn a_damaged_cookie_is_read_or_refused() {
    let mut random = Random(0x5eed_0005);
    let mut read = 0;
    for case in 0..20_000 {
        let text = random.damaged_text(COOKIES[case % COOKIES.len()]);
        for field in cookie::unfolded(&text).chain([&*text]) {
            let Some(set) = cookie::parse(field) else { continue };
            read += 1;
            assert!((1..=cookie::MAX_PAIR).contains(&(set.name.len() + set.value.len())), "{field:?}");
            assert!(!field.contains(['\r', '\n', '\0']) && !set.value.contains(&b';'), "{field:?}");
            assert!(set.path.as_deref().is_none_or(|path| path.starts_with('/')), "{field:?}");
            assert!(set.domain.as_ref().is_none_or(|domain| !domain.is_empty()), "{field:?}");
            let host = set.domain.as_deref().unwrap_or("example.com");
            assert!(cookie::domain_matches(host, host), "{field:?}");
            cookie::prefix_allows(set.name, set.value, set.secure, true, "/");
            if let Some(seconds) = set.expires {
                assert_eq!(cookie::parse_date(&cookie::format_date(seconds)), Some(seconds), "{field:?}");
            }
        }
        let folder = cookie::default_path(&text);
        assert!(
            folder.starts_with('/') && (folder == "/" || cookie::path_matches(&text, folder)),
            "{text:?}"
        );
        for line in cookie::netscape_cookies(&text) {
            let mut out = Vec::new();
            cookie::write_netscape_cookie(&mut out, &line).unwrap();
            let again = cookie::netscape_cookies(&out).next();
            assert!(out.is_empty() || again.as_ref() == Some(&line), "{text:?} {out:?}");
        }
    }
    assert!(read > 10_000, "only {read} cookies survived their damage");
}

#[test]
fn a_long_cookie_field_takes_time_in_proportion() {
    // Each would take minutes if a byte were looked at once for every other.
    for piece in ["a=b,", ",", ";", "=", ", x", "a;,=", "Path=/;"] {
        let field = piece.repeat(1 << 18);
        cookie::unfolded(&field).for_each(|field| drop(cookie::parse(field)));
        cookie::parse(&field);
        cookie::parse_date(&field);
    }
}

#[test]
fn a_damaged_wish_for_tls_is_read_or_refused_and_says_max_age() {
    const WISHES: [&str; 3] = [
        "max-age=31536000; includeSubDomains; preload",
        " ; MAX-AGE = \"600\" ;x=\"a;\\\" b\";",
        "includesubdomains;max-age=99999999999999999999",
    ];
    let mut random = Random(0x5eed_0006);
    let mut read = 0;
    for case in 0..30_000 {
        let field = random.damaged(WISHES[case % WISHES.len()].as_bytes());
        if hsts::parse(&field).is_some() {
            assert!(field.to_ascii_lowercase().windows(7).any(|part| part == b"max-age"));
            read += 1;
        }
        let host = String::from_utf8_lossy(&field);
        assert!(hsts::domains_of(&host).all(|name| host.contains(name)));
    }
    assert!(read > 3000, "only {read} survived their damage");
}

#[test]
fn damaged_lines_are_cut_alike_whole_and_in_pieces() {
    let mut random = Random(0x5eed_0004);
    for _ in 0..3000 {
        let buf = random.damaged(LINES);
        let whole = lines(&buf, &[0, buf.len()]);
        assert!(whole.iter().all(|line| !line.contains(['\n', '\r', '\u{85}', '\u{2028}'])));
        assert_eq!(whole, lines(&buf, &random.cuts(buf.len())), "{}", buf.escape_ascii());
    }
}

#[test]
fn no_caching_field_panics_and_none_makes_a_response_fresh_for_ever() {
    const FIELDS: [(&str, &str); 9] = [
        ("cache-control", "max-age=60, private=\"a, b\", stale-while-revalidate=5, stale-if-error=9"),
        ("cache-control", "no-cache=\"set-cookie\", must-revalidate, immutable, max-age=\"4294967296\""),
        ("expires", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("expires", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("last-modified", "Sun Nov  6 08:49:37 1994"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("age", "18446744073709551615, 5"),
        ("vary", "Accept, Accept-Language, *"),
        ("pragma", "no-cache"),
    ];
    let mut random = Random(0x5eed_0005);
    for _ in 0..20_000 {
        let mut fields = HeaderMap::new();
        for _ in 0..=random.below(5) {
            let (name, value) = FIELDS[random.below(FIELDS.len())];
            let damaged = random.damaged(value.as_bytes());
            date::parse(&String::from_utf8_lossy(&damaged), i64::MAX);
            if let Ok(value) = HeaderValue::from_bytes(&damaged) {
                fields.append(name, value);
            }
        }
        let control = caching::CacheControl::of(&fields);
        let at = [0, 1_767_225_600, i64::MAX, i64::MIN][random.below(4)];
        let times = caching::Times { requested: at.saturating_sub(5), received: at };
        let fresh = caching::Freshness::of(StatusCode::OK, &fields, control, times);
        assert!(fresh.lifetime.is_none_or(|lifetime| lifetime <= 1 << 31));
        for now in [i64::MIN, at, at.saturating_add(1 << 32), i64::MAX] {
            fresh.reuse(&control, random.below(2) == 0, now);
            fresh.outlives_error(&control, now);
        }
        if at == 0 {
            let late = fresh.reuse(&caching::CacheControl::default(), false, 1 << 33);
            assert_ne!(late, caching::Reuse::Fresh, "{fields:?}");
        }
        let _ = caching::storable(StatusCode::OK, &fields, &control);
        caching::vary(&fields);
        caching::merged(&fields, &fields);
    }
}

/// How many bytes follow the body, and its trailers.
type Ended = (usize, Option<HeaderMap>);

/// The body's bytes and how it ended, lent up to one cut after another.
fn decode(framing: Framing, buf: &[u8], cuts: &[usize]) -> (Vec<u8>, Result<Ended, BodyError>) {
    let mut decoder = BodyDecoder::new(framing);
    let mut body = Vec::new();
    let mut start = 0;
    for &end in cuts {
        loop {
            let step = match decoder.decode(&buf[start..end]) {
                Ok(step) => step,
                Err(error) => return (body, Err(error)),
            };
            assert!(step.data.start <= step.data.end && step.data.end <= step.consumed);
            body.extend_from_slice(&buf[start..end][step.data]);
            start += step.consumed;
            if decoder.is_finished() {
                return (body, Ok((buf.len() - start, decoder.take_trailers())));
            }
            if step.consumed == 0 {
                assert_eq!(start, end, "bytes were left though the body goes on");
                break;
            }
        }
    }
    let ended = decoder.end_of_input();
    (body, ended.map(|()| (buf.len() - start, None)))
}

fn lines(buf: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut splitter = LineSplitter::new(1 << 16);
    let mut lines = Vec::new();
    for pair in cuts.windows(2) {
        splitter.push(&buf[pair[0]..pair[1]]);
        while let Some(line) = splitter.next_line().expect("no line is as long as the limit") {
            lines.push(line);
        }
    }
    splitter.end();
    lines.extend(splitter.next_line().expect("no line is as long as the limit"));
    lines
}
