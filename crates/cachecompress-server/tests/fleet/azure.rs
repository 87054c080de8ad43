//! Another API: Azure's.

use cachecompress_test::azurite::{ACCOUNT, Azurite, KEY};

use crate::common::*;
use crate::stage::*;

#[test]
fn replicas_share_a_container_of_azure() {
    let Some(store) = Azurite::start() else { return };
    store.create_container("shared");
    succeeds_once(60, |seed| {
        let files = Files::short(seed);
        let launch = launch(&files.site)
            .args(SLOW)
            .args("--tier az://shared/site")
            .env("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
            .env("AZURE_STORAGE_ACCOUNT_KEY", KEY)
            .env("AZURE_STORAGE_ENDPOINT", store.endpoint())
            .env("AZURE_ALLOW_HTTP", "true");
        let replicas = [0, 1, 2].map(|_| start_replica(launch.clone()));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let files = &files;
            let fetch = |one| scope.spawn(move || files.fetch_all(one, "br").remove(0));
            let fetches: Vec<_> = replicas.iter().map(fetch).collect();
            fetches.into_iter().map(|fetch| fetch.join().unwrap()).collect()
        });
        let encodes: u64 = replicas.iter().map(Server::encodes).sum();
        let imported = answers.iter().filter(|answer| is_from_tier(answer)).count();
        if (encodes, imported) == (1, 2) { Ok(()) } else { Err(accounts(&replicas)) }
    });
}
