/// Letters drawn as strokes of a pen, at any size, for labels in pictures.
///
/// Each glyph is a few polylines on a grid 4 wide: a point is two digits, x and y, with y = 0 at the
/// lowest descender, 2 on the baseline, 6 at the height of small letters and 8 at that of capitals.
enum StrokeFont {
  static let gridHeight = 8
  private static let advance = 5.6

  /// The width of `text` whose capitals are 6 · `unit` high.
  static func width(of text: String, unit: Double) -> Double {
    text.isEmpty ? 0 : (Double(text.count) * advance - 1.6 + 0.8) * unit
  }

  /// The segments of `text`, in grid units from its left end, y upwards. A dot is a segment without
  /// length. What the font lacks is an empty box.
  static func segments(of text: String) -> [(from: SIMD2<Double>, to: SIMD2<Double>)] {
    var all: [(from: SIMD2<Double>, to: SIMD2<Double>)] = []
    for (index, character) in text.enumerated() {
      let shift = Double(index) * advance + 0.4
      for line in (glyphs[character] ?? "0208484202").split(separator: " ") {
        let digits = line.utf8.map { Double($0) - 48 }
        let points = stride(from: 0, to: digits.count, by: 2).map {
          SIMD2(digits[$0] + shift, digits[$0 + 1])
        }
        if points.count == 1 { all.append((points[0], points[0])) }
        for (from, to) in zip(points, points.dropFirst()) { all.append((from, to)) }
      }
    }
    return all
  }

  private static let glyphs: [Character: String] = [
    " ": "", "A": "022842 1434", "B": "020838474635053544433202", "C": "4738180703123243",
    "D": "02082846442202", "E": "42020848 0535", "F": "020848 0535", "G": "47381807031232434525",
    "H": "0208 4248 0545", "I": "1232 2228 1838", "J": "0312223338", "K": "0208 4804 1542",
    "L": "080242", "M": "0208254842", "N": "02084248", "O": "123243473818070312",
    "P": "02083847463505", "Q": "123243473818070312 2442", "R": "02083847463505 2542",
    "S": "473818070615354443321203", "T": "0848 2228", "U": "080312324348", "V": "082248",
    "W": "0812253248", "X": "0248 0842", "Y": "082548 2522", "Z": "08480242",
    "0": "123243473818070312 3614", "1": "172822 1232", "2": "07183847460242",
    "3": "07183847463515 354443321203", "4": "32380444", "5": "480805354443321203",
    "6": "473818070312324344351504", "7": "084812",
    "8": "15060718384746351504031232434435",
    "9": "031232434738180706153546", "a": "4536160503123243 4642", "b": "0802 0516364543321203",
    "c": "4536160503123243", "d": "4842 4536160503123243", "e": "04444536160503123243",
    "f": "38281712 0636", "g": "46413010 4536160503123243", "h": "0802 0516364542",
    "i": "2622 28", "j": "262110 28", "k": "0802 4603 1442", "l": "18132232",
    "m": "0602 05162522 25364542", "n": "0602 0516364542", "o": "123243453616050312",
    "p": "0600 0516364543321203", "q": "4640 4536160503123243", "r": "0602 051636",
    "s": "45361605143443321203", "t": "18132232 0636", "u": "0603123243 4642",
    "v": "062246", "w": "0612243246", "x": "0246 0642", "y": "0622 4610", "z": "06460242",
    ".": "22", ",": "2211", "-": "1434", "_": "0141", ":": "23 25", ";": "2311 25", "/": "0248",
    "%": "0248 07 43", "(": "38262432", ")": "18262412", "[": "38181232", "]": "18383212",
    "=": "0343 0545", "+": "0444 2226", "#": "1218 3238 0444 0646", "<": "460442",
    ">": "064402", "?": "071838474624 22", "!": "2824 22", "'": "2827", "\"": "1817 3837",
    "*": "0347 0743 2228", "&": "4205073837 160403123245", "@": "4212030718384744242646",
    "|": "2128", "~": "0415253546", "·": "24", "×": "0346 0643", "→": "0444 264424",
    "±": "0545 2327 0242", "≥": "064402 0141", "≤": "460442 0141", "–": "0444", "—": "0444",
  ]
}
