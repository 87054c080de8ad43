use super::*;

/// Each line of `text`: `ok` and the rule, `skip` or `error` and the reason.
fn lines(text: &str, dialect: Dialect) -> Vec<(usize, String)> {
    let Parsed { rules, skipped, errors } = parse(text, dialect);
    let place = |rule: &Redirect| {
        let text = rule.to_string();
        let (line, rule) = text.strip_prefix("_redirects:").unwrap().split_once(": ").unwrap();
        (line.parse().unwrap(), format!("ok {rule}"))
    };
    let note = |kind: &str, note: &Skipped| (note.line, format!("{kind} {}", note.why));
    let mut lines: Vec<(usize, String)> = rules.iter().map(place).collect();
    lines.extend(skipped.iter().map(|skipped| note("skip", skipped)));
    lines.extend(errors.iter().map(|error| note("error", error)));
    lines.sort();
    lines
}

fn netlify(line: &str) -> Parsed {
    parse(line, Dialect::Netlify)
}

/// The one rule of a line.
fn rule(line: &str, dialect: Dialect) -> Redirect {
    let Parsed { mut rules, skipped, errors } = parse(line, dialect);
    assert_eq!((rules.len(), &skipped[..], &errors[..]), (1, &[][..], &[][..]), "{line}");
    rules.remove(0).place("")
}

fn redirect(from: &str, to: &str) -> Redirect {
    Redirect::new(from, to).place("")
}

#[test]
fn netlify_lines_are_rules_as_the_documentation_has_them() {
    for (line, expected) in [
        ("/home              /", redirect("/home", "/")),
        ("\t/home /  \r", redirect("/home", "/")),
        ("/blog/my-post.php  /blog/my-post # this is just an old leftover", {
            redirect("/blog/my-post.php", "/blog/my-post")
        }),
        ("/blog/my-post-ads.php  /blog/my-post#ads # a comment", {
            redirect("/blog/my-post-ads.php", "/blog/my-post#ads")
        }),
        ("/cuties  https://www.petsofnetlify.com", {
            redirect("/cuties", "https://www.petsofnetlify.com")
        }),
        ("/authors/c%C3%A9line /authors/about-c%C3%A9line", {
            redirect("/authors/c%C3%A9line", "/authors/about-c%C3%A9line")
        }),
        ("/my-redirect / 302", redirect("/my-redirect", "/").status(302)),
        ("/ecommerce /store-closed 404", redirect("/ecommerce", "/store-closed").status(404)),
        ("/pass-through /index.html 200", { redirect("/pass-through", "/index.html").status(200) }),
        ("/en/* /en/404.html 404", redirect("/en/*", "/en/404.html").status(404)),
        ("/* /index.html 200", redirect("/*", "/index.html").status(200)),
        (
            "/app/* /app/index.html 200!",
            redirect("/app/*", "/app/index.html").status(200).force(true),
        ),
        ("/news/:month/:date/:year/:slug /blog/:year/:month/:date/:slug", {
            redirect("/news/:month/:date/:year/:slug", "/blog/:year/:month/:date/:slug")
        }),
        ("/news/* /blog/:splat", redirect("/news/*", "/blog/:splat")),
        ("/store id=:id /blog/:id 301", redirect("/store", "/blog/:id").query("id", ":id")),
        ("/articles id=:id tag=:tag /posts/:tag/:id 301", {
            redirect("/articles", "/posts/:tag/:id").query("id", ":id").query("tag", ":tag")
        }),
        ("/path/* param1=:value1 param2=:value2 /otherpath/:value1/:value2/:splat 301", {
            redirect("/path/*", "/otherpath/:value1/:value2/:splat")
                .query("param1", ":value1")
                .query("param2", ":value2")
        }),
        ("/ page=news /news", redirect("/", "/news").query("page", "news")),
        ("/ _escaped_fragment_=/about /about", {
            redirect("/", "/about").query("_escaped_fragment_", "/about")
        }),
        ("/* https://www.bitballoon.com/:splat 301!", {
            redirect("/*", "https://www.bitballoon.com/:splat").force(true)
        }),
        ("/test https://www.bitballoon.com/test=hello 301", {
            redirect("/test", "https://www.bitballoon.com/test=hello")
        }),
        ("/admin/* 200", redirect("/admin/*", "/admin/:splat").status(200)),
        ("/admin/* 200!", redirect("/admin/*", "/admin/:splat").status(200).force(true)),
        ("/a /b 307", redirect("/a", "/b").status(307)),
        ("/a /b 308!", redirect("/a", "/b").status(308).force(true)),
        ("/a /b 410", redirect("/a", "/b").status(410)),
    ] {
        assert_eq!(rule(line, Dialect::Netlify), expected, "{line}");
    }
    for nothing in ["", "\n\n", "# a comment", "  # a comment\r\n", "\u{feff}# a comment"] {
        assert_eq!(lines(nothing, Dialect::Netlify), []);
    }
}

#[test]
fn netlify_lines_that_are_not_supported_are_skipped_by_name() {
    for (line, reason) in [
        ("/ /china 302 Country=ch,tw", "\"Country=ch,tw\": countries are not supported"),
        ("/ /china 302 Country=il Language=en", "countries are"),
        ("/ /china language=zh", "\"language=zh\": languages are"),
        ("/admin/* /admin/:splat 200 Role=admin", "roles are"),
        ("/* /preview/:splat 302 Cookie=is_logged_in", "cookies are"),
        ("/api/* https://api.example.com/:splat 200! Sign=API_SECRET", "signatures are"),
        ("/api/* https://api.bitballoon.com/* 200", "proxies are not supported"),
        ("/a https://h.example/404.html 404", "proxies are"),
        ("http://blog.example.com/* https://www.example.com/blog/:splat 301!", "use [[sites]]"),
        (
            "/api/* /.netlify/functions/:splat 200",
            "\"/.netlify/functions/:splat\" is Netlify's own",
        ),
        ("/.netlify/x /y", "\"/.netlify/x\" is Netlify's own"),
    ] {
        let parsed = netlify(&format!("/fine /too\n{line}\n"));
        assert_eq!((parsed.rules.len(), parsed.errors.len()), (1, 0), "{line}: {parsed:?}");
        let [Skipped { line: 2, why }] = &parsed.skipped[..] else { panic!("{line}: {parsed:?}") };
        assert!(why.contains(reason), "{line}: {why}");
    }
}

#[test]
fn netlify_lines_that_mean_nothing_are_errors_by_number() {
    for (line, reason) in [
        ("/a", "there is no target behind \"/a\""),
        ("/a # /b", "there is no target"),
        ("/a 301", "there is no target"),
        ("/a/* 301", "there is no target"),
        ("/a b 301", "there is no target"),
        ("/a b /c 301", "\"b\" is neither a target"),
        ("/a id= /c =x /d", "\"\" is no condition"),
        ("/a =x /c", "\"=x\" is neither"),
        ("/a /b thr", "\"thr\" is no status"),
        ("/a /b 3010", "\"3010\" is no status"),
        ("/a /b !301", "\"!301\" is no status"),
        ("/a /b 999", "the status 999 is none of"),
        ("/a /b 301 forced", "\"forced\" is no condition"),
        ("/a /b 301 Foo=bar", "\"Foo\" is no condition"),
        ("a /b", "`from` must begin with a slash"),
        ("/a?x=1 /b", "without `?` and `#`"),
        ("/blog/remove-my-slashes/ /blog/remove-my-slashes 301", "leads to itself"),
        ("/a/* /b/:name", "stands for nothing"),
    ] {
        let parsed = netlify(&format!("# one\n\n{line}\n/fine /too\n"));
        assert_eq!((parsed.rules.len(), parsed.skipped.len()), (1, 0), "{line}: {parsed:?}");
        let [Skipped { line: 3, why }] = &parsed.errors[..] else { panic!("{line}: {parsed:?}") };
        assert!(why.contains(reason), "{line}: {why}");
    }
}

#[test]
fn cloudflare_lines_are_rules_before_files_as_the_documentation_has_them() {
    let cloudflare = |from, to, code| redirect(from, to).status(code).force(true).exact_slash(true);
    for (line, expected) in [
        ("/home301 / 301", cloudflare("/home301", "/", 301)),
        ("/home302 / 302", cloudflare("/home302", "/", 302)),
        ("/querystrings /?query=string 301", cloudflare("/querystrings", "/?query=string", 301)),
        ("/twitch https://twitch.tv", cloudflare("/twitch", "https://twitch.tv", 302)),
        ("/trailing /trailing/ 301", cloudflare("/trailing", "/trailing/", 301)),
        ("/notrailing/ /nottrailing 301", cloudflare("/notrailing/", "/nottrailing", 301)),
        ("/page/ /page2/#fragment 301", cloudflare("/page/", "/page2/#fragment", 301)),
        ("/blog/* https://blog.my.domain/:splat", {
            cloudflare("/blog/*", "https://blog.my.domain/:splat", 302)
        }),
        ("/products/:code/:name /products?code=:code&name=:name", {
            cloudflare("/products/:code/:name", "/products?code=:code&name=:name", 302)
        }),
        ("/movies/:title /media/:title", cloudflare("/movies/:title", "/media/:title", 302)),
        ("/a /b 200", cloudflare("/a", "/b", 200)),
        ("/* /foo 200", cloudflare("/*", "/foo", 200)),
        ("/c?this=rejected /d 301", cloudflare("/c", "/d", 301)),
        ("/c#gone /d # a comment", cloudflare("/c", "/d", 302)),
        ("/a /b#blah # a comment", cloudflare("/a", "/b#blah", 302)),
        ("/a /b##blah-1 302", cloudflare("/a", "/b##blah-1", 302)),
        ("/ext https://some.domain:1234/route?q=string#anchor", {
            cloudflare("/ext", "https://some.domain:1234/route?q=string#anchor", 302)
        }),
        (
            "/foo https://bar.com/index.html 302",
            cloudflare("/foo", "https://bar.com/index.html", 302),
        ),
        ("/some%20page /somewhere%20else", cloudflare("/some%20page", "/somewhere%20else", 302)),
        ("yeah.com https://nah.com", cloudflare("/yeah.com", "https://nah.com", 302)),
        ("/v/:a-b-:c /w/:a/:c", cloudflare("/v/:a%2Db-:c", "/w/:a/:c", 302)),
    ] {
        assert_eq!(rule(line, Dialect::Cloudflare), expected, "{line}");
    }
}

#[test]
fn cloudflare_lines_that_it_ignores_are_skipped_by_name() {
    for (line, reason) in [
        ("/blog/* /blog/404.html 404", "\"404\": Cloudflare knows 200, 301"),
        ("/c /d 418", "\"418\": Cloudflare knows"),
        ("/c /d 302!", "\"302!\": Cloudflare knows"),
        ("/shop id=:id /blog/:id 301", "neither parameters nor conditions"),
        ("/ /us 302 Country=us", "neither parameters nor conditions"),
        ("/* /preview/:splat 302 Cookie=preview", "neither parameters nor conditions"),
        ("https://yeah.com https://nah.com", "Cloudflare takes paths only"),
        ("/a https://example.com/b 200", "proxies are not supported"),
        ("/a http://example.com/b", "to https only"),
        ("/* /index.html 200", "to its index"),
        ("/* /index 200", "to its index"),
        ("/ /index.html", "to its index"),
        ("/ /index", "to its index"),
        ("/fine /again", "a second rule for \"/fine\""),
        ("/a/*/b/* /c", "one `*`"),
        ("/x:y /z", "right behind a letter"),
        (&format!("/{} /b", "a".repeat(1000)), "lines over 1000 bytes"),
    ] {
        let parsed = parse(&format!("/fine /too\n{line}\n"), Dialect::Cloudflare);
        assert_eq!((parsed.rules.len(), parsed.errors.len()), (1, 0), "{line}: {parsed:?}");
        let [Skipped { line: 2, why }] = &parsed.skipped[..] else { panic!("{line}: {parsed:?}") };
        assert!(why.contains(reason), "{line}: {why}");
    }
    for (line, reason) in [
        ("/c", "there are 1 words"),
        ("/d /e 302 !important", "there are 4 words"),
        ("/some page /somewhere else", "there are 4 words"),
        ("/a b", "must begin with `/`"),
    ] {
        let parsed = parse(line, Dialect::Cloudflare);
        let [Skipped { line: 1, why }] = &parsed.errors[..] else { panic!("{line}: {parsed:?}") };
        assert!(why.contains(reason), "{line}: {why}");
    }
}

#[test]
fn cloudflare_takes_so_many_rules_and_counts_all_behind_a_placeholder_as_dynamic() {
    let fixed = (0..2050).map(|at| format!("/a/{at} /b/{at}\n"));
    let dynamic = (0..150).map(|at| format!("/a/{at}/* /b/{at}/:splat\n"));
    let text: String = fixed.chain(dynamic).collect();
    let parsed = parse(&text, Dialect::Cloudflare);
    assert_eq!((parsed.rules.len(), parsed.skipped.len(), parsed.errors.len()), (2100, 100, 0));
    let text =
        format!("/x/* /all\n{}", (0..150).map(|at| format!("/a/{at} /b\n")).collect::<String>());
    assert_eq!(parse(&text, Dialect::Cloudflare).rules.len(), 100);
}
