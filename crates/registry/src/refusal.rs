//! Error answers of registries and token servers, brought into words. What they say ends up on terminals, so control
//! characters and length are cut.

use http::header::RETRY_AFTER;
use http::{Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde::Deserialize;

use crate::Error;
use crate::transport::read_all;

/// The most bytes of an error answer that are read.
const ANSWER_LIMIT: u64 = 64 << 10;
/// The most characters of a message that are passed on.
const MESSAGE_LIMIT: usize = 600;

#[derive(Deserialize, Default)]
struct Answer {
    #[serde(default)]
    errors: Vec<Refusal>,
    #[serde(default)]
    details: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: Option<String>,
}

/// The error of an answer with a status of 400 and more.
pub(crate) async fn read(mut response: Response<Incoming>, uri: &Uri) -> Error {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let text = read_all(response.body_mut(), "", ANSWER_LIMIT).await.unwrap_or_default();
    let (code, message) = words(status, &text);
    Error::Refused {
        host: uri.host().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        code,
        message,
        retry_after,
    }
}

fn words(status: StatusCode, text: &[u8]) -> (String, String) {
    let answer: Answer = serde_json::from_slice(text).unwrap_or_default();
    let first = answer.errors.first();
    let code = first.and_then(|refusal| refusal.code.as_str()).filter(|code| !code.is_empty());
    let message = first.and_then(|refusal| refusal.message.clone()).or(answer.details).filter(|text| !text.is_empty());
    let (usual_code, usual_message) = usual(status);
    let code = code.map_or(usual_code, |code| code.to_ascii_lowercase().replace('_', " "));
    (clean(&code), clean(&message.unwrap_or(usual_message)))
}

/// What a bare status means.
fn usual(status: StatusCode) -> (String, String) {
    let (code, message) = match status.as_u16() {
        401 => ("unauthorized", "authentication required"),
        403 => ("denied", "requested access to the resource is denied"),
        429 => ("toomanyrequests", "too many requests"),
        404 => ("not found", "the registry does not have it"),
        _ => return ("received unexpected HTTP status".to_owned(), status.to_string()),
    };
    (code.to_owned(), message.to_owned())
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_words() {
        let denied = br#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
        let unknown = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        let hostile = br#"{"errors":[{"code":"X","message":"\u001b[2Jgone"}]}"#;
        let cases: [(u16, &[u8], &str, &str); 6] = [
            (403, denied, "denied", "requested access to the resource is denied"),
            (404, unknown, "manifest unknown", "manifest unknown"),
            (401, b"", "unauthorized", "authentication required"),
            (401, br#"{"details":"incorrect username or password"}"#, "unauthorized", "incorrect username or password"),
            (502, b"<html>", "received unexpected HTTP status", "502 Bad Gateway"),
            (400, hostile, "x", "[2Jgone"),
        ];
        for (status, text, code, message) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(words(status, text), (code.to_owned(), message.to_owned()));
        }
    }
}
