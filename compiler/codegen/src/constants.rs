//! The constants of a script: literals, texts and formats, which stand in the image right behind its header, so that
//! their offsets are known while code is emitted.

use std::collections::HashMap;

use rstap_abi::format::Directive;
use rstap_abi::image::{ImageHeader, Text};
use rstap_sema::ir;

use crate::bytes::{push_i32, push_u32};

/// Image offset of the first constant.
pub(crate) const START: usize = size_of::<ImageHeader>();

/// Constants gathered so far; equal ones share a place.
#[derive(Default)]
pub(crate) struct Constants {
    bytes: Vec<u8>,
    texts: HashMap<Vec<u8>, Text>,
    formats: HashMap<Vec<u8>, u32>,
}

impl Constants {
    /// Where a text stands.
    pub(crate) fn text(&mut self, text: &[u8]) -> Text {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let placed = Text { at: self.append(text), len: text.len() as u32 };
        self.texts.insert(text.to_vec(), placed);
        placed
    }

    /// Where the directives of a format stand.
    pub(crate) fn format(&mut self, directives: &[ir::Directive]) -> u32 {
        let mut encoded = Vec::with_capacity(directives.len() * size_of::<Directive>());
        for directive in directives {
            encode(&self.directive(directive), &mut encoded);
        }
        if let Some(known) = self.formats.get(&encoded) {
            return *known;
        }
        self.align(align_of::<Directive>());
        let at = self.append(&encoded);
        self.formats.insert(encoded, at);
        at
    }

    /// All of them; the first byte is for the image offset [`START`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn directive(&mut self, directive: &ir::Directive) -> Directive {
        match directive {
            ir::Directive::Literal(text) => {
                let Text { at, len } = self.text(text);
                Directive {
                    conversion: rstap_abi::format::conversion::LITERAL,
                    flags: 0,
                    pad: 0,
                    width: rstap_abi::format::UNSET,
                    precision: rstap_abi::format::UNSET,
                    text: at,
                    text_len: len,
                }
            }
            ir::Directive::Conversion { conversion, flags, width, precision } => Directive {
                conversion: *conversion,
                flags: *flags,
                pad: 0,
                width: *width,
                precision: *precision,
                text: 0,
                text_len: 0,
            },
        }
    }

    fn append(&mut self, bytes: &[u8]) -> u32 {
        let at = START + self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        at as u32
    }

    fn align(&mut self, to: usize) {
        let end = (START + self.bytes.len()).next_multiple_of(to);
        self.bytes.resize(end - START, 0);
    }
}

fn encode(directive: &Directive, out: &mut Vec<u8>) {
    out.push(directive.conversion);
    out.push(directive.flags);
    out.extend_from_slice(&directive.pad.to_le_bytes());
    push_i32(out, directive.width);
    push_i32(out, directive.precision);
    push_u32(out, directive.text);
    push_u32(out, directive.text_len);
}
