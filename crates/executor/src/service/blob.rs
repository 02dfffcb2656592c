//! The part of Azure's blob store that the toolkit speaks, behind the addresses that results give.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::transfer::{Download, Upload};
use super::{Refusal, Shared, range};
use crate::host::blocking;
use crate::store::StoreError;

/// Its clients want an account and a container in front of a name.
pub(super) const PATH: &str = "/grit/results";

/// A list of all blocks is never longer.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// Put Block, Put Block List, Put Blob.
pub(super) async fn put(
    State(service): Shared,
    Path(ticket): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    body: Body,
) -> Result<Response, Refusal> {
    let upload = service.transfers.upload(&ticket);
    let upload =
        upload.ok_or_else(|| Refusal::not_found("BlobNotFound", "nobody may write this"))?;
    match query.get("comp").map(String::as_str) {
        Some("block") => {
            let id = query.get("blockid").cloned().unwrap_or_default();
            let (path, size) = receive(&upload, body).await?;
            upload.block(&id, path, size)?;
        }
        Some("blocklist") => {
            let list = text(body).await?;
            let ids = block_ids(&list);
            blocking(move || upload.commit(&ids)).await?;
        }
        None => {
            let (path, size) = receive(&upload, body).await?;
            upload.block("whole", path, size)?;
            blocking(move || upload.commit(&["whole".to_owned()])).await?;
        }
        Some(other) => return Err(Refusal::bad(format!("`comp={other}` is not done here"))),
    }
    Ok((StatusCode::CREATED, said(&ticket)).into_response())
}

/// Get Blob and Get Blob Properties, of all or a range.
pub(super) async fn get(
    State(service): Shared,
    Path(ticket): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let download = service.transfers.download(&ticket);
    let download =
        download.ok_or_else(|| Refusal::not_found("BlobNotFound", "there is nothing"))?;
    let Download { store, digest, kind, .. } = download;
    let opened = blocking(move || {
        let file = store.trees.blobs().get(digest).map_err(StoreError::from)?;
        let size = file.metadata()?.len();
        Ok::<_, Refusal>((file, size))
    });
    let (file, size) = opened.await?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let range = range::wanted(text("x-ms-range").or_else(|| text("range")), size);
    let mut answer = said(&digest.hex());
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert("x-ms-blob-type", HeaderValue::from_static("BlockBlob"));
    let Ok(range) = range else {
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, answer).into_response());
    };
    let (from, length) = range.unwrap_or((0, size));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let status = match range {
        None => StatusCode::OK,
        Some(_) => {
            let told = format!("bytes {from}-{}/{size}", from + length - 1);
            let told =
                HeaderValue::try_from(told).map_err(|error| Refusal::bad(error.to_string()))?;
            answer.insert(header::CONTENT_RANGE, told);
            StatusCode::PARTIAL_CONTENT
        }
    };
    if method == Method::HEAD {
        return Ok((status, answer).into_response());
    }
    let mut file = tokio::fs::File::from_std(file);
    file.seek(std::io::SeekFrom::Start(from)).await?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), 256 << 10));
    Ok((status, answer, body).into_response())
}

/// Writes what comes to a file of its own, and says how much it is.
pub(super) async fn receive(
    upload: &Arc<Upload>,
    mut body: Body,
) -> Result<(std::path::PathBuf, u64), Refusal> {
    let (path, room) = upload.part()?;
    let mut file = tokio::fs::File::create_new(&path).await?;
    let mut size = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::bad(format!("the body ended early: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        size += bytes.len() as u64;
        if size > room {
            return Err(Refusal::too_large());
        }
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    Ok((path, size))
}

async fn text(mut body: Body) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::bad(format!("the body ended early: {error}")))?;
        let Ok(bytes) = frame.into_data() else { continue };
        text.extend_from_slice(&bytes);
        if text.len() as u64 > LIST_BYTES_MAX {
            return Err(Refusal::too_large());
        }
    }
    String::from_utf8(text).map_err(|_| Refusal::bad("the list of blocks is no text"))
}

/// The ids in `<BlockList>`, in order. They are base64, which needs no escapes.
fn block_ids(list: &str) -> Vec<String> {
    let element = |part: &str| {
        let (name, value) = part.split_once('>')?;
        let is_id = matches!(name.trim(), "Latest" | "Uncommitted" | "Committed");
        is_id.then(|| value.trim().to_owned())
    };
    list.split('<').filter_map(element).collect()
}

/// What clients of that store look for in every answer.
fn said(tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{tag}\"")) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert("x-ms-request-id", HeaderValue::from_static("grit"));
    headers.insert("x-ms-version", HeaderValue::from_static("2024-11-04"));
    headers.insert("x-ms-request-server-encrypted", HeaderValue::from_static("false"));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_list_keep_their_order() {
        let list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>Yg==</Latest>\n\
                    <Uncommitted>YQ==</Uncommitted></BlockList>";
        assert_eq!(block_ids(list), ["Yg==", "YQ=="]);
        assert_eq!(block_ids("<BlockList/>"), [""; 0]);
    }
}
