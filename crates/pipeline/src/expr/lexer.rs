use super::error::{ExprError, Problem};
use super::number;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    OpenGroup,
    CloseGroup,
    OpenIndex,
    CloseIndex,
    Comma,
    Dot,
    Star,
    Not,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    And,
    Or,
    True,
    False,
    Null,
    Number(f64),
    Text(String),
    Identifier,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ExprError> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new() };
    while let Some(c) = lexer.peek() {
        if c.is_whitespace() {
            lexer.at += c.len_utf8();
        } else {
            let start = lexer.at;
            let kind = lexer.token(c)?;
            lexer.tokens.push(Token { kind, start, end: lexer.at });
        }
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn token(&mut self, c: char) -> Result<Kind, ExprError> {
        match c {
            '(' => self.single(Kind::OpenGroup),
            ')' => self.single(Kind::CloseGroup),
            '[' => self.single(Kind::OpenIndex),
            ']' => self.single(Kind::CloseIndex),
            ',' => self.single(Kind::Comma),
            '*' => self.single(Kind::Star),
            '\'' => self.text(),
            '!' => self.with_equals(Kind::Not, Kind::NotEqual),
            '>' => self.with_equals(Kind::Greater, Kind::GreaterOrEqual),
            '<' => self.with_equals(Kind::Less, Kind::LessOrEqual),
            '=' => self.doubled(Kind::Equal),
            '&' => self.doubled(Kind::And),
            '|' => self.doubled(Kind::Or),
            '.' if self.after_operand() => self.single(Kind::Dot),
            '.' | '-' | '+' | '0'..='9' => self.number(),
            _ => self.word(),
        }
    }

    fn single(&mut self, kind: Kind) -> Result<Kind, ExprError> {
        self.at += 1;
        Ok(kind)
    }

    fn with_equals(&mut self, alone: Kind, with: Kind) -> Result<Kind, ExprError> {
        self.at += 1;
        if self.peek() == Some('=') {
            return self.single(with);
        }
        Ok(alone)
    }

    fn doubled(&mut self, kind: Kind) -> Result<Kind, ExprError> {
        let start = self.at;
        let first = self.peek();
        self.at += 1;
        if self.peek() == first {
            return self.single(kind);
        }
        self.skip_to_boundary(false);
        Err(self.unexpected(start))
    }

    /// Whether a dot here dereferences what stands before it.
    fn after_operand(&self) -> bool {
        use Kind::{CloseGroup, CloseIndex, False, Identifier, Null, Number, Star, Text, True};
        let operand = |token: &Token| {
            matches!(
                token.kind,
                CloseGroup
                    | CloseIndex
                    | Star
                    | True
                    | False
                    | Null
                    | Number(_)
                    | Text(_)
                    | Identifier
            )
        };
        self.tokens.last().is_some_and(operand)
    }

    fn text(&mut self) -> Result<Kind, ExprError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c != '\'' {
                text.push(c);
            } else if self.peek() == Some('\'') {
                self.at += 1;
                text.push('\'');
            } else {
                return Ok(Kind::Text(text));
            }
        }
        Err(self.unexpected(start))
    }

    fn number(&mut self) -> Result<Kind, ExprError> {
        let start = self.at;
        self.skip_to_boundary(true);
        let value = number::parse(&self.source[start..self.at]);
        if value.is_nan() { Err(self.unexpected(start)) } else { Ok(Kind::Number(value)) }
    }

    fn word(&mut self) -> Result<Kind, ExprError> {
        let start = self.at;
        self.skip_to_boundary(false);
        let word = &self.source[start..self.at];
        if !is_identifier(word) {
            return Err(self.unexpected(start));
        }
        if self.tokens.last().is_some_and(|token| token.kind == Kind::Dot) {
            return Ok(Kind::Identifier);
        }
        Ok(match word {
            "true" => Kind::True,
            "false" => Kind::False,
            "null" => Kind::Null,
            "NaN" => Kind::Number(f64::NAN),
            "Infinity" => Kind::Number(f64::INFINITY),
            _ => Kind::Identifier,
        })
    }

    fn skip_to_boundary(&mut self, over_dots: bool) {
        while let Some(c) = self.peek() {
            if (c.is_whitespace() || "()[],.!><=&|".contains(c)) && !(over_dots && c == '.') {
                break;
            }
            self.at += c.len_utf8();
        }
    }

    fn unexpected(&self, start: usize) -> ExprError {
        let symbol = &self.source[start..self.at];
        ExprError::new(Problem::UnexpectedSymbol(symbol.to_owned()), start, symbol.len())
    }
}

fn is_identifier(word: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    word.starts_with(first) && word.chars().all(|c| first(c) || c.is_ascii_digit() || c == '-')
}
