import Foundation
import Testing

@testable import Foundations

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSON { try JSON(parsing: text.utf8) }

  @Test func membersKeepTheirOrder() throws {
    let value: JSON = ["step": 3, "loss": 0.25, "a": [1, 2.5, nil, true, "x"], "z": ["y": [:]]]
    #expect(
      try value.line()
        == #"{"step":3,"loss":0.25,"a":[1,2.5,null,true,"x"],"z":{"y":{}}}"#)
    #expect(try parse(value.line()) == value)
    #expect(try parse(value.page()) == value)
    #expect(value["z"]?["y"] == JSON.object([]))
    #expect(value["step"]?.doubleValue == 3 && value["loss"]?.integerValue == nil)
  }

  @Test func numbersComeBackBitForBit() throws {
    let numbers: [Double] = [
      0.1, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .leastNormalMagnitude / 3,
      1 / 3.0, 1e22,
    ]
    for number in numbers {
      let back = try #require(try parse(JSON.number(number).line()).doubleValue)
      #expect(back.bitPattern == number.bitPattern)
    }
    #expect(try JSON.number(Float(0.1)).line() == "0.1")
    #expect(try parse("\(Int.max)") == .integer(.max))
    #expect(try parse("9223372036854775808").doubleValue == 9_223_372_036_854_775_808)
  }

  @Test func whatIsNotFiniteIsRefusedWithItsPath() throws {
    let value: JSON = ["a": [1, ["b": .number(Double.nan)]]]
    let error = try #require(throws: JSON.NotFinite.self) { try value.line() }
    #expect(error.description == "a[1].b is nan, not a number")
    #expect(throws: JSON.NotFinite.self) { try JSON.number(Float.infinity).line() }
    #expect(try JSON.optional(nil).line() == "null")
  }

  @Test func textsOfEveryKindComeBack() throws {
    let text = "\"\\\n\r\t\u{0}\u{1b}\u{7f}\u{2028}é𝔽/"
    let line = try JSON.text(text).line()
    #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x2028 })
    #expect(try parse(line) == .text(text))
    #expect(try parse(#""\ud835\udd3d\/\b\f""#) == "𝔽/\u{8}\u{c}")
    // An independent reader understands it as well.
    let other =
      try JSONSerialization.jsonObject(
        with: Data(line.utf8), options: .fragmentsAllowed) as? String
    #expect(other == text)
  }

  @Test(arguments: [
    "", " ", "nul", "tru", "[1", "[1,]", "[,]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
    "01", "1.", ".5", "+1", "1e", "1e999", "NaN", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud835\"",
    "\"\u{1}\"", "1 2", "{\"a\":1,\"a\":2}", "'a'",
  ])
  func whatIsNotJSONIsRefused(_ text: String) {
    #expect(throws: JSON.Malformed.self) { try parse(text) }
  }

  /// Names are bytes: two that look the same are two members, and a mark at the beginning of a text
  /// does not hide the quotation mark before it.
  @Test func namesThatLookTheSameAreDifferentMembers() throws {
    let value = JSON.object([
      .init("\u{E9}", 1), .init("e\u{301}", 2), .init("\u{301}", "\u{301}a"),
    ])
    let line = try value.line()
    let back = try parse(line)
    #expect(back.members?.map { Array($0.name.utf8) } == value.members?.map { Array($0.name.utf8) })
    #expect(back["\u{E9}"] == 1 && back["e\u{301}"] == 2 && back["\u{301}"] == "\u{301}a")
    #expect(throws: JSON.Malformed.self) { try parse("{\"\u{E9}\":1,\"\u{E9}\":2}") }
    // JSON Pointer of an independent reader.
    let other = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    #expect(other?["\u{301}"] as? String == "\u{301}a")
  }

  @Test func whatWouldDisturbATerminalIsEscapedAndComesBack() throws {
    let text =
      "a\u{202E}b\u{200B}c\u{2066}d\u{AD}e\u{FEFF}f\u{FE0F}g\u{E0041}h\u{9B}i\u{85}j\u{E000}k"
    let line = try JSON.text(text).line()
    #expect(line.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
    for escape in ["\\u202e", "\\udb40\\udc41", "\\u009b"] { #expect(line.contains(escape)) }
    #expect(try parse(line).textValue?.unicodeScalars.elementsEqual(text.unicodeScalars) == true)
    let other =
      try JSONSerialization.jsonObject(
        with: Data(line.utf8), options: .fragmentsAllowed) as? String
    #expect(other?.unicodeScalars.elementsEqual(text.unicodeScalars) == true)
  }

  @Test func deepNestingIsRefused() {
    #expect(throws: JSON.Malformed.self) { try parse(String(repeating: "[", count: 1_000_000)) }
    #expect(throws: JSON.Malformed.self) {
      try parse(String(repeating: "{\"a\":", count: 1_000_000))
    }
    #expect(throws: JSON.Malformed.self) { try JSON(parsing: [0x22, 0xff, 0x22]) }
  }
}
