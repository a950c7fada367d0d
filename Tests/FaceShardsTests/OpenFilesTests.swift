import Foundation
import HierarchicalData
import TestSupport
import Testing

@testable import FaceShards

@Suite struct OpenFilesTests {
  let folder = TemporaryFolder()

  private func write(_ name: String, _ text: String = "some") throws -> (String, FileStamp) {
    let path = folder(name)
    try Data(text.utf8).write(to: URL(filePath: path))
    return (path, try #require(FileStamp(of: path)))
  }

  @Test func thoseUsedLastStayOpen() throws {
    let files = OpenFiles(limit: 8)
    let all = try (0..<20).map { (files.newKey(), try write("\($0)")) }
    func use(_ number: Int) throws {
      let (key, (path, identity)) = all[number]
      #expect(try files.file(key, path: path, identity: identity) != nil)
    }
    for number in 0..<8 { try use(number) }
    #expect(files.counts == (8, 8))
    for _ in 0..<3 { for number in 0..<8 { try use(number) } }
    #expect(files.counts == (8, 8))
    try use(0)
    try use(8)
    // Among those that went was the longest unused, 1, and not 0.
    #expect(files.counts.open <= 8 && files.counts.opened == 9)
    try use(0)
    #expect(files.counts.opened == 9)
    try use(1)
    #expect(files.counts.opened == 10)
    for number in 0..<20 { try use(number) }
    #expect(files.counts.open <= 8)
    files.close(all[19].0)
    let opened = files.counts.opened
    try use(19)
    #expect(files.counts.opened == opened + 1)
  }

  @Test func whoReadsAFileKeepsItOpen() throws {
    let files = OpenFiles(limit: 1)
    let (path, identity) = try write("a", "text of a")
    let (other, otherIdentity) = try write("b")
    let file = try #require(try files.file(files.newKey(), path: path, identity: identity))
    for _ in 0..<3 {
      #expect(try files.file(files.newKey(), path: other, identity: otherIdentity) != nil)
    }
    var bytes = [UInt8](repeating: 0, count: 9)
    #expect(pread(file.descriptor, &bytes, 9, 0) == 9 && bytes == Array("text of a".utf8))
  }

  @Test func anotherFileIsNotTakenForTheOne() throws {
    let files = OpenFiles(limit: 4)
    let (path, identity) = try write("a")
    _ = try write("a", "more than before")
    #expect(try files.file(files.newKey(), path: path, identity: identity) == nil)
    try FileManager.default.removeItem(atPath: path)
    let message = ShardFixtures.message {
      _ = try files.file(files.newKey(), path: path, identity: identity)
    }
    #expect(message == "\(path): cannot open: No such file or directory")
    #expect(files.counts == (0, 0))
  }
}
