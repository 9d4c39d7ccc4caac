//! Owns the server's uploads, and what it answers.

use std::collections::{HashMap, VecDeque};

use super::dialect::{Fields, problem, say_complete, say_limits, say_version, version};
use super::{Refusal, UploadFault, UploadLimits, UploadRequest, UploadStep, dialect};
use crate::reply::Reply;
use crate::request::Recorded;
use crate::service::{Act, Cues};

#[derive(Debug)]
pub(super) struct State {
    pub(super) versions: Vec<u8>,
    pub(super) refusal: Refusal,
    pub(super) interim: bool,
    pub(super) limits: Option<UploadLimits>,
    /// The limits of which clients have heard.
    announced: Option<UploadLimits>,
    pub(super) answer: Option<Reply>,
    pub(super) faults: HashMap<UploadStep, VecDeque<Vec<UploadFault>>>,
    pub(super) uploads: Vec<Upload>,
    pub(super) requests: Vec<UploadRequest>,
    pub(super) violations: Vec<String>,
    /// Requests whose bodies are coming, by their number.
    current: HashMap<usize, Current>,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) content: Vec<u8>,
    pub(super) is_complete: bool,
    pub(super) is_deleted: bool,
    /// It is not known any more.
    pub(super) gone: Option<u16>,
    version: u8,
    length: Option<u64>,
    /// What its creation says of it.
    digest: Option<String>,
    /// As it was named.
    location: String,
}

#[derive(Debug)]
struct Current {
    step: UploadStep,
    version: u8,
    /// The upload its body belongs to.
    upload: Option<usize>,
    is_complete: bool,
    faults: Vec<UploadFault>,
    /// What it is answered in any case.
    refusal: Option<Reply>,
    /// Bytes of its body that were taken, and how many of them are kept.
    taken: u64,
    keeps: u64,
    /// What the request says of its body, and the body, if it does.
    digest: Option<String>,
    body: Vec<u8>,
    /// It wants to know what has come.
    wants: Option<String>,
}

impl State {
    pub(super) fn new(versions: Vec<u8>) -> Self {
        Self {
            versions,
            refusal: Refusal::BadRequest,
            interim: true,
            limits: None,
            announced: None,
            answer: None,
            faults: HashMap::new(),
            uploads: Vec::new(),
            requests: Vec::new(),
            violations: Vec::new(),
            current: HashMap::new(),
        }
    }

    pub(super) fn begin(&mut self, head: &Recorded) -> Option<Cues> {
        let request = UploadRequest {
            id: head.id,
            method: head.method.clone(),
            target: head.target.clone(),
            fields: head.headers.clone(),
            bytes: 0,
        };
        self.requests.push(request.clone());
        let named = head.path().strip_prefix("/uploads/");
        let step = match (named, &*head.method) {
            (Some(_), "HEAD") => UploadStep::Retrieval,
            (Some(_), "PATCH") => UploadStep::Append,
            (Some(_), "DELETE") => UploadStep::Cancellation,
            (Some(_), _) => return self.refused(head, Reply::new(405)),
            (None, "OPTIONS") => UploadStep::Discovery,
            (None, _) if dialect::completeness(&request).is_some() => UploadStep::Creation,
            (None, _) => return None,
        };
        let Some(version) = version(&request) else {
            self.violations.push(format!("{} {} names no version", head.method, head.target));
            return self.refused(head, Reply::new(400));
        };
        if !self.versions.contains(&version) {
            if step != UploadStep::Creation {
                self.violations.push(format!("{} {} of version {version}", head.method, head.target));
            }
            return self.unspoken(head);
        }
        let faults = self.faults.get_mut(&step).and_then(VecDeque::pop_front).unwrap_or_default();
        for fault in &faults {
            if let UploadFault::Limit(limits) = fault {
                self.limits = Some(*limits);
            }
        }
        let upload = named.and_then(|name| name.parse::<usize>().ok());
        let mut current = Current {
            step,
            version,
            upload,
            is_complete: dialect::completeness(&request).unwrap_or(version < 8),
            faults,
            refusal: None,
            taken: 0,
            keeps: u64::MAX,
            digest: request.field("content-digest").map(str::to_owned),
            body: Vec::new(),
            wants: request.field("want-repr-digest").map(str::to_owned),
        };
        let mut cues = Cues::default();
        match step {
            UploadStep::Creation => self.create(head, &request, &mut current, &mut cues),
            UploadStep::Discovery => {}
            _ => self.resume(&request, &mut current, &mut cues),
        }
        self.cue(&mut current, &mut cues);
        self.current.insert(head.id, current);
        Some(cues)
    }

    pub(super) fn take(&mut self, id: usize, bytes: &[u8]) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.id == id) {
            request.bytes += bytes.len() as u64;
        }
        let Some(current) = self.current.get_mut(&id) else { return };
        let space = current.keeps.saturating_sub(current.taken);
        current.taken += bytes.len() as u64;
        if current.digest.is_some() {
            current.body.extend_from_slice(bytes);
        }
        if current.refusal.is_none()
            && let Some(upload) = current.upload.and_then(|at| self.uploads.get_mut(at))
        {
            let kept = usize::try_from(space).unwrap_or(usize::MAX).min(bytes.len());
            upload.content.extend_from_slice(&bytes[..kept]);
        }
    }

    pub(super) fn end(&mut self, request: &Recorded) -> Reply {
        let Some(current) = self.current.remove(&request.id) else { return Reply::new(500) };
        for fault in &current.faults {
            if let UploadFault::LimitAfter(limits) = fault {
                self.limits = Some(*limits);
            }
        }
        if let Some(said) = &current.digest
            && *said != dialect::digest(said, &current.body)
        {
            self.violations.push(format!("{}: {said} is not of the body", request.target));
        }
        for fault in &current.faults {
            if let UploadFault::Damages(at) = fault
                && let Some(upload) = current.upload.and_then(|at| self.uploads.get_mut(at))
                && let Some(byte) = usize::try_from(*at).ok().and_then(|at| upload.content.get_mut(at))
            {
                *byte ^= 1;
            }
        }
        let mut reply = self.answer(&current);
        if reply.has_header("upload-limit") {
            self.announced = self.limits;
        }
        for fault in &current.faults {
            match fault {
                UploadFault::Without(name) => reply.headers.retain(|(k, _)| !k.eq_ignore_ascii_case(name)),
                UploadFault::FinalLocation(location) => {
                    reply.headers.retain(|(k, _)| !k.eq_ignore_ascii_case("location"));
                    reply = reply.header("Location", location.clone());
                }
                UploadFault::LosesAnswer => return Reply::drop_connection(),
                _ => {}
            }
        }
        reply
    }

    fn create(&mut self, head: &Recorded, request: &UploadRequest, current: &mut Current, cues: &mut Cues) {
        let at = self.uploads.len();
        let location = current.faults.iter().find_map(|fault| match fault {
            UploadFault::Location(location) => Some(location.clone()),
            _ => None,
        });
        let location = location.unwrap_or_else(|| format!("/uploads/{at}"));
        let length = request.field("upload-length").and_then(|length| length.parse().ok());
        let announced = request.field("content-length").and_then(|length| length.parse::<u64>().ok());
        if current.is_complete && length.is_some() && announced.is_some() && length != announced {
            self.violations.push(format!("{}: Upload-Length differs from Content-Length", head.target));
        }
        let limits = self.limits.unwrap_or_default();
        if let Some(length) = length
            && (limits.max_size.is_some_and(|max| length > max)
                || limits.min_size.is_some_and(|min| length < min))
        {
            let reply = self.protocol(413, current.version, false);
            current.refusal = Some(with(reply, say_limits(current.version, self.limits)));
            return;
        }
        self.uploads.push(Upload {
            content: Vec::new(),
            is_complete: false,
            is_deleted: false,
            gone: None,
            version: current.version,
            length,
            digest: request.field("repr-digest").map(str::to_owned),
            location: location.clone(),
        });
        current.upload = Some(at);
        let silent = current.faults.iter().any(|fault| matches!(fault, UploadFault::NoInterim));
        if self.interim && !silent {
            let mut fields: Fields = vec![say_version(current.version), ("Location".to_owned(), location)];
            fields.extend(say_limits(current.version, self.limits));
            for fault in &current.faults {
                if let UploadFault::Interim(others) = fault {
                    fields = others.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
                }
            }
            cues.at(0, Act::Inform(104, fields));
            for fault in &current.faults {
                if let UploadFault::SecondLocation(other) = fault {
                    let fields = vec![say_version(current.version), ("Location".to_owned(), other.clone())];
                    cues.at(0, Act::Inform(104, fields));
                }
            }
        }
        if limits.max_append_size.is_some_and(|max| announced.is_some_and(|length| length > max)) {
            // Nothing of what is too long is kept.
            current.keeps = 0;
        }
    }

    fn resume(&mut self, request: &UploadRequest, current: &mut Current, cues: &mut Cues) {
        let known = current.upload.and_then(|at| self.uploads.get_mut(at));
        let Some(upload) = known else {
            current.refusal = Some(Reply::new(404));
            return;
        };
        if let Some(status) = upload.gone {
            current.refusal = Some(Reply::new(status));
            return;
        }
        if upload.version != current.version {
            self.violations.push(format!("{} in version {}", request.target, current.version));
        }
        if current.step != UploadStep::Append {
            return;
        }
        for fault in &current.faults {
            if let UploadFault::Rewind(to) = fault {
                upload.content.truncate(usize::try_from(*to).unwrap_or(usize::MAX));
            }
        }
        if request.field("repr-digest").is_some() {
            // RFC 9530 §3: it would be of the whole that the request makes.
            self.violations.push(format!("{}: Repr-Digest of a part", request.target));
        }
        let have = upload.content.len() as u64;
        let version = current.version;
        let announced = request.field("content-length").and_then(|length| length.parse::<u64>().ok());
        let type_is_right = request.field("content-type") == Some("application/partial-upload");
        let length = request.field("upload-length").and_then(|length| length.parse::<u64>().ok());
        let refuse = |status, name, members: &str| {
            let reply = Reply::new(status).header("Content-Type", "application/problem+json");
            Some(reply.body(problem(name, members)))
        };
        let max = self.limits.and_then(|limits| limits.max_append_size);
        let min = self.limits.and_then(|limits| limits.min_append_size);
        current.refusal = if version >= 8 && dialect::completeness(request).is_none() {
            self.violations.push(format!("{}: no Upload-Complete", request.target));
            Some(Reply::new(400))
        } else if version >= 6 && !type_is_right {
            self.violations.push(format!("{}: Content-Type", request.target));
            Some(Reply::new(415))
        } else if upload.is_complete {
            refuse(400, "completed-upload", "")
        } else if request.offset() != Some(have) {
            let provided = request.offset().unwrap_or_default();
            let members = format!(",\"expected-offset\":{have},\"provided-offset\":{provided}");
            let refused = refuse(409, "mismatching-upload-offset", &members);
            refused.map(|reply| reply.header("Upload-Offset", have.to_string()))
        } else if length.is_some() && upload.length.is_some() && length != upload.length {
            refuse(400, "inconsistent-upload-length", "")
        } else if max.is_some_and(|max| announced.is_some_and(|length| length > max)) {
            let known = self.announced.and_then(|limits| limits.max_append_size);
            if known.is_some_and(|max| announced.is_some_and(|length| length > max)) {
                self.violations.push(format!("{}: more than max-append-size", request.target));
            }
            Some(Reply::new(413))
        } else if !current.is_complete && min.is_some_and(|min| announced.is_some_and(|length| length < min))
        {
            self.violations.push(format!("{}: less than min-append-size", request.target));
            Some(Reply::new(400))
        } else {
            None
        };
        for fault in &current.faults {
            if let (UploadFault::Interim(fields), true) = (fault, self.interim) {
                let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
                cues.at(0, Act::Inform(104, fields));
            }
        }
    }

    /// What the faults do while the body comes.
    fn cue(&mut self, current: &mut Current, cues: &mut Cues) {
        let have =
            current.upload.and_then(|at| self.uploads.get(at)).map_or(0, |upload| upload.content.len());
        for fault in &current.faults {
            match fault {
                UploadFault::CutAt(bytes) => cues.at(*bytes, Act::Break),
                UploadFault::Answer(_) => current.keeps = 0,
                UploadFault::CutLosing(kept, bytes) => {
                    current.keeps = *kept;
                    cues.at(*bytes, Act::Break);
                }
                UploadFault::AnswerAt(bytes, reply) => cues.at(*bytes, Act::Answer(Box::new(reply.clone()))),
                UploadFault::Progress(every) if self.interim => {
                    for step in 1..=MOST_NOTICES {
                        let offset = have as u64 + every * step;
                        let fields = vec![
                            say_version(current.version),
                            ("Upload-Offset".to_owned(), offset.to_string()),
                        ];
                        cues.at(every * step, Act::Inform(104, fields));
                    }
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, current: &Current) -> Reply {
        for fault in &current.faults {
            if let UploadFault::Answer(reply) = fault {
                return reply.clone();
            }
        }
        if let Some(refusal) = &current.refusal {
            return refusal.clone();
        }
        let limits = say_limits(current.version, self.limits);
        if current.step == UploadStep::Discovery {
            let none =
                || (current.version >= 6).then(|| ("Upload-Limit".to_owned(), "min-size=0".to_owned()));
            return with(Reply::new(204), limits.or_else(none));
        }
        let version = current.version;
        let Some(upload) = current.upload.and_then(|at| self.uploads.get_mut(at)) else {
            return Reply::new(500);
        };
        let offset = upload.content.len() as u64;
        match current.step {
            UploadStep::Cancellation => {
                upload.is_deleted = true;
                upload.gone = Some(404);
                Reply::new(204)
            }
            UploadStep::Retrieval => {
                let (mut offset, mut length) = (offset, upload.length.filter(|_| version >= 6));
                for fault in &current.faults {
                    match fault {
                        UploadFault::Offset(other) => offset = *other,
                        UploadFault::Length(other) => length = Some(*other),
                        _ => {}
                    }
                }
                let is_complete = upload.is_complete;
                let wanted = current.wants.as_ref().filter(|_| is_complete);
                let digest = wanted.map(|wanted| dialect::digest(wanted, &upload.content));
                let mut reply = self.protocol(204, version, is_complete);
                reply = reply.header("Upload-Offset", offset.to_string()).header("Cache-Control", "no-store");
                if let Some(length) = length {
                    reply = reply.header("Upload-Length", length.to_string());
                }
                if let Some(digest) = digest {
                    reply = reply.header("Repr-Digest", digest);
                }
                with(reply, limits)
            }
            _ if current.keeps < current.taken => with(self.protocol(413, version, false), limits),
            _ if current.is_complete => {
                upload.is_complete = true;
                if upload.length.is_some_and(|length| length != offset) {
                    self.violations.push(format!("complete with {offset} of {:?}", upload.length));
                }
                let took =
                    Reply::new(200).header("Content-Type", "text/plain").body(format!("took {offset} bytes"));
                let mut reply = self.answer.clone().unwrap_or(took);
                if let Some(wanted) = &current.wants {
                    reply = reply.header("Repr-Digest", dialect::digest(wanted, &upload.content));
                }
                let is_damaged = current.faults.iter().any(|fault| matches!(fault, UploadFault::Damages(_)));
                if let Some(said) = &upload.digest
                    && !is_damaged
                    && *said != dialect::digest(said, &upload.content)
                {
                    self.violations.push(format!("{said} is not of what has come"));
                }
                let (name, value) = say_complete(version, true);
                let (version_name, version) = say_version(version);
                reply.header(name, value).header(version_name, version)
            }
            _ => {
                let location = upload.location.clone();
                let status = if current.step == UploadStep::Creation { 201 } else { 204 };
                let mut reply =
                    self.protocol(status, version, false).header("Upload-Offset", offset.to_string());
                if current.step == UploadStep::Creation {
                    reply = reply.header("Location", location);
                }
                with(reply, limits)
            }
        }
    }

    fn protocol(&self, status: u16, version: u8, is_complete: bool) -> Reply {
        let (name, value) = say_complete(version, is_complete);
        let (version_name, version) = say_version(version);
        Reply::new(status).header(name, value).header(version_name, version)
    }

    /// The request is of a version that is not spoken.
    fn unspoken(&mut self, head: &Recorded) -> Option<Cues> {
        let reply = match self.refusal {
            Refusal::Ignore => return None,
            Refusal::Status(status) => Reply::new(status),
            Refusal::PreconditionFailed => Reply::new(412).header("Tus-Resumable", "1.0.0"),
            Refusal::BadRequest => {
                let newest = self.versions.iter().max().copied().unwrap_or_default();
                let (name, value) = say_version(newest);
                Reply::new(400).header(name, value)
            }
        };
        self.refused(head, reply)
    }

    /// The body is read and dropped; then this is the answer.
    fn refused(&mut self, head: &Recorded, reply: Reply) -> Option<Cues> {
        let current = Current {
            step: UploadStep::Discovery,
            version: 0,
            upload: None,
            is_complete: false,
            faults: Vec::new(),
            refusal: Some(reply),
            taken: 0,
            keeps: 0,
            digest: None,
            body: Vec::new(),
            wants: None,
        };
        self.current.insert(head.id, current);
        Some(Cues::default())
    }
}

fn with(reply: Reply, field: Option<(String, String)>) -> Reply {
    match field {
        Some((name, value)) => reply.header(name, value),
        None => reply,
    }
}

/// 104s of progress in one request.
const MOST_NOTICES: u64 = 90;
