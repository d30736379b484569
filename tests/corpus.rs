//! Requests of real clients, recorded by `corpus/capture.sh`: each is sent again, and copied to the bit.

use std::fs;
use std::path::Path;

use crate::fidelity::http1;
use crate::fidelity::model::{staged_head, without_secret};
use crate::fidelity::row::PLAIN;
use crate::mirrored::Mirrored;
use crate::mpm::{Mpm, on_each_mpm};

on_each_mpm!(requests_of_real_clients_are_copied_to_the_bit);

fn requests_of_real_clients_are_copied_to_the_bit(mpm: Mpm) {
    let mirrored = Mirrored::with(mpm, "AllowEncodedSlashes NoDecode");
    let corpus = corpus();
    for (count, (name, bytes)) in (1..).zip(&corpus) {
        let response = mirrored.server.client().exchange(bytes);
        assert!(matches!(response.status, 200 | 206), "{name}: {}", response.comparable());
        let copies = mirrored.staging.wait_until(name, |copies| copies.len() >= count);
        assert_eq!(copies.len(), count, "{name}: {copies:#?}");
        let request = http1::parse_all(bytes).remove(0);
        let head = staged_head(&request, &PLAIN, &mirrored.staging.authority());
        let copy = &copies[count - 1];
        let (received, secret) = without_secret(&copy.head);
        assert!(secret.is_some(), "{name}: no mark");
        let shown = |head: &[u8]| head.escape_ascii().to_string().replace("\\r\\n", "\n");
        assert_eq!(shown(&received), shown(&head), "{name}");
        assert!(copy.content == request.content.unwrap_or_default(), "{name}: the content");
    }
    mirrored.server.settled(corpus.len() as u64);
    assert_eq!(mirrored.staging.count(), corpus.len());
}

/// Name and bytes of each recording.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    files.sort();
    let read = |path: &Path| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())
    };
    let corpus: Vec<(String, Vec<u8>)> = files.iter().map(|path| read(path)).collect();
    for client in
        ["aiohttp", "chromium", "curl", "go", "httpx", "java", "node", "requests", "urllib", "wget"]
    {
        assert!(corpus.iter().any(|(name, _)| name.starts_with(client)), "nothing of {client}");
    }
    corpus
}
