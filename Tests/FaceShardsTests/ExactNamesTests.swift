import Foundation
import Testing

@testable import FaceShards

/// Names of files are bytes: two that look the same are different ones, and a name may begin with a
/// mark, which makes another character of the "/" before it.
@Suite struct ExactNamesTests {
  private let composed = "caf\u{E9}.h5"
  private let decomposed = "cafe\u{301}.h5"

  @Test func shardsWhoseNamesLookTheSameAreAllRead() throws {
    let folder = try ShardFolder()
    try ShardFixtures.write(folder.file(composed), methods: [0, 1])
    try ShardFixtures.write(folder.file(decomposed), methods: [0, 2, 2], first: 10)
    #expect(folder.names.count == 2)
    let paths = try FilePattern.expand([folder.file("*.h5"), folder.file(composed)])
    let expected = [decomposed, composed].map { Array(folder.file($0).utf8) }
    #expect(paths.map { Array($0.utf8) } == expected)
    #expect(try ShardSet(patterns: [folder.file("*.h5")]).count == 5)
  }

  @Test func aNameThatIsNotUTF8IsToldAndNotMisread() throws {
    let folder = try ShardFolder()
    try ShardFixtures.write(folder.file("a.h5"), methods: [0, 1])
    let odd = BytePath(folder.path).appending([0x62, 0xE9, 0x2E, 0x68, 0x35])
    try #require(odd.withCString { link(folder.file("a.h5"), $0) } == 0)
    let said = ShardFixtures.message { _ = try FilePattern.expand([folder.file("*.h5")]) }
    let expected = "/b\\xE9.h5: its name is not UTF-8; rename it, as with convmv"
    #expect(said?.hasSuffix(expected) == true, "\(said ?? "")")
  }

  @Test func aShardWhoseNameBeginsWithAMarkIsWrittenIntoItsFolder() throws {
    let folder = try ShardFolder()
    let name = "\u{301}a.h5"
    try ShardFixtures.write(folder.file(name), methods: [0, 1])
    #expect(folder.names == [name])
    let identity = try ShardSet(patterns: [folder.file(name)]).identities()[0]
    #expect(Array(identity.name.utf8) == Array(name.utf8))
  }

  @Test func aPatternWithAMarkIsStillOne() {
    let said = ShardFixtures.message { _ = try FilePattern.expand(["/nowhere/*\u{301}.h5"]) }
    #expect(said?.contains("no file matches this pattern") == true, "\(said ?? "")")
  }
}
