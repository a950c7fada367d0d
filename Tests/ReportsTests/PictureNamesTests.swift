import Foundation
import Testing

@testable import Foundations
@testable import Reports

@Suite struct PictureNamesTests {
  private func names(_ paths: [String]) -> [String] {
    let names = PictureNames(paths.map { BytePath($0) })
    return paths.indices.map { names[$0] }
  }

  @Test func aNameOfItsOwnIsKeptAndEqualOnesAreNumberedByTheirPlace() {
    #expect(names(["one/face.png", "other.png", "two/face.jpg"]) == ["face-0", "other", "face-2"])
    let other = names(["-", "b/stdin.png", "a.b.png", ".hidden"])
    #expect(other == ["stdin-0", "stdin-3", "a.b", "_.hidden"])
  }

  /// The numbers that make names different may be part of a real name.
  @Test func aNumberedNameNeverTakesARealOne() {
    #expect(names(["x/a.png", "y/a.png", "z/a-0.png"]) == ["a-0-2", "a-1", "a-0"])
    #expect(
      names(["x/a.png", "y/a.png", "z/a-0.png", "z/a-0-2.png", "z/A-1.png"])
        == ["a-0-3", "a-1-2", "a-0", "a-0-2", "A-1"])
  }

  /// Whatever is given, no two names are the same to any file system, and all can be written.
  @Test func noTwoNamesAreTheSameToAnyFileSystem() throws {
    let long = String(repeating: "ü", count: 120)
    let paths =
      [
        "x/a.png", "y/A.png", "z/a-0.png", "z/A-1.png", "caf\u{E9}.png", "cafe\u{301}.png",
        "CAFE\u{301}.png", "stra\u{DF}e.png", "STRASSE.png", "\u{FF41}.png", "\u{301}.png",
        "\u{202E}gnp.x.png", "_gnp.x.png", "a b.png", "a_b.png", "a\u{200B}b.png", "\(long)1.png",
        "\(long)2.png", "...png", "..png", "x/.png", "\u{212A}.png", "k.png", "a.png", "a.png",
      ].map { BytePath($0) } + [BytePath(bytes: [0x66, 0xFF]), BytePath(bytes: [0x66, 0xFE])]
    let names = PictureNames(paths)
    let all = paths.indices.map { names[$0] }
    let folded = all.map {
      $0.precomposedStringWithCompatibilityMapping.uppercased().lowercased()
        .precomposedStringWithCompatibilityMapping
    }
    #expect(Set(folded).count == paths.count, "\(all)")
    for name in all {
      #expect(!name.isEmpty && name.utf8.count <= 230 && !name.hasPrefix("."), "\(name)")
      let isPlain = name.unicodeScalars.allSatisfy {
        $0 != "/" && $0 != "\\" && !$0.properties.isDefaultIgnorableCodePoint
          && $0.properties.generalCategory != .control
      }
      #expect(isPlain, "\(name)")
      #expect(String(validating: Array(name.utf8), as: UTF8.self) != nil)
    }

    // The order in which they are given changes nothing.
    let order = paths.indices.sorted { ($0 * 7919) % 31 < ($1 * 7919) % 31 }
    let others = PictureNames(order.map { paths[$0] })
    for (place, index) in order.enumerated() where paths[index] != BytePath("a.png") {
      #expect(others[place] == names[index])
    }
  }

  @Test func whatIsTooLongIsCutBetweenCharacters() {
    let name = names([String(repeating: "é", count: 150) + ".png"])[0]
    #expect(name == String(repeating: "é", count: 100) + "-0")
  }
}
