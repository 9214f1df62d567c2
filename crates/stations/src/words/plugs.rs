//! Which plugs the text of a connector's type names.

use super::plain;
use crate::Plug;

/// Words of a connector's type that say how it is built and not which it is.
const QUALIFIERS: &[&str] = &[
    "ac",
    "dc",
    "outlet",
    "socket",
    "sockets",
    "only",
    "connector",
    "plug",
    "cable",
    "attached",
    "tethered",
    "with",
    "inlet",
    "steckdose",
    "steckdosen",
    "stecker",
    "kupplung",
    "fahrzeugkupplung",
    "fahrzeugstecker",
    "ladekabel",
    "kabel",
    "festangeschlagen",
    "prise",
    "prises",
    "connecteur",
    "cable",
    "câble",
    "attaché",
    "mode",
    "standard",
    "mit",
    "ohne",
    "avec",
    "sans",
    "fest",
    "festem",
    "fixed",
    "integriertem",
    "angeschlagen",
    "dose",
    "plugs",
    "connectors",
    "female",
    "male",
    "eu",
];

/// A text without how many of them there are: `2x CCS`, `1 x Typ 2`, `CCS (x2)`.
fn without_number(text: &str) -> &str {
    let is_digit = |c: char| c.is_ascii_digit();
    let text = text.trim();
    let ahead = text.trim_start_matches(is_digit);
    let rest =
        ahead.trim_start().strip_prefix(['x', '×']).filter(|_| (1..=2).contains(&(text.len() - ahead.len())));
    let text = match rest {
        Some(rest) if !rest.is_empty() => rest.trim_start(),
        _ => text,
    };
    let open = text.strip_suffix(')').unwrap_or(text);
    let behind = open.trim_end_matches(is_digit);
    let rest = behind.trim_end().strip_suffix(['x', '×']).filter(|_| behind.len() < open.len());
    match rest {
        Some(rest) if rest.ends_with([' ', '(']) => rest.trim_end_matches([' ', '(']),
        _ => text,
    }
}

/// The plug that a text names as a whole; `None` where it is not understood.
pub(crate) fn plug(text: &str) -> Option<Plug> {
    let text = without_number(text);
    of_plain(&plain(text)).or_else(|| {
        let text = without_power(text);
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let core: String = words
            .map(str::to_lowercase)
            .filter(|word| !QUALIFIERS.contains(&&**word))
            .collect::<Vec<_>>()
            .concat();
        of_plain(&plain(&core))
    })
}

/// A text without the powers and currents that it states: `CCS 150 kW`, `Typ 2 22kW`, `Type2 (32A)`.
fn without_power(text: &str) -> String {
    let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    let mut words: Vec<&str> = Vec::new();
    for word in text.split([' ', '(', ')', ':']).filter(|word| !word.is_empty()) {
        let unit = word.trim_start_matches(is_of_number);
        let is_unit = ["kw", "kva", "a", "w"].iter().any(|known| unit.eq_ignore_ascii_case(known));
        match (is_unit, unit.len() < word.len()) {
            (true, true) => {}
            (true, false) if words.last().is_some_and(|last| last.chars().all(is_of_number)) => {
                words.pop();
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}

fn of_plain(plain: &str) -> Option<Plug> {
    Some(match plain {
        // OCPI `IEC_62196_T2_COMBO`, OCPP `cCCS2`, OICP and Open Charge Map names, BNetzA `DC Kupplung Combo`.
        "ccs"
        | "ccs2"
        | "comboccs"
        | "ccscombo"
        | "ccscombo2"
        | "combo2"
        | "combo"
        | "cccs2"
        | "ccstype2"
        | "ccstyp2"
        | "type2ccs"
        | "typ2ccs"
        | "type2combo"
        | "typ2combo"
        | "combotype2"
        | "combotyp2"
        | "iec621963configurationff"
        | "typcombo2ccs"
        | "typcombo2"
        | "comboccs2"
        | "iec62196t2combo"
        | "iec621963ff"
        | "iec62196t3ff"
        | "iec621962t2combo"
        | "combo2ccs"
        | "ccscombotype2"
        | "ccscombotyp2"
        | "combinedchargingsystem"
        | "combinedchargingsystemccs"
        | "ccscombinedchargingsystem"
        | "iec621963type2combo"
        | "iec621963typ2combo"
        | "iec62196type2combo"
        | "typecomboccs"
        | "prisetypecomboccs"
        | "comboccstype2"
        | "eccs" => Plug::Ccs,
        "ccs1"
        | "cccs1"
        | "ccstype1"
        | "ccstyp1"
        | "ccscombo1"
        | "combo1"
        | "iec62196t1combo"
        | "type1combo"
        | "typ1combo"
        | "type1ccs"
        | "combo1ccs"
        | "ccscombotype1"
        | "j1772combo"
        | "saecombo"
        | "saej1772combo"
        | "iec621963configurationee" => Plug::Ccs1,
        // JEVS G105 is CHAdeMO's own standard.
        "chademo"
        | "cg105"
        | "g105"
        | "jevsg105"
        | "iec621963configurationaa"
        | "typechademo"
        | "prisetypechademo"
        | "chademo2"
        | "yazaki" => Plug::Chademo,
        "type2" | "typ2" | "t2" | "standardtype2" | "fastac43" | "iec62196t2" | "iec62196type2"
        | "iec62196typ2" | "iec621962t2" | "iec621962type2" | "iec621962typ2" | "mennekes"
        | "type2mennekes" | "t2s" | "mennekestyp2" | "mennekestype2" | "typ2mennekes" | "ctype2"
        | "stype2" | "prisetype2" | "typemennekes" | "ac43" | "fastac" | "ac43kw" | "type2acsocket"
        | "type2s" => Plug::Type2,
        "type1" | "typ1" | "iec62196t1" | "iec62196type1" | "iec621962t1" | "ctype1" | "j1772"
        | "saej1772" | "type1j1772" | "j1772type1" => Plug::Type1,
        "type3"
        | "type3c"
        | "type3a"
        | "typ3"
        | "iec62196t3c"
        | "iec62196t3a"
        | "iec62196t3"
        | "stype3"
        | "scametype3c"
        | "scametype3cschneiderlegrand"
        | "scametype3a"
        | "scametype3alowpower"
        | "scame"
        | "prisetype3" => Plug::Type3,
        // CEE 7 and its national kin.
        "domestic" | "ef" | "typeef" | "prisetypeef" | "domestica" | "domesticb" | "domesticc"
        | "domesticd" | "domestice" | "domesticf" | "domesticg" | "domestich" | "domestici" | "domesticj"
        | "domestick" | "domesticl" | "domesticm" | "domesticn" | "domestico" | "schuko" | "typefschuko"
        | "schukotypef" | "typef" | "typfschuko" | "cee74schukotypef" | "schukocee74" | "cee77"
        | "scee77" | "sbs1361" | "cee75" | "cee74" | "cee716" | "europlug2pincee716" | "typeefrench"
        | "typee" | "frenchtypee" | "typejswiss" | "typej" | "swisstypej" | "typegbritish" | "typeg"
        | "bs1363" | "bs13633pin13amp" | "bs13633pin" | "cee75frenchtypee" | "household"
        | "haushaltssteckdose" | "haushalt" | "domestique" | "prisedomestique" | "nema515" | "nema515r"
        | "nema520" | "nema520r" | "typeias3112" | "t13sec1011" | "t13sev1011" => Plug::Domestic,
        "cee"
        | "cee3"
        | "cee5"
        | "cee3pin"
        | "cee5pin"
        | "cee3polig"
        | "cee5polig"
        | "ceerot"
        | "ceeblau"
        | "ceered"
        | "ceeblue"
        | "iec603092single16"
        | "iec603092three16"
        | "iec603092three32"
        | "iec603092three64"
        | "iec60309x2single16"
        | "iec60309x2three16"
        | "iec60309x2three32"
        | "iec60309x2three64"
        | "iec60309singlephase"
        | "iec60309threephase"
        | "iec603093pin"
        | "iec603095pin"
        | "s3091p16a"
        | "s3091p32a"
        | "s3093p16a"
        | "s3093p32a"
        | "iec60309"
        | "nema1430"
        | "nema1450"
        | "nema630"
        | "nema650" => Plug::Industrial,
        "nacs"
        | "saej3400"
        | "nacsteslasupercharger"
        | "nacstesla"
        | "tesla"
        | "teslas"
        | "teslar"
        | "teslamodelsx"
        | "teslaroadster"
        | "teslasupercharger"
        | "ctesla"
        | "teslaconnectoreurope"
        | "teslaconnectoramerica"
        | "teslatyp2"
        | "teslatype2"
        | "teslaeurope"
        | "teslaamerica"
        | "teslanorthamerica" => Plug::Tesla,
        "gbt" | "gbtac" | "gbtdc" | "gbtacgbt202342" | "gbtdcgbt202343" | "gbt202342" | "gbt202343"
        | "chaoji" => Plug::Gbt,
        "mcs" | "megawattchargingsystem" => Plug::Megawatt,
        _ => return None,
    })
}

/// Plugs that the text of a connector's type names, which may be several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlugText {
    /// The plugs that are understood, in the order of [`Plug`], each once.
    pub plugs: Vec<Plug>,
    /// Parts of the text that are not understood.
    pub not_understood: Vec<String>,
}

/// The plugs that a text names: as a whole, or parted by slash, comma, semicolon, bar, plus, ampersand or "and"; where a part is
/// not understood, by blanks if each word of it is.
pub fn plugs(text: &str) -> PlugText {
    let mut found = PlugText::default();
    let parts = || text.split(['/', ',', ';', '|', '+', '&']).map(str::trim).filter(|part| !part.is_empty());
    // `Type 2/CCS` is two, though `CCS (Type 2)` is one.
    let each: Option<Vec<Plug>> = parts().map(plug).collect();
    let whole = || plug(text).map(|plug| vec![plug]);
    if let Some(plugs) = each.filter(|plugs| plugs.len() > 1).or_else(whole) {
        found.plugs = plugs;
        found.plugs.sort_unstable();
        found.plugs.dedup();
        return found;
    }
    let parted = [" and ", " und ", " et ", " oder ", " or ", " ou "]
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, ";"));
    // Commas and semicolons part names that have slashes in them, such as `Tesla (Model S/X)`.
    for part in parted.split([',', ';', '|', '+', '&', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        if let Some(plug) = plug(part) {
            found.plugs.push(plug);
            continue;
        }
        for piece in part.split('/').map(str::trim).filter(|piece| !piece.is_empty()) {
            let words: Option<Vec<Plug>> = piece.split_whitespace().map(plug).collect();
            match (plug(piece), words) {
                (Some(plug), _) => found.plugs.push(plug),
                (None, Some(plugs)) => found.plugs.extend(plugs),
                (None, None) => found.not_understood.push(piece.to_owned()),
            }
        }
    }
    found.plugs.sort_unstable();
    found.plugs.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugs_of_each_vocabulary_are_understood() {
        let check = |names: &str, expected: Plug| {
            for name in names.split(';') {
                assert_eq!(plug(name), Some(expected), "{name}");
            }
        };
        // OCPI, OCPP, OICP, DATEX II, Open Charge Map, BNetzA, IRVE, the Irish network, ours.
        check(
            "IEC_62196_T2_COMBO;cCCS2;CCS Combo 2 Plug (Cable Attached);iec62196T2COMBO;CCS (Type 2)",
            Plug::Ccs,
        );
        check(
            "DC Kupplung Combo;DC Fahrzeugkupplung Typ Combo 2 (CCS);prise_type_combo_ccs;ComboCCS;ccs",
            Plug::Ccs,
        );
        check("Combo Typ 2;DC CCS2 150 kW;CCS 50kW;CCS (350 kW);IEC 62196-3 Configuration FF", Plug::Ccs);
        check("AC Typ 2 22 kW;Type2 43kW;Typ 2 (32A);Mennekes (Typ 2);Typ 2 mit Kabel;T2S", Plug::Type2);
        check("1 x Typ 2;2x Type 2;Typ 2 x2;Type2 (x 2)", Plug::Type2);
        check("2x CCS;2× CCS;CCS (x2);Combined Charging System (CCS);IEC 62196-3 Type 2 Combo", Plug::Ccs);
        check("CHADEMO;cG105;CHAdeMO;chademo;DC CHAdeMO;prise_type_chademo", Plug::Chademo);
        check(
            "IEC_62196_T2;cType2;sType2;Type 2 Outlet;Type 2 Connector (Cable Attached);iec62196T2",
            Plug::Type2,
        );
        check("Type 2 (Socket Only);Type 2 (Tethered Connector);Type 2;type2;prise_type_2", Plug::Type2);
        check("AC Steckdose Typ 2;AC Kupplung Typ 2;AC Typ 2 Steckdose;StandardType2;FastAC43", Plug::Type2);
        check("IEC_62196_T1;cType1;Type 1 Connector (Cable Attached);Type 1 (J1772);iec62196T1", Plug::Type1);
        check("IEC_62196_T1_COMBO;cCCS1;CCS Combo 1 Plug (Cable Attached);CCS (Type 1)", Plug::Ccs1);
        check(
            "IEC_62196_T3C;IEC_62196_T3A;sType3;Type 3 Outlet;SCAME Type 3C (Schneider-Legrand)",
            Plug::Type3,
        );
        check(
            "DOMESTIC_F;Type F Schuko;Type E French Standard;AC Schuko;CEE 7/4 - Schuko - Type F;sCEE-7-7",
            Plug::Domestic,
        );
        check("prise_type_ef;Type J Swiss Standard;Type G British Standard;domesticE", Plug::Domestic);
        check(
            "IEC_60309_2_three_32;s309-3P-32A;IEC 60309 Three Phase;CEE 5 Pin;AC CEE 5 polig;cee5",
            Plug::Industrial,
        );
        check(
            "TESLA_S;cTesla;Tesla Connector;Tesla (Model S/X);NACS / Tesla Supercharger;SAE_J3400",
            Plug::Tesla,
        );
        check("DC Tesla Kupplung (Typ 2)", Plug::Tesla);
        check("GBT_AC;GBT_DC;GB-T DC - GB/T 20234.3", Plug::Gbt);
    }

    #[test]
    fn one_text_may_name_several_plugs() {
        let check = |text: &str, plugs_expected: &[Plug], rest: &[&str]| {
            let found = plugs(text);
            assert_eq!(
                (&found.plugs[..], &found.not_understood[..]),
                (plugs_expected, &rest.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
        };
        check("CCS/CHAdeMO", &[Plug::Ccs, Plug::Chademo], &[]);
        check("Type 2 / CCS", &[Plug::Ccs, Plug::Type2], &[]);
        check("AC Steckdose Typ 2, AC Schuko", &[Plug::Type2, Plug::Domestic], &[]);
        check("ComboCCS CHAdeMO", &[Plug::Ccs, Plug::Chademo], &[]);
        check("CCS und Typ 2", &[Plug::Ccs, Plug::Type2], &[]);
        check("Tesla (Model S/X), CCS (Type 2)", &[Plug::Ccs, Plug::Tesla], &[]);
        check("CCS|Wireless Charging", &[Plug::Ccs], &["Wireless Charging"]);
        check("Sonstige", &[], &["Sonstige"]);
        check(
            "Adapter Typ 1 Auto auf Typ 2 Fahrzeugkupplung",
            &[],
            &["Adapter Typ 1 Auto auf Typ 2 Fahrzeugkupplung"],
        );
        check("", &[], &[]);
    }
}
