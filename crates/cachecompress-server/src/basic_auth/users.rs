//! The file of users: htpasswd with bcrypt.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use bcrypt::HashParts;

use crate::exit::Failure;
use crate::limits::{MAX_BCRYPT_COST, MAX_USERS, PASSWORD_FILE_BYTES};
use crate::printer::{Escaped, EscapedPath};

/// The costs that a hash may have.
const COSTS: RangeInclusive<u32> = 4..=MAX_BCRYPT_COST;

/// The users of a site.
#[derive(Debug)]
pub(crate) struct Users {
    users: HashMap<Arc<str>, User>,
    /// The highest cost of all. Each check takes as long as one of this cost.
    pub(super) cost: u32,
}

/// A user who may come in.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    /// The hash of the password, as the file has it.
    pub(super) hash: Arc<str>,
    pub(super) cost: u32,
}

impl Users {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`] if the file cannot be read, [`Failure::Usage`] if something in it is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = EscapedPath(path);
        let bytes = contents(path).map_err(|error| {
            Failure::Runtime(format!("cannot read --basic-auth {shown}: {}", reason(&error)))
        })?;
        let wrong =
            |reason: String| Failure::Usage(format!("cannot use --basic-auth {shown}{reason}"));
        let text = String::from_utf8(bytes).map_err(|_| wrong(": it is no UTF-8".to_owned()))?;
        let users = parse(&text).map_err(wrong)?;
        let cost = users.values().map(|user| user.cost).max().unwrap_or_default();
        Ok(Self { users, cost })
    }

    /// The user of this `name`.
    pub(super) fn find(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }
}

/// Reads the users of a file. A sentence about a mistake begins with its line.
fn parse(text: &str) -> Result<HashMap<Arc<str>, User>, String> {
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |reason: String| format!(":{}: {reason}", number + 1);
        let user = parse_line(line).map_err(at)?;
        if users.len() == MAX_USERS {
            return Err(at(format!("there are more than {MAX_USERS} users")));
        }
        match users.entry(Arc::clone(&user.name)) {
            Entry::Occupied(_) => {
                let name = Escaped(&user.name);
                return Err(at(format!("the user `{name}` stands here again; keep one line")));
            }
            Entry::Vacant(vacant) => vacant.insert(user),
        };
    }
    match users.is_empty() {
        true => Err(": it has no user; add one with `htpasswd -B FILE USER`".to_owned()),
        false => Ok(users),
    }
}

fn parse_line(line: &str) -> Result<User, String> {
    let form = "write USER:HASH, as `htpasswd -nB USER` does";
    let Some((name, rest)) = line.split_once(':') else {
        // Nothing of the line is shown: it may be a password.
        return Err(format!("this line has no colon; {form}"));
    };
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(format!("this line has no user before its colon; {form}"));
    }
    // Some tools write a comment behind the hash.
    let hash = rest.split(':').next().unwrap_or(rest);
    let found = |found: &str| {
        let name = Escaped(name);
        format!(
            "the password of `{name}` is {found}; it must be a hash of bcrypt, which begins with \
             $2y$, $2b$ or $2a$: `htpasswd -nB {name}` makes one"
        )
    };
    if !["$2y$", "$2b$", "$2a$"].iter().any(|scheme| hash.starts_with(scheme)) {
        return Err(found(scheme(hash)));
    }
    let parts = HashParts::from_str(hash).map_err(|_| found("a hash that is cut or broken"))?;
    let cost = parts.get_cost();
    if !COSTS.contains(&cost) {
        let (least, most) = (COSTS.start(), COSTS.end());
        return Err(format!(
            "the hash of `{}` has the cost {cost}; {least} to {most} are allowed",
            Escaped(name)
        ));
    }
    Ok(User { name: name.into(), hash: hash.into(), cost })
}

/// Tells what a password that is no hash of bcrypt is, without any of it.
fn scheme(hash: &str) -> &'static str {
    let schemes = [
        ("$apr1$", "in MD5 ($apr1$)"),
        ("{SHA}", "in SHA-1 ({SHA})"),
        ("{SSHA}", "in SHA-1 ({SSHA})"),
        ("{PLAIN}", "plain ({PLAIN})"),
        ("$1$", "in MD5 ($1$)"),
        ("$2x$", "in a faulty form of bcrypt ($2x$)"),
        ("$5$", "in SHA-256 ($5$)"),
        ("$6$", "in SHA-512 ($6$)"),
        ("$argon2", "in Argon2"),
    ];
    let known = schemes.iter().find(|(begin, _)| hash.starts_with(begin));
    match known {
        Some((_, scheme)) => scheme,
        None if hash.is_empty() => "empty",
        None => "plain or in crypt",
    }
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(PASSWORD_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PASSWORD_FILE_BYTES {
        let most = PASSWORD_FILE_BYTES >> 20;
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `secret`, at the cost 4.
    const HASH: &str = "$2b$04$9dQ8p7bF9mW1s3xj5T7pOe3lPpXyKu3mKZ7Zx0j7y6sB8Yq1c2D3G";

    #[test]
    fn lines_are_users_and_comments_are_none() {
        let text = format!("# ours\r\n\nann:{HASH}\r\n  bob b:{HASH}:a comment\n");
        let users = parse(&text).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!((&*users["ann"].hash, users["bob b"].cost), (HASH, 4));
    }

    #[test]
    fn mistake_is_named_with_its_line_and_user_and_without_the_password() {
        let twice = format!("ann:{HASH}\nann:{HASH}");
        let dear = format!("ann:{}", HASH.replace("$04$", "$15$"));
        let faulty = format!("ann:{}", HASH.replace("$2b$", "$2x$"));
        let cut = format!("ann:{}", &HASH[..59]);
        for (text, parts) in [
            ("", ["it has no user", "htpasswd -B"]),
            ("# none\n", ["it has no user", "htpasswd -B"]),
            ("\nhunter2", [":2: this line has no colon", "USER:HASH"]),
            (":hunter2", [":1: this line has no user", "USER:HASH"]),
            ("a:$apr1$hunter2", [":1: the password of `a` is in MD5 ($apr1$)", "$2y$"]),
            ("a:{SHA}hunter2", [":1: the password of `a` is in SHA-1 ({SHA})", "$2y$"]),
            ("a:hunter2", [":1: the password of `a` is plain or in crypt", "$2y$"]),
            ("a:", [":1: the password of `a` is empty", "$2y$"]),
            (&faulty, [":1: the password of `ann` is in a faulty form", "$2y$"]),
            (&cut, [":1: the password of `ann` is a hash that is cut or broken", "$2y$"]),
            (&twice, [":2: the user `ann` stands here again", "keep one line"]),
            (&dear, [":1: the hash of `ann` has the cost 15", "4 to 14 are allowed"]),
        ] {
            let reason = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| reason.contains(part)), "{text:?}: {reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        let many: String = (0..=MAX_USERS).map(|n| format!("u{n}:{HASH}\n")).collect();
        assert!(parse(&many).unwrap_err().contains("more than 10000 users"));
    }
}
