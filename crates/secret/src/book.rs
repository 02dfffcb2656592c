use std::collections::BTreeMap;

use grit_types::{Principal, Repo, Tenant, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Key, Name, OpenError, Sealed, Secret};

/// Secrets of one scope.
pub const SECRETS_MAX: usize = 100;
/// Variables of one scope.
pub const VARIABLES_MAX: usize = 500;
/// Characters of a secret, at least: the mask of a shorter one would hide what is no secret, and be
/// guessed where it does.
pub const SECRET_CHARS_MIN: usize = 4;
/// Bytes of one value.
pub const VALUE_BYTES_MAX: usize = 48 << 10;
/// Bytes of the variables of one scope together.
pub const VARIABLES_BYTES_MAX: usize = 256 << 10;

/// Whose a secret or a variable is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Scope {
    Tenant {
        tenant: Tenant,
    },
    Repository {
        tenant: Tenant,
        repo: Repo,
    },
    /// Its name counts in any case; it is kept in lower case.
    Environment {
        tenant: Tenant,
        repo: Repo,
        environment: String,
    },
}

/// Why a book is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("the value has {0} bytes, more than {VALUE_BYTES_MAX}")]
    Long(usize),
    #[error("there are {0} already, and more are not kept")]
    Many(usize),
    #[error("the variables would have {0} bytes together, more than {VARIABLES_BYTES_MAX}")]
    Large(usize),
    #[error("a secret has at least {SECRET_CHARS_MIN} characters: a shorter one cannot be masked")]
    Short,
}

/// An entry, without its value where that is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub name: Name,
    pub scope: Scope,
    /// Of a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub updated_by: Principal,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry<T> {
    scope: Scope,
    name: Name,
    value: T,
    by: Principal,
    at: Timestamp,
}

/// What a tenant, its repositories and their environments have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    v: u32,
    secrets: Vec<Entry<Sealed>>,
    variables: Vec<Entry<String>>,
}

impl Default for Book {
    fn default() -> Self {
        Self { v: Self::VERSION, secrets: Vec::new(), variables: Vec::new() }
    }
}

impl Scope {
    /// An environment of a repository.
    pub fn environment(tenant: Tenant, repo: Repo, environment: &str) -> Self {
        Self::Environment { tenant, repo, environment: environment.to_lowercase() }
    }

    /// Names it, and nothing else.
    fn place(&self, name: &Name) -> String {
        // Plain data: it always serialises.
        let scope = serde_json::to_string(self).unwrap_or_default();
        format!("{scope}/{name}")
    }
}

impl Book {
    /// The form that this Grit writes.
    pub const VERSION: u32 = 1;

    /// Whether this Grit can read it.
    pub fn is_known(&self) -> bool {
        self.v == Self::VERSION
    }

    /// Whether it holds any secret.
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Keeps a secret, in place of one of the same name.
    #[allow(clippy::too_many_arguments, reason = "each is another thing")]
    pub fn set_secret(
        &mut self,
        key: &Key,
        nonce: [u8; 12],
        scope: Scope,
        name: Name,
        secret: &Secret,
        by: Principal,
        at: Timestamp,
    ) -> Result<(), BookError> {
        if secret.reveal().trim().chars().count() < SECRET_CHARS_MIN {
            return Err(BookError::Short);
        }
        if secret.reveal().len() > VALUE_BYTES_MAX {
            return Err(BookError::Long(secret.reveal().len()));
        }
        let value = key.seal(nonce, &scope.place(&name), secret);
        put(&mut self.secrets, Entry { scope, name, value, by, at }, SECRETS_MAX)
    }

    /// Keeps a variable, in place of one of the same name.
    pub fn set_variable(
        &mut self,
        scope: Scope,
        name: Name,
        value: String,
        by: Principal,
        at: Timestamp,
    ) -> Result<(), BookError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(BookError::Long(value.len()));
        }
        let others = of(&self.variables, &scope).filter(|entry| entry.name != name);
        let bytes = others.map(|entry| entry.value.len()).sum::<usize>() + value.len();
        if bytes > VARIABLES_BYTES_MAX {
            return Err(BookError::Large(bytes));
        }
        put(&mut self.variables, Entry { scope, name, value, by, at }, VARIABLES_MAX)
    }

    /// Whether there was one.
    pub fn remove_secret(&mut self, scope: &Scope, name: &Name) -> bool {
        remove(&mut self.secrets, scope, name)
    }

    /// Whether there was one.
    pub fn remove_variable(&mut self, scope: &Scope, name: &Name) -> bool {
        remove(&mut self.variables, scope, name)
    }

    /// The secrets of a scope, by name, without their values.
    pub fn secrets(&self, scope: &Scope) -> Vec<Listed> {
        listed(of(&self.secrets, scope).map(|entry| (entry, None)))
    }

    /// The variables of a scope, by name.
    pub fn variables(&self, scope: &Scope) -> Vec<Listed> {
        listed(of(&self.variables, scope).map(|entry| (entry, Some(entry.value.clone()))))
    }

    /// The values of the secrets of these scopes; the later scope wins.
    pub fn open(&self, key: &Key, scopes: &[Scope]) -> Result<BTreeMap<Name, Secret>, OpenError> {
        let mut opened = BTreeMap::new();
        for entry in scopes.iter().flat_map(|scope| of(&self.secrets, scope)) {
            let secret = key.open(&entry.scope.place(&entry.name), &entry.value)?;
            opened.insert(entry.name.clone(), secret);
        }
        Ok(opened)
    }

    /// The names of the secrets of these scopes.
    pub fn secret_names(&self, scopes: &[Scope]) -> Vec<Name> {
        let all = scopes.iter().flat_map(|scope| of(&self.secrets, scope));
        let mut names: Vec<Name> = all.map(|entry| entry.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The variables of these scopes; the later scope wins.
    pub fn values(&self, scopes: &[Scope]) -> BTreeMap<Name, String> {
        let all = scopes.iter().flat_map(|scope| of(&self.variables, scope));
        all.map(|entry| (entry.name.clone(), entry.value.clone())).collect()
    }

    /// The environments of a repository that have something.
    pub fn environments(&self, tenant: &Tenant, repo: &Repo) -> Vec<String> {
        let secrets = self.secrets.iter().map(|entry| &entry.scope);
        let scopes = secrets.chain(self.variables.iter().map(|entry| &entry.scope));
        let named = |scope: &Scope| match scope {
            Scope::Environment { tenant: t, repo: r, environment } if t == tenant && r == repo => {
                Some(environment.clone())
            }
            _ => None,
        };
        let mut names: Vec<String> = scopes.filter_map(named).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn of<'a, T>(entries: &'a [Entry<T>], scope: &'a Scope) -> impl Iterator<Item = &'a Entry<T>> {
    entries.iter().filter(move |entry| entry.scope == *scope)
}

fn put<T>(entries: &mut Vec<Entry<T>>, entry: Entry<T>, most: usize) -> Result<(), BookError> {
    let same = |known: &&mut Entry<T>| known.scope == entry.scope && known.name == entry.name;
    if let Some(known) = entries.iter_mut().find(same) {
        *known = entry;
        return Ok(());
    }
    let count = of(entries, &entry.scope).count();
    if count >= most {
        return Err(BookError::Many(count));
    }
    entries.push(entry);
    Ok(())
}

fn remove<T>(entries: &mut Vec<Entry<T>>, scope: &Scope, name: &Name) -> bool {
    let before = entries.len();
    entries.retain(|entry| entry.scope != *scope || entry.name != *name);
    entries.len() < before
}

fn listed<'a, T: 'a>(entries: impl Iterator<Item = (&'a Entry<T>, Option<String>)>) -> Vec<Listed> {
    let listed = |(entry, value): (&Entry<T>, Option<String>)| Listed {
        name: entry.name.clone(),
        scope: entry.scope.clone(),
        value,
        updated_by: entry.by.clone(),
        updated_at: entry.at,
    };
    let mut all: Vec<Listed> = entries.map(listed).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn scopes() -> [Scope; 3] {
        let (tenant, repo): (Tenant, Repo) = (Tenant::local(), "shop".parse().unwrap());
        [
            Scope::Tenant { tenant: tenant.clone() },
            Scope::Repository { tenant: tenant.clone(), repo: repo.clone() },
            Scope::environment(tenant, repo, "Production"),
        ]
    }

    fn book(key: &Key) -> Book {
        let mut book = Book::default();
        let by: Principal = "ann".parse().unwrap();
        for (n, scope) in (0..).zip(scopes()) {
            for own in ["SHARED", ["T", "R", "E"][usize::from(n)]] {
                let secret = Secret::new(format!("{own}-{n:02}"));
                let at = Timestamp::from_millis(0);
                let nonce = [n; 12];
                let kept =
                    book.set_secret(key, nonce, scope.clone(), name(own), &secret, by.clone(), at);
                kept.unwrap();
                book.set_variable(scope.clone(), name(own), format!("{own}={n}"), by.clone(), at)
                    .unwrap();
            }
        }
        book
    }

    #[test]
    fn the_environment_wins_over_the_repository_and_that_over_the_tenant() {
        let key = Key::new([3; 32]);
        let book = book(&key);
        let all = book.open(&key, &scopes()).unwrap();
        assert_eq!(all[&name("SHARED")].reveal(), "SHARED-02");
        assert_eq!(book.values(&scopes())[&name("SHARED")], "SHARED=2");
        let without = book.open(&key, &scopes()[..2]).unwrap();
        assert_eq!(without[&name("SHARED")].reveal(), "SHARED-01");
        assert!(!without.contains_key(&name("E")), "another environment's");
        assert_eq!(book.environments(&Tenant::local(), &"shop".parse().unwrap()), ["production"]);
    }

    #[test]
    fn a_sealed_value_moved_elsewhere_does_not_open() {
        let key = Key::new([3; 32]);
        let mut book = book(&key);
        let production = book.secrets.iter().find(|entry| entry.name == name("E")).unwrap().clone();
        let [_, repository, _] = scopes();
        book.secrets.push(Entry { scope: repository.clone(), ..production });
        assert_eq!(book.open(&key, &[repository]), Err(OpenError::Damaged));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let key = Key::new([3; 32]);
        let mut book = Book::default();
        let [scope, ..] = scopes();
        let by: Principal = "ann".parse().unwrap();
        let mut set = |name: &str, secret: &str| {
            let (name, secret) = (name.parse().unwrap(), Secret::new(secret));
            let at = Timestamp::from_millis(0);
            book.set_secret(&key, [0; 12], scope.clone(), name, &secret, by.clone(), at)
        };
        for short in ["", "abc", " abc \n", "äöü"] {
            assert_eq!(set("A", short), Err(BookError::Short), "{short:?}");
        }
        assert_eq!(set("A0", "äöüß"), Ok(()));
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        assert_eq!(set("A", &long), Err(BookError::Long(long.len())));
        for n in 0..SECRETS_MAX {
            set(&format!("A{n}"), "four").unwrap();
        }
        assert_eq!(set("B", "four"), Err(BookError::Many(SECRETS_MAX)));
        set("A0", "another").unwrap();
    }
}
