//! `GET /`, a page of links.

use maud::{DOCTYPE, html};

use super::route::Route;

/// Writes the page.
pub(super) fn page() -> String {
    let links = Route::ALL.into_iter().filter(|route| *route != Route::Page && !route.changes());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "cachecompress" }
            }
            body {
                main {
                    h1 { "cachecompress " (env!("CARGO_PKG_VERSION")) }
                    ul {
                        @for route in links { li { a href=(route.path()) { (route.path()) } } }
                    }
                }
            }
        }
    };
    page.into_string()
}
