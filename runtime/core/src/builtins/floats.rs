//! Floating point: a long is the bits of a double.

use rstap_abi::fault::Fault;

use crate::call::Call;
use crate::env::Env;
use crate::float;
use crate::text::Text;

fn double(bits: i64) -> f64 {
    f64::from_bits(bits as u64)
}

fn bits(value: f64) -> i64 {
    value.to_bits() as i64
}

impl<E: Env> Call<'_, E> {
    pub fn fp_add(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| bits(double(a) + double(b)))
    }

    pub fn fp_sub(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| bits(double(a) - double(b)))
    }

    pub fn fp_mul(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| bits(double(a) * double(b)))
    }

    pub fn fp_div(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| bits(double(a) / double(b)))
    }

    pub fn fp_rem(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| bits(float::remainder(double(a), double(b))))
    }

    pub fn fp_sqrt(&mut self, a: i64) -> i64 {
        self.env.arithmetic(|| bits(float::square_root(double(a))))
    }

    pub fn fp_eq(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| i64::from(double(a) == double(b)))
    }

    pub fn fp_lt(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| i64::from(double(a) < double(b)))
    }

    pub fn fp_le(&mut self, a: i64, b: i64) -> i64 {
        self.env.arithmetic(|| i64::from(double(a) <= double(b)))
    }

    pub fn fp32_to_fp64(&mut self, a: i64) -> i64 {
        self.env.arithmetic(|| bits(f64::from(f32::from_bits(a as u32))))
    }

    pub fn fp64_to_fp32(&mut self, a: i64) -> i64 {
        self.env.arithmetic(|| (double(a) as f32).to_bits().into())
    }

    pub fn fp_to_long(&mut self, a: i64, rounding: i64) -> i64 {
        match float::Rounding::from_number(rounding) {
            Some(rounding) => self.env.arithmetic(|| float::to_long(double(a), rounding)),
            None => {
                self.fail_saying(Fault::BadArgument, |message| {
                    message.put(b"unknown rounding mode ");
                    message.put_long(rounding);
                });
                0
            }
        }
    }

    pub fn fp_to_string(&mut self, a: i64, decimals: i64, out: &mut Text<'_>) {
        self.env.arithmetic(|| float::put_decimal(double(a), decimals, out));
    }

    pub fn fp_text(&mut self, a: i64, out: &mut Text<'_>) {
        self.env.arithmetic(|| self.env.float_text(double(a), out));
    }

    pub fn fp80_to_fp64(&mut self, mantissa: i64, rest: i64) -> i64 {
        self.env.arithmetic(|| bits(float::of_x87(mantissa as u64, rest as u16)))
    }

    pub fn long_to_fp(&mut self, a: i64) -> i64 {
        self.env.arithmetic(|| bits(a as f64))
    }

    pub fn string_to_fp(&mut self, text: &[u8]) -> i64 {
        self.env.arithmetic(|| float::parse(text).map(bits)).unwrap_or_else(|| {
            self.fail_saying(Fault::BadArgument, |message| {
                message.put(b"invalid format");
            });
            0
        })
    }
}
