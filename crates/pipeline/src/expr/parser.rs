use super::error::{ExprError, Problem};
use super::function::Function;
use super::lexer::{Kind, Token, tokens};
use super::value::Value;
use super::{EXPRESSION_DEPTH_MAX, EXPRESSION_LENGTH_MAX};

/// Parentheses may be nested this deep: they are no nodes, and yet take room on the stack.
const GROUPS_MAX: usize = 200;

/// An expression: its text, without `${{` and `}}`, and what it means.
#[derive(Clone, Debug)]
pub struct Expr {
    pub text: String,
    pub node: Node,
}

/// What an expression is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Literal(Value),
    /// A context: `github`.
    Name(String),
    /// `left[right]`; `left.name` with a literal.
    Index(Box<Node>, Box<Node>),
    /// `left.*`.
    Wildcard(Box<Node>),
    Not(Box<Node>),
    Compare(Compare, Box<Node>, Box<Node>),
    /// `a && b && c`.
    And(Vec<Node>),
    /// `a || b || c`.
    Or(Vec<Node>),
    Call(Function, Vec<Node>),
}

/// The operators that compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What may be named where an expression stands.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Contexts, in lower case.
    pub contexts: &'a [&'a str],
    /// `success` and its like, and `hashFiles`; the others may be called everywhere.
    pub functions: &'a [&'a str],
}

impl Scope<'static> {
    /// Every context and every function: for text that was checked before.
    pub const ANY: Self = Self {
        contexts: &[
            "github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy",
            "matrix", "needs", "inputs",
        ],
        functions: &["success", "failure", "always", "cancelled", "hashFiles"],
    };
}

impl Scope<'_> {
    fn allows(self, function: Function) -> bool {
        match function {
            Function::Status(_) | Function::HashFiles => self.functions.contains(&function.name()),
            _ => true,
        }
    }
}

impl Expr {
    /// Reads the text between `${{` and `}}`.
    pub fn parse(text: &str, scope: Scope<'_>) -> Result<Self, ExprError> {
        if text.encode_utf16().count() > EXPRESSION_LENGTH_MAX {
            return Err(ExprError::new(Problem::TooLong, 0, text.len()));
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err(ExprError::new(Problem::Empty, 0, text.len()));
        }
        let mut parser = Parser { text, tokens: &tokens, at: 0, groups: 0, scope };
        let node = parser.expression(0)?;
        if let Some(token) = parser.peek() {
            return Err(parser.unexpected(token));
        }
        if node.depth() > EXPRESSION_DEPTH_MAX {
            return Err(ExprError::new(Problem::TooDeep, 0, text.len()));
        }
        Ok(Self { text: text.to_owned(), node })
    }
}

impl Node {
    /// How many nodes stand above one another.
    pub(super) fn depth(&self) -> usize {
        1 + self.children().map(Self::depth).max().unwrap_or(0)
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::Literal(_) | Self::Name(_) => Box::new(std::iter::empty()),
            Self::Wildcard(inner) | Self::Not(inner) => Box::new(std::iter::once(&**inner)),
            Self::Index(a, b) | Self::Compare(_, a, b) => Box::new([&**a, &**b].into_iter()),
            Self::And(nodes) | Self::Or(nodes) | Self::Call(_, nodes) => Box::new(nodes.iter()),
        }
    }

    /// Whether `wanted` holds for this node or one below it.
    pub fn any(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        wanted(self) || self.children().any(|child| child.any(wanted))
    }

    /// What is read of contexts: the name of one, and those below it as far as they are written.
    pub(super) fn places(&self, found: &mut Vec<Vec<String>>) {
        match self.place() {
            Some(place) => found.push(place),
            None => self.children().for_each(|child| child.places(found)),
        }
    }

    fn place(&self) -> Option<Vec<String>> {
        match self {
            Self::Name(name) => Some(vec![name.clone()]),
            Self::Index(left, index) => {
                let Self::Literal(Value::String(name)) = &**index else { return None };
                let mut place = left.place()?;
                place.push(name.to_string());
                Some(place)
            }
            _ => None,
        }
    }

    /// Whether a status function is called.
    pub fn asks_for_status(&self) -> bool {
        self.any(&|node| matches!(node, Self::Call(Function::Status(_), _)))
    }

    /// Whether the context of that name is read.
    pub fn reads(&self, context: &str) -> bool {
        self.any(&|node| matches!(node, Self::Name(name) if name.eq_ignore_ascii_case(context)))
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    groups: usize,
    scope: Scope<'a>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<&'a Token, ExprError> {
        let token = self.peek().ok_or_else(|| self.ended())?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, kind: &Kind) -> Result<(), ExprError> {
        let token = self.next()?;
        if token.kind == *kind { Ok(()) } else { Err(self.unexpected(token)) }
    }

    fn lexeme(&self, token: &Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    fn unexpected(&self, token: &Token) -> ExprError {
        let symbol = self.lexeme(token).to_owned();
        ExprError::new(Problem::UnexpectedSymbol(symbol), token.start, token.end - token.start)
    }

    fn ended(&self) -> ExprError {
        match self.tokens.last() {
            Some(last) => {
                let lexeme = self.lexeme(last).to_owned();
                ExprError::new(Problem::UnexpectedEnd(lexeme), last.start, last.end - last.start)
            }
            None => ExprError::new(Problem::Empty, 0, 0),
        }
    }

    /// Pratt's: goes on as long as the next operator binds tighter than `floor`.
    fn expression(&mut self, floor: u8) -> Result<Node, ExprError> {
        self.groups += 1;
        if self.groups > GROUPS_MAX {
            return Err(ExprError::new(Problem::TooDeep, 0, self.text.len()));
        }
        let mut left = self.unary()?;
        let mut compared = 0;
        while let Some((operator, power)) = self.peek().and_then(|token| binary(&token.kind)) {
            if power <= floor {
                break;
            }
            self.at += 1;
            // Each comparison of a chain is a level of its own; `&&` and `||` are not.
            compared += usize::from(matches!(operator, Operator::Compare(_)));
            if compared > EXPRESSION_DEPTH_MAX {
                return Err(ExprError::new(Problem::TooDeep, 0, self.text.len()));
            }
            let right = self.expression(power)?;
            left = operator.join(left, right);
        }
        self.groups -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, ExprError> {
        let mut negations = 0;
        while self.peek().is_some_and(|token| token.kind == Kind::Not) {
            self.at += 1;
            negations += 1;
            if negations > EXPRESSION_DEPTH_MAX {
                return Err(ExprError::new(Problem::TooDeep, 0, self.text.len()));
            }
        }
        let primary = self.primary()?;
        let operand = self.dereferenced(primary)?;
        Ok((0..negations).fold(operand, |node, _| Node::Not(Box::new(node))))
    }

    fn primary(&mut self) -> Result<Node, ExprError> {
        let token = self.next()?;
        Ok(match &token.kind {
            Kind::True => Node::Literal(Value::Bool(true)),
            Kind::False => Node::Literal(Value::Bool(false)),
            Kind::Null => Node::Literal(Value::Null),
            Kind::Number(number) => Node::Literal(Value::Number(*number)),
            Kind::Text(text) => Node::Literal(Value::from(text)),
            Kind::Identifier if self.peek().is_some_and(|t| t.kind == Kind::OpenGroup) => {
                return self.call(token);
            }
            Kind::Identifier => return self.name(token),
            Kind::OpenGroup => {
                let inner = self.expression(0)?;
                self.expect(&Kind::CloseGroup)?;
                inner
            }
            _ => return Err(self.unexpected(token)),
        })
    }

    fn name(&self, token: &Token) -> Result<Node, ExprError> {
        let name = self.lexeme(token);
        let same = |context: &&str| context.eq_ignore_ascii_case(name);
        if self.scope.contexts.iter().any(same) {
            return Ok(Node::Name(name.to_ascii_lowercase()));
        }
        let known = Scope::ANY.contexts.iter().any(same);
        let problem = if known { Problem::NotHere } else { Problem::UnknownName };
        Err(ExprError::new(problem(name.to_owned()), token.start, name.len()))
    }

    fn call(&mut self, token: &Token) -> Result<Node, ExprError> {
        let name = self.lexeme(token);
        let error = |problem| ExprError::new(problem, token.start, name.len());
        let function = Function::named(name)
            .ok_or_else(|| error(Problem::UnknownFunction(name.to_owned())))?;
        if !self.scope.allows(function) {
            return Err(error(Problem::NotHere(format!("{}()", function.name()))));
        }
        self.expect(&Kind::OpenGroup)?;
        let mut arguments = Vec::new();
        if self.peek().is_some_and(|t| t.kind == Kind::CloseGroup) {
            self.at += 1;
        } else {
            loop {
                arguments.push(self.expression(0)?);
                let token = self.next()?;
                match token.kind {
                    Kind::Comma => {}
                    Kind::CloseGroup => break,
                    _ => return Err(self.unexpected(token)),
                }
            }
        }
        let (least, most) = function.arguments();
        match arguments.len() {
            count if count < least => Err(error(Problem::TooFew(function.name()))),
            count if count > most => Err(error(Problem::TooMany(function.name()))),
            count if function == Function::Case && count % 2 == 0 => {
                Err(error(Problem::Even(function.name())))
            }
            _ => Ok(Node::Call(function, arguments)),
        }
    }

    fn dereferenced(&mut self, mut node: Node) -> Result<Node, ExprError> {
        let mut steps = 0;
        while let Some(token) = self.peek() {
            node = match token.kind {
                Kind::Dot => {
                    self.at += 1;
                    let property = self.next()?;
                    match property.kind {
                        Kind::Star => Node::Wildcard(Box::new(node)),
                        Kind::Identifier => {
                            let name = Value::from(self.lexeme(property));
                            Node::Index(Box::new(node), Box::new(Node::Literal(name)))
                        }
                        _ => return Err(self.unexpected(property)),
                    }
                }
                Kind::OpenIndex => {
                    self.at += 1;
                    self.index(node)?
                }
                _ => break,
            };
            steps += 1;
            if steps >= EXPRESSION_DEPTH_MAX {
                return Err(ExprError::new(Problem::TooDeep, 0, self.text.len()));
            }
        }
        Ok(node)
    }

    fn index(&mut self, node: Node) -> Result<Node, ExprError> {
        if self.peek().is_some_and(|token| token.kind == Kind::Star) {
            self.at += 1;
            self.expect(&Kind::CloseIndex)?;
            return Ok(Node::Wildcard(Box::new(node)));
        }
        let index = self.expression(0)?;
        self.expect(&Kind::CloseIndex)?;
        Ok(Node::Index(Box::new(node), Box::new(index)))
    }
}

enum Operator {
    And,
    Or,
    Compare(Compare),
}

impl Operator {
    fn join(self, left: Node, right: Node) -> Node {
        match (self, left) {
            (Self::Compare(compare), left) => {
                Node::Compare(compare, Box::new(left), Box::new(right))
            }
            (Self::And, Node::And(mut nodes)) => {
                nodes.push(right);
                Node::And(nodes)
            }
            (Self::Or, Node::Or(mut nodes)) => {
                nodes.push(right);
                Node::Or(nodes)
            }
            (Self::And, left) => Node::And(vec![left, right]),
            (Self::Or, left) => Node::Or(vec![left, right]),
        }
    }
}

fn binary(kind: &Kind) -> Option<(Operator, u8)> {
    Some(match kind {
        Kind::Or => (Operator::Or, 1),
        Kind::And => (Operator::And, 2),
        Kind::Equal => (Operator::Compare(Compare::Equal), 3),
        Kind::NotEqual => (Operator::Compare(Compare::NotEqual), 3),
        Kind::Less => (Operator::Compare(Compare::Less), 4),
        Kind::LessOrEqual => (Operator::Compare(Compare::LessOrEqual), 4),
        Kind::Greater => (Operator::Compare(Compare::Greater), 4),
        Kind::GreaterOrEqual => (Operator::Compare(Compare::GreaterOrEqual), 4),
        _ => return None,
    })
}
