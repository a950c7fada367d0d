import Foundation
import Testing

@testable import Reports

@Suite struct HTMLTests {
  @Test func whatIsInterpolatedIsTextAndWhatIsHTMLStays() {
    let name = "<script>alert('x')</script> & \"co\""
    let cell: HTML = "<td title=\"\(name)\">\(HTML.name(name))</td>"
    #expect(
      cell.markup
        == "<td title=\"&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;co&quot;\">"
        + "<bdi>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;co&quot;</bdi></td>")
    let cells: [HTML] = ["<td>\(1)</td>", "<td>\("2<")</td>"]
    let row: HTML = "<tr>\(cells)</tr>"
    #expect(row.markup == "<tr><td>1</td><td>2&lt;</td></tr>")
  }

  /// A combining mark makes one character of itself and what stands before it.
  @Test func marksAboveAQuotationMarkDoNotHideIt() {
    for sign in ["\"", "<", ">", "&", "'"] {
      let escaped = HTML.escaped("a\(sign)\u{301}\u{308} onload=x")
      #expect(!escaped.unicodeScalars.dropFirst(2).contains { "\"<>'".unicodeScalars.contains($0) })
      #expect(Array(escaped.unicodeScalars)[1] == "&" && escaped.utf8.contains(UInt8(ascii: ";")))
    }
  }

  @Test func charactersThatCannotBeSeenAreSpelledOut() {
    #expect(HTML.escaped("\u{1B}[31mred\u{7}") == "\\u{1b}[31mred\\u{7}")
    #expect(HTML.escaped("a\u{202E}b\u{200F}\n\0") == "a\\u{202e}b\\u{200f}\\u{a}\\u{0}")
    #expect(HTML.escaped("Äugen 顔 🙂 שלום") == "Äugen 顔 🙂 שלום")
    #expect(HTML.escaped(String(repeating: "x", count: 5000)).count == 5000)
  }

  @Test func figuresAreWrittenForPeople() {
    #expect(FigureText.rate(0.98765432) == "0.9877" && FigureText.rate(nil) == "–")
    #expect(FigureText.ratio(.infinity) == "–" && FigureText.ratio(1.23456) == "1.235")
    #expect(FigureText.percent(0.5) == "50.0 %" && FigureText.percent(.nan) == "–")
    #expect(FigureText.count(1_234_567) == "1,234,567" && FigureText.count(-999) == "-999")
    #expect(FigureText.count(1, "image") == "1 image")
    #expect(FigureText.count(1000, "image") == "1,000 images")
    #expect(FigureText.short(0.0002) == "0.0002" && FigureText.short(1234.5) == "1234.5")
  }

  @Test func blackOrWhiteIsReadableOnEveryColourOfEveryMap() {
    for map in ColorMap.all {
      for color in map.colors {
        let ink: UInt8 = Contrast.ink(on: color) == "#000" ? 0 : 255
        #expect(Contrast.ratio(color, SIMD3(repeating: ink)) >= 4.5)
      }
    }
    #expect(abs(Contrast.ratio(SIMD3(repeating: 0), SIMD3(repeating: 255)) - 21) < 1e-9)
  }

  @Test func textHasEnoughContrastAndLinesToo() {
    let themes = [
      (StyleSheet.papers.light, StyleSheet.inks.light, Palette.light),
      (StyleSheet.papers.dark, StyleSheet.inks.dark, Palette.dark),
    ]
    for (paper, inks, lines) in themes {
      let page = Contrast.color(css: paper)
      for ink in inks { #expect(Contrast.ratio(Contrast.color(css: ink), page) >= 4.5, "\(ink)") }
      for line in lines { #expect(Contrast.ratio(Contrast.color(css: line), page) >= 3, "\(line)") }
      #expect(Set(lines).count == lines.count)
    }
  }
}
