//! The library in words, for `--dump-functions` and `--dump-probe-aliases`. Names that begin with `_` are the library's
//! own business and are left out.

use rstap_abi::builtins::{Arg, Builtin, Ret};
use rstap_syntax::ParseConfig;
use rstap_syntax::ast::{self, FunctionBody, Item, TypeName};
use rstap_syntax::source::SourceMap;

use super::Tapset;
use crate::points::{components_text, point_text};

impl Tapset {
    /// `NAME:TYPE (PARAMETER:TYPE, …)` of each function, sorted; types that are inferred are left out.
    pub fn describe_functions(&self) -> Vec<String> {
        self.describe(|item| match item {
            Item::Function(function) if !function.name.text.starts_with('_') => Some(signature(function)),
            _ => None,
        })
    }

    /// `NAME = POINT, …` of each alias, sorted.
    pub fn describe_aliases(&self) -> Vec<String> {
        self.describe(|item| match item {
            Item::Alias(alias) if !alias.name.components[0].name.text.starts_with('_') => {
                let points: Vec<String> = alias.points.iter().map(point_text).collect();
                let operator = if alias.epilogue { "+=" } else { "=" };
                Some(format!("{} {operator} {}", components_text(&alias.name.components), points.join(", ")))
            }
            _ => None,
        })
    }

    fn describe(&self, line: impl Fn(&Item) -> Option<String>) -> Vec<String> {
        let mut sources = SourceMap::default();
        let (macros, _) = self.macros(&mut sources, &ParseConfig::default());
        let config = ParseConfig { library: true, macros: macros.into(), ..ParseConfig::default() };
        let mut lines = Vec::new();
        for file in self.files() {
            let source = sources.add(file.name.clone(), file.text.clone().into_owned());
            let parsed = rstap_syntax::parse(&sources, source, &config);
            lines.extend(parsed.file.items.iter().filter_map(&line));
        }
        lines.sort();
        lines
    }
}

fn signature(function: &ast::Function) -> String {
    let builtin = match &function.body {
        FunctionBody::Embedded(embedded) => Builtin::by_name(embedded.text.trim()).map(Builtin::signature),
        FunctionBody::Script(_) => None,
    };
    let params = function.params.iter().enumerate().map(|(i, param)| {
        let known = param.ty.map(type_name).or_else(|| builtin.and_then(|row| argument(row.args.get(i)?)));
        typed(&param.name.text, known)
    });
    let params: Vec<String> = params.collect();
    let result = function.return_type.map(type_name).or_else(|| builtin.and_then(|row| result(row.ret)));
    format!("{} ({})", typed(&function.name.text, result), params.join(", "))
}

fn typed(name: &str, ty: Option<&str>) -> String {
    ty.map_or_else(|| name.to_owned(), |ty| format!("{name}:{ty}"))
}

fn type_name(ty: TypeName) -> &'static str {
    if ty == TypeName::Long { "long" } else { "string" }
}

fn argument(arg: &Arg) -> Option<&'static str> {
    Some(if *arg == Arg::Str { "string" } else { "long" })
}

fn result(ret: Ret) -> Option<&'static str> {
    match ret {
        Ret::Void => None,
        Ret::Long => Some("long"),
        Ret::Str => Some("string"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_the_declaration_or_from_the_builtin() {
        let mut tapset = Tapset::default();
        tapset.add(
            "a.stp",
            "function f:string(a:long, b) { return \"\" } function g(s) %{ strlen %} function _h() {}",
        );
        assert_eq!(tapset.describe_functions(), ["f:string (a:long, b)", "g:long (s:string)"]);
    }

    #[test]
    fn aliases_are_told_with_what_they_stand_for() {
        let mut tapset = Tapset::default();
        tapset.add("a.stp", "probe a.b += begin(1), timer.s(2)? {}");
        assert_eq!(tapset.describe_aliases(), ["a.b += begin(1), timer.s(2)?"]);
    }
}
