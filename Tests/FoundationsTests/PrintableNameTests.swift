import Testing

@testable import Foundations

@Suite struct PrintableNameTests {
  /// Marks of direction, of no width, separators, fillers, variation selectors, tags, C1 controls.
  @Test(arguments: [
    "\u{202E}", "\u{2066}", "\u{2069}", "\u{200B}", "\u{200D}", "\u{200F}", "\u{2060}", "\u{AD}",
    "\u{FEFF}", "\u{FE0F}", "\u{E0100}", "\u{E0041}", "\u{E007F}", "\u{2028}", "\u{2029}", "\u{85}",
    "\u{9B}", "\u{1B}", "\u{7F}", "\n", "\r", "\t", "\u{115F}", "\u{3164}", "\u{FFA0}", "\u{34F}",
    "\u{180E}", "\u{061C}", "\u{E000}", "\u{FFF9}",
  ]) func whatCannotBeSeenIsSpelledOut(text: String) {
    let scalar = text.unicodeScalars.first!
    let shown = printable("a\(text)b")
    #expect(shown == "a\\u{\(String(scalar.value, radix: 16))}b")
    #expect(printable(shown) == shown)
  }

  @Test func whatCanBeSeenStays() {
    for text in ["Äpfel, 图片 'x' №½ نص", "e\u{301}a", "a\u{A0}b", "👍🏽 𝔽"] {
      #expect(printable(text).unicodeScalars.elementsEqual(text.unicodeScalars))
    }
  }

  @Test func aMarkAtTheBeginningStandsAboveNothing() {
    #expect(printable("\u{301}a.png") == "\\u{301}a.png")
    #expect(printable("x", limit: 0) == "…" && printable("abc", limit: 2) == "ab…")
  }
}
