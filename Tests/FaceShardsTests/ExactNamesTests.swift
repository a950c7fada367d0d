import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

/// Names of files are bytes: two that look the same are different ones, and a name may begin with a
/// mark, which makes another character of the "/" before it.
@Suite struct ExactNamesTests {
  private let composed = "caf\u{E9}.h5"
  private let decomposed = "cafe\u{301}.h5"

  @Test func shardsWhoseNamesLookTheSameAreAllRead() throws {
    let folder = TemporaryFolder()
    try ShardFixtures.write(folder(composed), methods: [0, 1])
    try ShardFixtures.write(folder(decomposed), methods: [0, 2, 2], first: 10)
    #expect(try folder.contents().count == 2)
    let paths = try FilePattern.expand([folder("*.h5"), folder(composed)])
    let expected = [decomposed, composed].map { Array(folder($0).utf8) }
    #expect(paths.map { Array($0.utf8) } == expected)
    #expect(try ShardSet(patterns: [folder("*.h5")]).count == 5)
  }

  @Test func aNameThatIsNotUTF8IsToldAndNotMisread() throws {
    let folder = TemporaryFolder()
    try ShardFixtures.write(folder("a.h5"), methods: [0, 1])
    let odd = BytePath(folder.path).appending([0x62, 0xE9, 0x2E, 0x68, 0x35])
    try #require(odd.withCString { link(folder("a.h5"), $0) } == 0)
    let said = ShardFixtures.message { _ = try FilePattern.expand([folder("*.h5")]) }
    let expected = "/b\\xE9.h5: its name is not UTF-8; rename it, as with convmv"
    #expect(said?.hasSuffix(expected) == true, "\(said ?? "")")
  }

  @Test func aShardWhoseNameBeginsWithAMarkIsWrittenIntoItsFolder() throws {
    let folder = TemporaryFolder()
    let name = "\u{301}a.h5"
    try ShardFixtures.write(folder(name), methods: [0, 1])
    #expect(try folder.contents() == [name])
    let identity = try ShardSet(patterns: [folder(name)]).identities()[0]
    #expect(Array(identity.name.utf8) == Array(name.utf8))
  }

  @Test func aPatternWithAMarkIsStillOne() {
    let said = ShardFixtures.message { _ = try FilePattern.expand(["/nowhere/*\u{301}.h5"]) }
    #expect(said?.contains("no file matches this pattern") == true, "\(said ?? "")")
  }
}
