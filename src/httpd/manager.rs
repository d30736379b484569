//! The handler `copy-manager`: the counters with controls, for those whom access control lets in.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::guard::guard;
use super::{answer, ffi, kept, log, pool, status, stranger};
use crate::boundary::Boundary;
use crate::breaker::Millis;
use crate::clock;
use crate::manager::sender::Sender;
use crate::manager::{Change, Form, MOST, Refusal};
use crate::status::{Controls, Format, Notice, Source, render, render_controls};

/// Answers a request for the controls, and makes the changes it asks for.
///
/// # Safety
///
/// `r` is a live request of httpd's that goes to this handler.
pub unsafe fn handle(r: *mut ffi::request_rec) -> c_int {
    // SAFETY: the caller vouches for the request.
    let request = unsafe { &*r };
    guard(Boundary::Manager, ffi::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        const ALLOWED: [u32; 2] = [ffi::M_GET, ffi::M_POST];
        let Some(method) = ALLOWED.iter().find(|m| request.method_number == **m as c_int) else {
            return answer::refuse_method(request, &ALLOWED);
        };
        // SAFETY: the request is this handler's now, and access control has let it in.
        if unsafe { is_open(r) } {
            // SAFETY: as above.
            return unsafe { refuse_all(r) };
        }
        let Some(source) = status::source() else {
            return ffi::HTTP_SERVICE_UNAVAILABLE as c_int;
        };
        match *method {
            // SAFETY: as above.
            ffi::M_POST => unsafe { change(r, &source) },
            // SAFETY: as above.
            _ => unsafe { show(r, &source, 200, None) },
        }
        ffi::HOOK_OK
    })
}

/// Whether everybody may change things here, and nobody has said so.
unsafe fn is_open(r: *mut ffi::request_rec) -> bool {
    // SAFETY: the caller vouches for the request.
    let request = unsafe { &*r };
    // SAFETY: the request's own vector.
    let settings = unsafe { kept::scope_settings(request.per_dir_config) };
    // SAFETY: as above.
    !settings.is_manager_open() && unsafe { stranger::would_be_let_in(r) }
}

unsafe fn refuse_all(r: *mut ffi::request_rec) -> c_int {
    static LOGGED: AtomicU64 = AtomicU64::new(0);
    if is_due(&LOGGED) {
        // SAFETY: the caller passes the handler's request.
        let request = unsafe { &*r };
        // SAFETY: a text of its pool.
        let uri = unsafe { pool::bytes(request.uri) };
        let line = format!(
            "CPY0202: copy-manager at {} is refused to all: no access control keeps anybody out",
            String::from_utf8_lossy(uri)
        );
        log::write(ffi::APLOG_ERR, request.server, &line);
    }
    let page = "copy-manager switches copying on and off, and here everybody may use it: it is refused until \
        access control keeps somebody out, as with \"Require ip\" or \"Require user\" in its <Location>. Where \
        something else does, such as client certificates or a firewall, say so with \"CopyManagerOpen On\".\n";
    // SAFETY: the caller passes the handler's request.
    unsafe { answer::send(r, 403, Format::Text.media_type(), page) };
    ffi::HOOK_OK
}

/// Whether a minute has passed since something was logged, which it now will be.
fn is_due(last: &AtomicU64) -> bool {
    const MINUTE: Millis = 60_000;
    let (now, before) = (clock::now(), last.load(Ordering::Relaxed));
    let is_due = before == 0 || now.saturating_sub(before) >= MINUTE;
    is_due && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

unsafe fn show(r: *mut ffi::request_rec, source: &Source, status: u16, notice: Option<&Notice>) {
    // SAFETY: the caller passes the handler's request.
    let request = unsafe { &*r };
    let query = answer::query(request);
    let format = Format::of_request(query, answer::field(request, c"Accept"));
    let nonce = source.segment.nonce();
    let page = match format {
        Format::Html => render_controls(source, query, &Controls { nonce: &nonce, notice }),
        Format::Json => {
            let page = render(source, format, query);
            // An object with members, to which one more is put at its beginning.
            page.replacen('{', &format!("{{\"nonce\":\"{nonce}\","), 1)
        }
        _ => render(source, format, query),
    };
    // SAFETY: as above.
    unsafe { answer::send(r, status, format.media_type(), &page) };
}

/// Makes the change that the request asks for, and answers in the form that it has.
unsafe fn change(r: *mut ffi::request_rec, source: &Source) {
    // SAFETY: the caller passes the handler's request.
    let request = unsafe { &*r };
    let form = Form::of(answer::field(request, c"Content-Type"));
    // SAFETY: as above.
    let made = form.clone().and_then(|form| unsafe { make(r, form, source) });
    if let Err(refusal) = &made {
        tell_refused(request, refusal);
    }
    if form == Ok(Form::Json) {
        let (status, answer) = match made {
            Ok(lines) => (200, json!({ "changed": lines })),
            Err(Refusal(status, why)) => (status, json!({ "error": why })),
        };
        // SAFETY: as above.
        return unsafe { answer::send(r, status, Format::Json.media_type(), &answer.to_string()) };
    }
    let (status, notice) = match made {
        Ok(lines) => (200, Notice::Done(lines.join("\n"))),
        Err(Refusal(status, why)) => (status, Notice::Refused(why)),
    };
    let controls = Controls { nonce: &source.segment.nonce(), notice: Some(&notice) };
    let page = render_controls(source, "", &controls);
    // SAFETY: as above.
    unsafe { answer::send(r, status, Format::Html.media_type(), &page) };
}

unsafe fn make(
    r: *mut ffi::request_rec,
    form: Form,
    source: &Source,
) -> Result<Vec<String>, Refusal> {
    // SAFETY: the caller passes the handler's request.
    let content = unsafe { content(r) }?;
    // SAFETY: as above.
    let request = unsafe { &*r };
    let change = Change::read(form, &content)?;
    let sender = Sender {
        host: answer::field(request, c"Host"),
        site: answer::field(request, c"Sec-Fetch-Site"),
        origin: answer::field(request, c"Origin"),
        referer: answer::field(request, c"Referer"),
    };
    sender
        .check(form, [&change.nonce, &source.segment.nonce()], |name| is_name_of(request, name))?;
    let names = source.targets.iter().map(|target| target.name.as_str());
    let shelf = source.compare.as_ref().map(|compare| &compare.shelf);
    let made = change.make(&source.segment, shelf, names)?;
    for line in &made {
        tell(request, ffi::APLOG_NOTICE, &format!("CPY0201: {line}"));
    }
    Ok(made)
}

/// The 1st, 2nd, 4th, 8th … time that this child refuses a change the log is told.
fn tell_refused(request: &ffi::request_rec, Refusal(status, why): &Refusal) {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let count = REFUSED.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if count.is_power_of_two() {
        let why = why.trim_end_matches('.');
        let line = format!("CPY0203: {status}: {why} ({count} so far)");
        tell(request, ffi::APLOG_WARNING, &line);
    }
}

/// Logs what was changed, or was not, and who asked for it.
fn tell(request: &ffi::request_rec, level: u32, line: &str) {
    // SAFETY: NULL, or a text of the request's pool.
    let user = unsafe { pool::bytes(request.user) };
    // SAFETY: as above.
    let address = unsafe { pool::bytes(request.useragent_ip) };
    let user = if user.is_empty() { "nobody logged in" } else { &*String::from_utf8_lossy(user) };
    let address = String::from_utf8_lossy(address);
    log::write(level, request.server, &format!("{line}, by {user} at {address}"));
}

/// The request's content, of which there may be little.
unsafe fn content(r: *mut ffi::request_rec) -> Result<Vec<u8>, Refusal> {
    let too_large = || Refusal(413, format!("Nothing was changed: more than {MOST} bytes."));
    let broken = || Refusal(400, "Nothing was changed: the content could not be read.".to_owned());
    // SAFETY: the caller passes the handler's request.
    if unsafe { ffi::ap_setup_client_block(r, ffi::REQUEST_CHUNKED_DECHUNK as c_int) }
        != ffi::HOOK_OK
    {
        return Err(broken());
    }
    // SAFETY: as above.
    if unsafe { ffi::ap_should_client_block(r) } == 0 {
        return Ok(Vec::new());
    }
    let (mut content, mut part) = (Vec::new(), [0_u8; MOST + 1]);
    loop {
        // SAFETY: as above; the buffer is writable for its length.
        let read =
            unsafe { ffi::ap_get_client_block(r, part.as_mut_ptr().cast::<c_char>(), part.len()) };
        let read = usize::try_from(read).map_err(|_| broken())?;
        if read == 0 {
            return Ok(content);
        }
        content.extend_from_slice(part.get(..read).unwrap_or_default());
        if content.len() > MOST {
            return Err(too_large());
        }
    }
}

/// Whether a name is the ServerName or a ServerAlias of the request's virtual host.
fn is_name_of(request: &ffi::request_rec, name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: the request's server.
    let server = unsafe { &*request.server };
    // SAFETY: NULL, or a text that lives as long as the configuration.
    let own = unsafe { pool::bytes(server.server_hostname) };
    own.eq_ignore_ascii_case(name.as_bytes())
        // SAFETY: NULL, or arrays of texts that live as long as the configuration.
        || unsafe { names(server.names) }.any(|alias| alias.to_bytes().eq_ignore_ascii_case(name.as_bytes()))
        // SAFETY: as above.
        || unsafe { names(server.wild_names) }.any(|pattern| {
            // SAFETY: both end in NUL.
            unsafe { ffi::ap_strcasecmp_match(name.as_ptr(), pattern.as_ptr()) == 0 }
        })
}

unsafe fn names<'a>(array: *const ffi::apr_array_header_t) -> impl Iterator<Item = &'a CStr> {
    // SAFETY: the caller passes NULL or an array that lives.
    let array = unsafe { array.as_ref() };
    let length = array.map_or(0, |array| usize::try_from(array.nelts).unwrap_or_default());
    let first = array.map_or(std::ptr::null(), |array| array.elts.cast::<*const c_char>());
    (0..length).filter_map(move |index| {
        // SAFETY: within the array.
        let place = unsafe { first.add(index) };
        // SAFETY: as above; it holds texts.
        let name = unsafe { place.read() };
        // SAFETY: the caller vouches for the texts.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
    })
}
