//! Tests of DBC files.

use super::*;
use crate::Unknown;
use proptest::prelude::*;

fn parse(text: &str) -> Dbc {
    Dbc::parse(text.as_bytes(), "test.dbc").unwrap()
}

fn first(signal: &str) -> Signal {
    parse(&format!("BO_ 1 M: 8 X\n SG_ {signal}\n")).messages.remove(0).signals.remove(0)
}

#[test]
fn a_signal_is_read_in_every_spelling() {
    for text in [
        "A : 7|16@0- (0.5,-1) [0|1.7976931348623157E+308] \"mV\" X",
        "A:7|16@0-(0.5,-1)[0|1e3]\"mV\"",
        "\tA :7 | 16 @ 0 - ( .5 , -1.0E+000 ) [ 0 | 5 ] \"mV\" X,Y\r",
    ] {
        let signal = first(text);
        assert_eq!(
            (signal.start, signal.size, signal.big_endian, signal.number),
            (7, 16, true, Number::Signed),
            "{text}"
        );
        assert_eq!((signal.factor, signal.offset, signal.unit.as_str()), (0.5, -1.0, "mV"), "{text}");
    }
}

#[test]
fn statements_that_are_not_known_or_broken_are_left_out_with_their_line() {
    let dbc = parse(
        "\u{feff}VERSION \"\"\nNS_ :\n\tCM_\n\tBA_DEF_\n\tNEW_\nBS_:\nBU_: A\nBO_ 1 M: 8 A\n SG_ A : 0|0@1+ (1,0) [0|0] \"\" X\n \
         SG_ B : 0|8@1+ (1,0) [0|0] \"\" X\nFOO_ 1 \"a;b\"\n  more;\nVAL_ 1 B 0 \"a; b\" 1 \"two\nlines\"\n2 \"c\";\nCM_ \"BO_ 2 N: 8 A\n BO_\";\n",
    );
    assert_eq!(dbc.messages.len(), 1);
    assert_eq!(dbc.messages[0].signals.len(), 1);
    assert_eq!(dbc.messages[0].signals[0].values[&1], "two\nlines");
    assert_eq!(dbc.messages[0].signals[0].values[&2], "c");
    assert!(dbc.warnings.iter().any(|w| w.starts_with("line 9:")), "{:?}", dbc.warnings);
    assert!(dbc.warnings.iter().any(|w| w.contains("FOO_")), "{:?}", dbc.warnings);
}

#[test]
fn a_file_is_read_in_every_encoding() {
    let text = "VERSION \"\"\r\nBO_ 1 M: 8 A\r\n SG_ A : 0|8@1+ (1,0) [0|0] \"°C\" X\r\n SG_ B : 8|8@1+ (1,0) [0|0] \"\" X\r\n";
    let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
    };
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let returns = text.replace('\n', "");
    for bytes in [text.into(), latin, wide(u16::to_le_bytes), wide(u16::to_be_bytes), returns.into_bytes()] {
        let dbc = Dbc::parse(&bytes, "x").unwrap();
        let signals = &dbc.messages[0].signals;
        assert_eq!((signals.len(), signals[0].unit.as_str()), (2, "°C"), "{bytes:?}");
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    assert!(Dbc::parse(b"hello world", "x").is_err());
    assert!(Dbc::parse(b"", "x").is_err());
}

#[test]
fn identifiers_of_29_bits_and_parameter_groups() {
    let dbc = parse(
        "BO_ 2565866750 P: 8 X\nBO_ 419361278 Q: 8 X\nBA_DEF_ BO_ \"VFrameFormat\" ENUM \"StandardCAN\",\"J1939PG\";\n\
         BA_DEF_DEF_ \"VFrameFormat\" \"StandardCAN\";\nBA_ \"VFrameFormat\" BO_ 2565866750 1;\n",
    );
    let [p, q] = &dbc.messages[..] else { panic!() };
    assert!(p.j1939 && p.extended && p.has_id(0x0cf0_04f3, true) == p.has_id(0x18f0_04f3, true));
    assert!(q.extended && !q.j1939 && dbc.warnings.len() == 1);
    assert_eq!(Message::parameter_group(0x18ef_c034), 0xef00);
    assert_eq!(Message::parameter_group(0x18f0_04f3), 0xf004);
}

#[track_caller]
fn reads(signal: &str, values: &str, data: &[u8], expected: crate::Reading) {
    let dbc = parse(&format!("BO_ 1 M: 8 X\n SG_ A : {signal} X\nVAL_ 1 A {values} ;\n"));
    assert_eq!(dbc.messages[0].signals[0].read(data, false), Some(expected));
}

#[test]
fn values_that_are_none_have_their_cause() {
    let u8s = "0|8@1+ (0.5,0) [0|100] \"%\"";
    reads(u8s, "", &[200], Ok(100.0));
    reads(u8s, "", &[255], Err(Unknown::NotAvailable));
    reads(u8s, "", &[254], Err(Unknown::OutOfRange));
    reads(u8s, "10 \"SNA\"", &[10], Err(Unknown::NotAvailable));
    reads(u8s, "10 \"Sensor_Fault\"", &[10], Err(Unknown::SensorFault));
    reads(u8s, "10 \"No Error\"", &[10], Ok(5.0));
    reads("0|8@1- (1,0) [-100|100] \"A\"", "", &[0xff], Ok(-1.0));
    reads("0|8@1- (1,0) [-100|100] \"A\"", "-128 \"x\"", &[0x80], Err(Unknown::NotAvailable));
    reads("0|8@1+ (1,0) [0|0] \"A\"", "", &[255], Ok(255.0));
    // A range that is not stated, or that is all that the bits can say, makes them no value.
    for range in ["0|0", "0|32767.5", "0|40000"] {
        let u16s = format!("0|16@1+ (0.5,0) [{range}] \"V\"");
        reads(&u16s, "", &[0xff, 0xff], Err(Unknown::NotAvailable));
        reads(&u16s, "65535 \"Full\"", &[0xff, 0xff], Ok(32_767.5));
        reads(&u16s, "", &[0xfe, 0xff], Ok(32_767.0));
    }
    for range in ["0|0", "-16384|16383.5"] {
        let i16s = format!("0|16@1- (0.5,0) [{range}] \"A\"");
        reads(&i16s, "", &[0xff, 0x7f], Err(Unknown::NotAvailable));
        reads(&i16s, "", &[0x00, 0x80], Err(Unknown::NotAvailable));
        reads(&i16s, "", &[0xff, 0xff], Ok(-0.5));
    }
}

#[test]
fn a_number_that_an_attribute_calls_invalid_is_none() {
    #[track_caller]
    fn check(signal: &str, attributes: &str, data: &[u8], expected: crate::Reading) {
        let dbc = parse(&format!(
            "BO_ 1 M: 8 X\n SG_ A : {signal} X\nBA_DEF_ SG_ \"GenSigInvalidValue\" INT 0 65535;\n\
             BA_DEF_DEF_ \"GenSigInvalidValue\" 0;\n{attributes}"
        ));
        assert_eq!(dbc.messages[0].signals[0].read(data, false), Some(expected), "{signal} {attributes}");
    }
    let attribute = |value: &str| format!("BA_ \"GenSigInvalidValue\" SG_ 1 A {value};\n");
    let unsigned = "0|16@1+ (0.1,0) [0|1000] \"V\"";
    for stated in ["9999", "9999.0", "\"9999\"", "\"0x270F\""] {
        check(unsigned, &attribute(stated), &[0x0f, 0x27], Err(Unknown::NotAvailable));
        check(unsigned, &attribute(stated), &[0x10, 0x27], Ok(1000.0));
    }
    // A word of the file for the same number, behind the attribute.
    let words = attribute("9999") + "VAL_ 1 A 9999 \"Reserved\" 1 \"one\" ;\n";
    check(unsigned, &words, &[0x0f, 0x27], Err(Unknown::NotAvailable));
    let words = attribute("9999") + "VAL_ 1 A 9999 \"Sensor fault\" ;\n";
    check(unsigned, &words, &[0x0f, 0x27], Err(Unknown::SensorFault));
    // Of a signed signal, by its value or by its bits.
    for stated in ["-32767", "32769"] {
        check("0|16@1- (1,0) [0|0] \"A\"", &attribute(stated), &[0x01, 0x80], Err(Unknown::NotAvailable));
    }
    // The default is that of signals which have none.
    check(unsigned, "", &[0, 0], Ok(0.0));
    check(unsigned, &attribute("0"), &[0, 0], Ok(0.0));
    check(unsigned, &attribute("word"), &[0x10, 0x27], Ok(1000.0));
}

#[test]
fn floats_and_short_frames() {
    let dbc = parse("BO_ 1 M: 8 X\n SG_ A : 0|32@1- (1,0) [0|1000] \"V\" X\nSIG_VALTYPE_ 1 A : 1;\n");
    let signal = &dbc.messages[0].signals[0];
    assert_eq!(signal.read(&355.25f32.to_le_bytes(), false), Some(Ok(355.25)));
    assert_eq!(signal.read(&f32::NAN.to_le_bytes(), false), Some(Err(Unknown::NotAvailable)));
    assert_eq!(signal.read(&[0; 3], false), None);
}

fn pack(signal: &Signal, bits: u64, data: &mut [u8; 64]) {
    for i in 0..signal.size {
        let (byte, bit, value) = if signal.big_endian {
            let at = (signal.start / 8) * 8 + 7 - signal.start % 8 + i;
            (at / 8, 7 - at % 8, bits >> (signal.size - 1 - i) & 1)
        } else {
            ((signal.start + i) / 8, (signal.start + i) % 8, bits >> i & 1)
        };
        data[byte] = data[byte] & !(1 << bit) | (value as u8) << bit;
    }
}

proptest! {
    #[test]
    fn what_is_packed_is_read(start in 0..400usize, size in 1..=64usize, big_endian: bool, value: u64, mut noise in any::<[u8; 32]>()) {
        let mut signal = first("A : 0|1@1+ (1,0) [0|0] \"\" X");
        (signal.start, signal.size, signal.big_endian) = (start, size, big_endian);
        let bits = value & (u64::MAX >> (64 - size));
        noise.reverse();
        let mut data = [0; 64];
        data[..32].copy_from_slice(&noise);
        pack(&signal, bits, &mut data);
        prop_assert_eq!(signal.bits(&data), Some(bits));
    }

    #[test]
    fn no_text_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), words in prop::collection::vec(0..14usize, 0..40)) {
        let _ = Dbc::parse(&bytes, "x");
        let parts = ["BO_ ", "SG_ ", "1 ", "A ", ": ", "0|8@1+ ", "(1,0) ", "[0|1] ", "\"", "\n", ";", "VAL_ ", "SG_MUL_VAL_ ", "1-2,"];
        let text: String = words.into_iter().map(|w| parts[w]).collect();
        let _ = Dbc::parse(text.as_bytes(), "x");
    }
}
