import Foundation
import Testing

@testable import Foundations

@Suite struct JSONTextTests {
  private func read(_ bytes: [UInt8]) throws -> (text: String, rest: Int) {
    var position = 0
    let text = try bytes.withUnsafeBufferPointer { try JSONText.read($0, at: &position) }
    return (text, bytes.count - position)
  }

  @Test func everyEscapeIsReadAndWhatFollowsIsLeft() throws {
    let written = #"a\"\\\/\b\f\n\r\té\u00e9\ud835\udd3d𝔽"#
    let (text, rest) = try read(Array((written + "\", 1").utf8))
    #expect(text == "a\"\\/\u{8}\u{c}\n\r\téé𝔽𝔽" && rest == 3)
    // An independent reader agrees.
    let other =
      try JSONSerialization.jsonObject(
        with: Data("\"\(written)\"".utf8), options: .fragmentsAllowed) as? String
    #expect(other == text)
  }

  @Test(arguments: [
    ("abc", JSONText.Problem.unended, 3), ("a\nb\"", .controlCharacter, 1),
    (#"a\x""#, .unknownEscape, 3), (#"a\"#, .unknownEscape, 2), (#"\u12g4""#, .missingDigit, 4),
    (#"\u12"#, .missingDigit, 4), (#"\ud835x""#, .missingSurrogate, 6),
    (#"\ud835\"#, .missingSurrogate, 6), (#"\ud835\u0041""#, .brokenPair, 12),
    (#"\udd3d""#, .brokenPair, 6),
  ])
  func whatIsNoTextIsToldWithItsPlace(text: String, problem: JSONText.Problem, place: Int) {
    var position = 0
    let error = #expect(throws: JSONText.Problem.self) {
      try Array(text.utf8).withUnsafeBufferPointer { try JSONText.read($0, at: &position) }
    }
    #expect(error == problem && position == place)
  }

  @Test func bytesThatAreNotUTF8AreRefused() {
    #expect(throws: JSONText.Problem.notUTF8) { try read([0xFF, 0x22]) }
  }
}
