//! Hooks that everybody uses, for when their repository cannot be had: the package that they are
//! published as has the same version, and this says how they are called.

use super::config::Given;

/// A package of hooks, by how its repository's address ends.
pub struct Package {
    pub repository: &'static str,
    pub language: &'static str,
    pub name: &'static str,
    /// Id, entry, types, whether one of the types is enough.
    hooks: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const TEXT: &[&str] = &["text"];
const PYTHON: &[&str] = &["python", "pyi"];

const PACKAGES: &[Package] = &[
    Package {
        repository: "pre-commit/pre-commit-hooks",
        language: "python",
        name: "pre-commit-hooks",
        hooks: &[
            ("check-added-large-files", "check-added-large-files", &[]),
            ("check-ast", "check-ast", &["python"]),
            ("check-case-conflict", "check-case-conflict", &[]),
            ("check-docstring-first", "check-docstring-first", &["python"]),
            ("check-executables-have-shebangs", "check-executables-have-shebangs", TEXT),
            ("check-json", "check-json", &["json"]),
            ("check-merge-conflict", "check-merge-conflict", TEXT),
            ("check-symlinks", "check-symlinks", &["symlink"]),
            ("check-toml", "check-toml", &["toml"]),
            ("check-xml", "check-xml", &["xml"]),
            ("check-yaml", "check-yaml", &["yaml"]),
            ("debug-statements", "debug-statement-hook", &["python"]),
            ("detect-private-key", "detect-private-key", TEXT),
            ("end-of-file-fixer", "end-of-file-fixer", TEXT),
            ("mixed-line-ending", "mixed-line-ending", TEXT),
            ("name-tests-test", "name-tests-test", &["python"]),
            ("pretty-format-json", "pretty-format-json", &["json"]),
            ("requirements-txt-fixer", "requirements-txt-fixer", TEXT),
            ("trailing-whitespace", "trailing-whitespace-fixer", TEXT),
        ],
    },
    Package {
        repository: "psf/black",
        language: "python",
        name: "black",
        hooks: &[("black", "black", PYTHON)],
    },
    Package {
        repository: "psf/black-pre-commit-mirror",
        language: "python",
        name: "black",
        hooks: &[("black", "black", PYTHON)],
    },
    Package {
        repository: "PyCQA/isort",
        language: "python",
        name: "isort",
        hooks: &[("isort", "isort --filter-files", PYTHON)],
    },
    Package {
        repository: "PyCQA/flake8",
        language: "python",
        name: "flake8",
        hooks: &[("flake8", "flake8", &["python"])],
    },
    Package {
        repository: "PyCQA/bandit",
        language: "python",
        name: "bandit",
        hooks: &[("bandit", "bandit", &["python"])],
    },
    Package {
        repository: "asottile/pyupgrade",
        language: "python",
        name: "pyupgrade",
        hooks: &[("pyupgrade", "pyupgrade", &["python"])],
    },
    Package {
        repository: "astral-sh/ruff-pre-commit",
        language: "python",
        name: "ruff",
        hooks: &[
            ("ruff", "ruff check --force-exclude", PYTHON),
            ("ruff-check", "ruff check --force-exclude", PYTHON),
            ("ruff-format", "ruff format --force-exclude", PYTHON),
        ],
    },
    Package {
        repository: "pre-commit/mirrors-mypy",
        language: "python",
        name: "mypy",
        hooks: &[("mypy", "mypy --ignore-missing-imports --scripts-are-modules", PYTHON)],
    },
    Package {
        repository: "codespell-project/codespell",
        language: "python",
        name: "codespell",
        hooks: &[("codespell", "codespell", TEXT)],
    },
    Package {
        repository: "adrienverge/yamllint",
        language: "python",
        name: "yamllint",
        hooks: &[("yamllint", "yamllint", &["yaml"])],
    },
    Package {
        repository: "pre-commit/mirrors-prettier",
        language: "node",
        name: "prettier",
        hooks: &[("prettier", "prettier --write --ignore-unknown", TEXT)],
    },
    Package {
        repository: "pre-commit/mirrors-eslint",
        language: "node",
        name: "eslint",
        hooks: &[("eslint", "eslint", &["javascript"])],
    },
];

/// The package that the hooks of that address are published as.
pub fn package(url: &str) -> Option<&'static Package> {
    let url = url.trim_end_matches('/').trim_end_matches(".git").to_ascii_lowercase();
    PACKAGES.iter().find(|package| {
        let wanted = package.repository.to_ascii_lowercase();
        url.strip_suffix(&wanted).is_some_and(|host| host.ends_with(['/', ':']))
    })
}

impl Package {
    /// What the hook says of itself.
    pub fn hook(&self, id: &str) -> Option<Given> {
        let (_, entry, types) = self.hooks.iter().find(|(own, _, _)| *own == id)?;
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        let several = types.len() > 1;
        Some(Given {
            id: id.to_owned(),
            entry: Some((*entry).to_owned()),
            language: Some(self.language.to_owned()),
            types: (!several && !types.is_empty()).then(|| types.clone()),
            types_or: several.then_some(types),
            require_serial: Some(["black", "mypy", "isort", "ruff"].contains(&self.name)),
            ..Given::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_by_their_repository_whatever_its_host() {
        let name = |url: &str| package(url).map(|package| package.name);
        assert_eq!(name("https://github.com/psf/black"), Some("black"));
        assert_eq!(name("git@github.com:PyCQA/Flake8.git"), Some("flake8"));
        assert_eq!(name("https://example.com/xpsf/black"), None);
        let hook = package("https://github.com/psf/black").unwrap().hook("black").unwrap();
        assert_eq!(hook.types_or.unwrap(), ["python", "pyi"]);
    }
}
